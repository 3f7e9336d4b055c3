import {DEFAULT_BUDGET} from '../gateway/budget-judgement.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  HISTORY_KEYS,
  type KeyShape,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
  VELOCITY_KEYS,
} from '../gateway/keys.js';
import {type Decision, judgeNextRequest, readStates, type Rule} from '../gateway/next-request.js';
import {ifPermitted, type Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {idMatcher, narrow} from '../values/glob.js';
import type {RawId} from '../values/session-id.js';
import {readFacts, toSessionKey} from './facts.js';
import type {Finding, Judged, Problem} from './finding.js';
import {judge, judgeId} from './judge.js';

/** The number of keys checked, and the findings among them. */
export interface CheckedPage {
  keys: number;
  findings: Finding[];
  /** True when this user may not read periods and grants, of which there are some. */
  isDenied?: boolean;
}

/** A pattern of our own keys of a session. */
const OWN = 'tokengate:*:ID';
/** Sessions whose state is read in one flight. */
const GROUP = 200;
/** The number of findings to remember, so that a key that SCAN returns twice is reported once. */
const REMEMBERED = 100_000;

/**
 * Checks every key of a session, with SCAN, and yields the findings page by page, holding one page in memory. A user who
 * may read only the gateway's keys gets those alone. Whatever seems wrong is read twice: a change under way is not a
 * finding.
 *
 * @param options.isPrintable whether an ID can be shown as it is
 */
export async function* checkStore(
  redis: Redis,
  {match, isPrintable}: {match?: string | undefined; isPrintable: (text: string) => boolean},
): AsyncGenerator<CheckedPage> {
  const seen = new Set<string>();
  // Each problem belongs to one kind of key, or to the ID.
  const isNew = ({id, problem}: Finding): boolean => {
    const name = `${problem} ${id}`;
    if (seen.has(name)) return false;
    if (seen.size < REMEMBERED) seen.add(name);
    return true;
  };
  const matches = idMatcher(match);
  const [start, began] = [(await serverTime(redis)).getTime(), performance.now()];
  const {pattern} = narrow(match);
  for (const keysOfOne of ['session:ID:*', 'anomaly:ID:*', OWN]) {
    for await (const names of redis.scan(keysOfOne.replace('ID', () => pattern))) {
      const keys = names.flatMap((name) => toSessionKey(name) ?? []);
      const meant = keys.filter(({id}) => matches(id));
      const now = new Date(start + performance.now() - began);
      const reading = readFacts(redis, meant);
      const read = await (keysOfOne === OWN ? ifPermitted(reading) : reading);
      if (read === undefined) {
        yield {keys: 0, findings: [], isDenied: true};
        break;
      }
      const suspects = read.filter((facts) => judge(facts, now).length > 0);
      const again = await settle(
        redis,
        (await readFacts(redis, suspects)).flatMap((facts) => judge(facts, now)),
      );
      const unprintable = meant.flatMap((key) => judgeId(key, isPrintable) ?? []);
      yield {keys: meant.length, findings: [...again, ...unprintable].filter(isNew)};
    }
  }
}

/** A request of unknown cost that differs from the last one. */
const ANY_REQUEST = {cost: null, isRepeated: false, defaultBudget: DEFAULT_BUDGET};

const RULES = new Map<KeyShape, Rule['rule']>([
  [BUDGET_KEYS, 'budget'],
  [SPENT_KEYS, 'budget'],
  [FROZEN_UNTIL_KEYS, 'freeze'],
  [FREEZE_REASON_KEYS, 'freeze'],
  [REQUEST_COUNT_KEYS, 'request_rate'],
  [LAST_HASH_KEYS, 'loop'],
  [VELOCITY_KEYS, 'velocity'],
  [HISTORY_KEYS, 'history'],
]);

/** What has to happen before the gateway gets to the next rule, as in "once …". */
const FIRST: Record<Rule['rule'], string> = {
  freeze: 'the freeze no longer stops them',
  request_rate: 'the request rate no longer stops them',
  loop: 'the record of the last request no longer stops them',
  velocity: 'the record of spending no longer stops them',
  history: 'the history no longer stops them',
  budget: 'the budget no longer stops them',
};

/** Asks the module that explains sessions which of these findings answer requests now, and with which status. */
async function settle(redis: Redis, findings: readonly Judged[]): Promise<Finding[]> {
  const ids = [...new Set(findings.flatMap(({id, answer}) => (answer === null ? [] : [id])))];
  const decisions = new Map<RawId, Decision>();
  for (const some of inGroups(ids, GROUP)) {
    const {now, states} = await readStates(redis, some);
    for (const state of states) decisions.set(state.id, judgeNextRequest(state, ANY_REQUEST, now));
  }
  return findings.flatMap(({shape, ...finding}): Finding[] => {
    const {rules, refusedBy} = decisions.get(finding.id) ?? {rules: [], refusedBy: null};
    if (finding.answer === null) return [finding];
    const own = rules.find(({rule}) => rule === RULES.get(shape));
    if (own === undefined || own.answer === null) {
      // A velocity that is a sorted set has the right type, but may hold wrong members.
      return finding.problem === 'velocity_recent' ? [] : [{...finding, answer: null}];
    }
    const {answer, problem} = own;
    if (finding.problem === 'velocity_recent' && problem !== null) {
      Object.assign(finding, {problem: 'velocity_not_text' satisfies Problem, what: problem});
    }
    const [fails, fail] = answer === 429 ? ['is refused', 'are refused'] : ['fails', 'fail'];
    if (refusedBy === own.rule) return [{...finding, answer, effect: `every request ${fails} with HTTP ${answer}`}];
    const until = FIRST[refusedBy ?? own.rule];
    return [{...finding, answer: null, effect: `requests ${fail} with HTTP ${answer} once ${until}`}];
  });
}
