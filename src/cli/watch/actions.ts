import {type Outcome, runBatch} from '../../lib/change/batch.js';
import {describeEnd, FOREVER} from '../../lib/gateway/freeze.js';
import {SPENT_KEYS} from '../../lib/gateway/keys.js';
import type {Session} from '../../lib/gateway/session.js';
import {describeKeys} from '../../lib/journal/describe.js';
import type {Journal} from '../../lib/journal/entry.js';
import {addBudget} from '../../lib/operations/budget.js';
import {
  describeCleared,
  freezeLook,
  freezeSession,
  unfreezeLook,
  unfreezeSession,
} from '../../lib/operations/freeze.js';
import type {SecondLook} from '../../lib/operations/lasting.js';
import {describeRemoved, resetLook, resetSession} from '../../lib/operations/reset.js';
import {lookAtOne, SecondLooks} from '../../lib/operations/second-look.js';
import {findChanges, type RecordedChange, undoChange, undoLook} from '../../lib/operations/undo.js';
import {refuseReplica} from '../../lib/redis/connect.js';
import type {Redis, ServerInfo} from '../../lib/redis/contract.js';
import {serverTime} from '../../lib/redis/server-time.js';
import {TokengateError} from '../../lib/values/errors.js';
import {formatExactMoney, type Money, parseAmount, ZERO} from '../../lib/values/money.js';
import {parseDuration} from '../../lib/values/time.js';
import {askAbout, undoVerb} from '../batches/questions.js';
import {capitalize} from '../text/words.js';
import {describeSighting} from '../views/second-look.js';

/** What a key does to sessions, after its questions and a confirmation. */
export interface Action {
  key: string;
  /** As in "freeze". */
  verb: string;
  /** What a session is then, as in "3 sessions frozen". */
  done: string;
  fields: readonly Field[];
  /** Asked last; may hold untrusted text. */
  question: (sessions: readonly Session[], answers: readonly string[]) => string;
  confirmations: readonly Confirmation[];
  /** What the journal says is the reason. */
  reason?: (answers: readonly string[]) => string;
  run: (context: Context) => Promise<Done>;
}

/** A key that confirms; any other is a no. */
export interface Confirmation {
  key: string;
  means: string;
}

interface Context {
  redis: Redis;
  session: Session;
  answers: readonly string[];
  /** The key that confirmed it. */
  confirmation: string;
  journal: Journal | undefined;
}

/** What the journal is to say of a change; undefined when none is kept. */
export type MakeJournal = (reason?: string, undoes?: string) => Journal | undefined;

interface Field {
  label: string;
  initial: string;
  /** @throws TokengateError what is wrong with the answer */
  check: (answer: string) => void;
}

/** What was done, with warnings; may hold untrusted text. */
export interface Done {
  text: string;
  warnings: string[];
  /** False when nothing was changed, so that there is nothing to undo. */
  isChanged: boolean;
  /** Warnings of a look whether it has lasted, which comes later. */
  later?: Promise<string[]>;
}

const YES = [{key: 'y', means: 'yes'}];

