import {
  HISTORY_KEYS,
  keyOf,
  keysOf,
  REQUEST_COUNT_KEYS,
  SEEN_KEY,
  SPENT_KEYS,
  spentDayKey,
  fieldOf,
} from '../gateway/keys.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {idMatcher} from '../values/glob.js';
import type {Money} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {formatDuration, formatUtc} from '../values/time.js';
import {loadDays} from './days.js';
import {findLedger} from './ledger.js';
import {parseSeen, toPresent} from './seen.js';

/** Returns the idle sessions among these. */
export type FindIdle = (ids: readonly RawId[]) => Promise<RawId[]>;

const CHUNK = 1000;

/**
 * Finds the sessions that have spent nothing for this long according to the ledger, and nothing since its last
 * recording, and of whose requests Redis holds none. Whole days count, so they have been idle for at least this long.
 *
 * @throws TokengateError NOT_RECORDED when recording does not go back that far
 */
export async function openIdle(redis: Redis, seconds: number, now: Date): Promise<FindIdle> {
  const ledger = await findLedger(redis);
  const {dayOf} = await loadDays(ledger.timezone);
  const since = new Date(Math.max(0, now.getTime() - seconds * 1000));
  const first = dayOf(since);
  const [kept = first] = ledger.days.keys();
  if (ledger.began > since || kept > first) {
    const begin = ledger.began > since ? formatUtc(ledger.began) : kept;
    throw new TokengateError(
      'NOT_RECORDED',
      `It is not known which sessions have been idle for ${formatDuration(seconds * 1000)}.`,
      {
        hint: `Spending has been recorded since ${begin}.`,
      },
    );
  }
  // Nothing is known of other sessions.
  const isRecorded = idMatcher(ledger.match);
  const days = [...ledger.days.keys()].filter((day) => day >= first).map(spentDayKey);
  return async (ids) => {
    const idle: RawId[] = [];
    for (const chunk of inGroups(ids.filter(isRecorded), CHUNK)) idle.push(...(await findIn(redis, chunk, days)));
    return idle;
  };
}

async function findIn(redis: Redis, ids: readonly RawId[], days: readonly string[]): Promise<RawId[]> {
  const fields = ids.map(fieldOf);
  const replies = await redis.pipeline([
    ['HMGET', SEEN_KEY, ...fields],
    ['MGET', ...keysOf([SPENT_KEYS], ids)],
    ...days.map((day) => ['HMGET', day, ...fields]),
  ]);
  for (const reply of replies) if (reply instanceof ErrorReply) throw redis.explain(reply);
  const [seen = [], spent = [], ...amounts] = replies as (string | null)[][];
  const quiet = ids.filter((_, index) => {
    const present: Money | null = toPresent(redis, spent[index]);
    const isAsSeen = present?.eq(parseSeen(seen[index] ?? null).amount) === true;
    return isAsSeen && amounts.every((day) => (day[index] ?? null) === null);
  });
  const asked = await redis.pipeline(
    quiet.flatMap((id) => [HISTORY_KEYS, REQUEST_COUNT_KEYS].map((shape) => ['EXISTS', keyOf(shape, id)])),
  );
  return quiet.filter((_, index) => asked[2 * index] === 0 && asked[2 * index + 1] === 0);
}