/** The same changes as the commands make, by the same code. */
export const ACTIONS: readonly Action[] = [
  {
    key: 'f',
    verb: 'freeze',
    done: 'frozen',
    fields: [
      {label: 'Freeze for (30m, 2h, 7d, forever)', initial: '1h', check: parseLength},
      {label: 'Reason, which the API client is told too', initial: 'Manual freeze', check: refuseEmpty},
    ],
    question: (sessions, [length = '', reason = '']) =>
      `Freeze ${name(sessions)} ${length === 'forever' ? '' : 'for '}${length} (${reason})?`,
    confirmations: YES,
    reason: ([, reason = '']) => reason,
    async run({redis, session, answers: [length = '', reason = ''], journal}) {
      const now = await serverTime(redis);
      const seconds = parseLength(length);
      const until = seconds === undefined ? FOREVER : new Date(now.getTime() + seconds * 1000);
      const freeze = await freezeSession(redis, session.key, {reason, until, now, force: false}, journal);
      const {id, isKept} = freeze;
      if (!isKept) {
        const text = `✓ Session '${id}' frozen ${describeEnd(freeze.until)}`;
        return {text, warnings: [], isChanged: true, later: lookLater(redis, freezeLook, freeze, journal)};
      }
      const text = `Session '${id}' is frozen ${describeEnd(freeze.until)} already (${freeze.reason ?? 'no reason'})`;
      const warning = `The freeze of '${id}' ends no sooner, so it was kept. Unfreeze the session first.`;
      return {text, warnings: [warning], isChanged: false};
    },
  },
  {
    key: 'u',
    verb: 'unfreeze',
    done: 'unfrozen',
    fields: [],
    question(sessions) {
      const [its, it] = sessions.length === 1 ? ['the counters', 'it'] : ['their counters', 'them'];
      return `Unfreeze ${name(sessions)}, and clear ${its} that would freeze ${it} again?`;
    },
    confirmations: YES,
    async run({redis, session: {key}, journal}) {
      const options = {now: await serverTime(redis)};
      const unfreeze = await unfreezeSession(redis, key, options, journal);
      const {id, previous} = unfreeze;
      const cleared = describeCleared(unfreeze);
      const text =
        previous.isFrozen === false
          ? `Session '${id}' is not frozen${cleared === '' ? '' : `; ${cleared}`}`
          : `✓ Session '${id}' unfrozen`;
      const isChanged = previous.isFrozen !== false || cleared !== '';
      const later = lookLater(redis, unfreezeLook, unfreeze, journal);
      return {text, warnings: previous.problems, isChanged, later};
    },
  },
  {
    key: '+',
    verb: 'add budget',
    done: 'given another budget',
    fields: [{label: 'US dollars to add (-5 takes away)', initial: '', check: parseSigned}],
    question(sessions, [typed = '']) {
      const amount = parseSigned(typed);
      const change = amount.lt(ZERO)
        ? `Take ${formatExactMoney(amount.abs())} from`
        : `Add ${formatExactMoney(amount)} to`;
      const [{budget} = {budget: null}] = sessions;
      const result =
        budget === null || sessions.length > 1
          ? ''
          : ` (${formatExactMoney(budget)}, then ${formatExactMoney(budget.plus(amount))})`;
      return `${change} the budget of ${sessions.length > 1 ? 'each of ' : ''}${name(sessions)}${result}?`;
    },
    confirmations: YES,
    async run({redis, session: {key}, answers: [typed = ''], journal}) {
      const {session, previousBudget} = await addBudget(redis, key, parseSigned(typed), journal);
      const {id, budget, spent} = session;
      const isSpent = budget !== null && spent?.gte(budget);
      const text = `✓ Budget of '${id}': ${show(budget)} (it was ${show(previousBudget)})`;
      return {
        text,
        warnings: isSpent ? [`Session '${id}' has spent ${show(spent)}: the gateway refuses its requests.`] : [],
        isChanged: true,
      };
    },
  },
  {
    key: 'r',
    verb: 'reset',
    done: 'reset',
    fields: [],
    question(sessions) {
      const [one] = sessions;
      if (one === undefined || sessions.length > 1) {
        return `Reset ${name(sessions)}: remove their budgets and what they have spent? Without a budget the next request of each gets the gateway's default.`;
      }
      return `Reset '${one.id}': remove its budget ${show(one.budget)} and what it has spent, ${show(one.spent)}? Without a budget its next request gets the gateway's default.`;
    },
    confirmations: [
      {key: 'y', means: 'remove both'},
      {key: 'k', means: 'keep the budget'},
    ],
    async run({redis, session: {key}, confirmation, journal}) {
      const reset = await resetSession(redis, key, {keepBudget: confirmation === 'k'}, journal);
      const isChanged = reset.budget !== null || reset.spent !== null;
      const text = isChanged
        ? `✓ Session '${reset.id}' reset, removed: ${describeRemoved(reset)}`
        : `Session '${reset.id}' unchanged: it has no spending`;
      return {text, warnings: [], isChanged, later: lookLater(redis, resetLook, reset, journal)};
    },
  },
];

/** Looks whether it has lasted, beside what else is done; gives what is to be warned of. */
async function lookLater<R>(
  redis: Redis,
  how: SecondLook<R>,
  result: R,
  journal: Journal | undefined,
): Promise<string[]> {
  return (await lookAtOne(redis, how, result, journal)).map(describeSighting);
}

interface ActOptions {
  redis: Redis;
  sessions: readonly Session[];
  answers: readonly string[];
  confirmation: string;
  journal: Journal | undefined;
}

/**
 * Does it to each of the sessions, under one change of the journal.
 *
 * @throws TokengateError what the command would say of a single session
 */
export async function act(action: Action, {redis, sessions, journal, ...answered}: ActOptions): Promise<Done> {
  refuseReplica(redis);
  const [one] = sessions;
  if (one !== undefined && sessions.length === 1) {
    const {later, ...done} = await action.run({redis, session: one, journal, ...answered});
    return {...done, warnings: [...done.warnings, ...((await later) ?? [])]};
  }
  const began = await serverTime(redis);
  const warnings: string[] = [];
  const later: Promise<string[]>[] = [];
  let changed = 0;
  for (const session of sessions) {
    try {
      const done = await action.run({redis, session, journal: journal && {...journal, began}, ...answered});
      if (done.isChanged) changed++;
      warnings.push(...done.warnings);
      if (done.later !== undefined) later.push(done.later);
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      warnings.push(error.message);
      // What comes after it is not tried: nobody would know what became of it.
      if (error.code.startsWith('REDIS_') || error.code === 'OUTCOME_UNKNOWN') break;
    }
  }
  warnings.push(...(await Promise.all(later)).flat());
  const text = `${changed === 0 ? '' : '✓ '}${changed} of ${sessions.length} sessions ${action.done}`;
  return {text, warnings, isChanged: changed > 0};
}

/** A change of this view that can be undone, as the journal has it. */
export interface PreparedUndo {
  /** As in "freeze 'x'"; may hold untrusted text. */
  what: string;
  recorded: RecordedChange;
  /** Where it was asked about. */
  server: ServerInfo;
}

/** @throws TokengateError CHANGE_NOT_FOUND, JOURNAL_UNREADABLE */
export async function prepareUndo(redis: Redis, {change, what}: {change: string; what: string}): Promise<PreparedUndo> {
  const [recorded] = await findChanges(redis, [change]);
  if (recorded === undefined) throw new RangeError('a change that was found is missing');
  return {what, recorded, server: redis.server};
}

/** The question of `undo-change`. */
export function describeUndo({recorded, server}: PreparedUndo): string {
  const first = [...recorded.sessions.keys()].sort();
  return askAbout(undoVerb([recorded]), {count: first.length, first}, server);
}

/** What was spent since a reset can be kept. */
export function confirmUndo({recorded}: PreparedUndo): readonly Confirmation[] {
  const isReset = [...recorded.sessions.values()].some(({keys}) =>
    keys.some(({shape, after}) => shape === SPENT_KEYS && after !== undefined),
  );
  return isReset ? [...YES, {key: 'm', means: 'yes, and add what was spent since'}] : YES;
}

/** Puts back what was there. */
export async function undo(
  redis: Redis,
  {recorded}: PreparedUndo,
  {merge, journal}: {merge: boolean; journal: Journal | undefined},
): Promise<Done> {
  refuseReplica(redis);
  const began = await serverTime(redis);
  const change = undoChange(recorded, {now: began, force: false, merge, as: journal?.change});
  const ids = [...recorded.sessions.keys()].sort();
  const warnings: string[] = [];
  let [changed, isAsBefore] = [0, 0];
  let last = '';
  const options = {journal: journal && {...journal, began}, stop: new AbortController().signal};
  const looks = new SecondLooks(redis, undoLook, (found) => void warnings.push(...found.map(describeSighting)));
  for await (const outcomes of runBatch(redis, ids, change, options)) {
    looks.add(
      outcomes.flatMap((outcome) => (outcome.state === 'done' ? [outcome.result] : [])),
      options.journal,
    );
    for (const outcome of outcomes) {
      if (outcome.state === 'done') {
        [changed, last] = [changed + 1, `session '${outcome.id}', ${describeKeys(outcome.result.keys)}`];
      } else if (outcome.state === 'unchanged') isAsBefore++;
      else warnings.push(describeFailure(outcome));
    }
  }
  const {command, change: id} = recorded;
  await looks.finish();
  if (changed > 0) {
    const what = ids.length === 1 ? last : `${changed} of ${ids.length} sessions`;
    return {text: `✓ Undone ${command} (change ${id}): ${what}`, warnings, isChanged: true};
  }
  const why = isAsBefore > 0 ? 'it is as it was already' : `see tokengate undo-change ${id}`;
  return {text: `Nothing was undone of ${command} (change ${id}): ${why}`, warnings, isChanged: false};
}

function describeFailure(outcome: Exclude<Outcome<unknown>, {state: 'done' | 'unchanged'}>): string {
  const about = `Session '${outcome.id}': `;
  switch (outcome.state) {
    case 'failed':
      return `${about}${outcome.error.message}`;
    case 'unknown':
      return `${about}${outcome.cause.message} It is unknown whether it was changed. ${outcome.look}`;
    case 'not_done':
      return `${about}not done. ${outcome.cause?.message ?? ''}`;
    case 'not_found':
      return `${about}not found.`;
  }
}

export function titleOf({verb}: Action, sessions: readonly Session[]): string {
  return `${capitalize(verb)}: ${sessions.length === 1 ? (sessions[0]?.id ?? '') : `${sessions.length} sessions`}`;
}

/** So many are named in a question. */
const NAMED = 20;

function name(sessions: readonly Session[]): string {
  const names = sessions.slice(0, NAMED).map(({id}) => `'${id}'`);
  if (sessions.length === 1) return names.join('');
  const more = sessions.length > NAMED ? `, and ${sessions.length - NAMED} more` : '';
  return `${sessions.length} sessions (${names.join(', ')}${more})`;
}

/** @returns seconds; undefined for a freeze without end */
function parseLength(typed: string): number | undefined {
  return typed === 'forever' ? undefined : parseDuration(typed);
}

function parseSigned(typed: string): Money {
  return typed.startsWith('-') ? parseAmount(typed.slice(1)).value.neg() : parseAmount(typed).value;
}

function refuseEmpty(typed: string): void {
  if (typed === '') throw new TokengateError('INVALID_REASON', 'The reason is empty.');
}

function show(amount: Money | null | undefined): string {
  return amount == null ? 'invalid' : formatExactMoney(amount);
}
