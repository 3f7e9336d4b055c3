import {BUDGET_KEYS, GRANTS_KEYS, keyOf, keysOf, type KeyShape, PERIOD_KEYS, SPENT_KEYS} from '../gateway/keys.js';
import {toHeld} from '../gateway/stored-value.js';
import {type PeriodState, type Renewing, toPeriodState, toRenewing} from '../periods/renewal.js';
import type {SpanOf} from '../periods/schedule.js';
import type {StoredPeriod} from '../periods/stored.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups, readAhead} from '../values/chunks.js';
import {matchesGlob} from '../values/glob.js';
import {type RawId, rawId} from '../values/session-id.js';
import {sortedOnce} from './sorted-ids.js';

/** A session that has a period or grants. */
export interface PeriodRow {
  key: RawId;
  /** Undefined when the period or the grants cannot be read. */
  state: PeriodState | undefined;
}

/** Sessions to read in one step. */
const PAGE = 1000;

/** The sessions with a period or grants whose IDs match a Redis glob, sorted. */
export async function scanPeriods(redis: Redis, glob?: string): Promise<RawId[]> {
  const bytesOfGlob = glob === undefined ? undefined : Buffer.from(glob);
  const ids: RawId[] = [];
  for await (const keys of redis.scan('tokengate:*:*')) {
    for (const key of keys) {
      const shape = [PERIOD_KEYS, GRANTS_KEYS].find(({prefix}) => key.toString('latin1', 0, prefix.length) === prefix);
      if (shape === undefined) continue;
      const id = key.subarray(shape.prefix.length);
      if (id.length > 0 && (!bytesOfGlob || matchesGlob(bytesOfGlob, id))) ids.push(rawId(id.toString('latin1')));
    }
  }
  return sortedOnce(ids);
}

/**
 * Reads periods and grants, some sessions at a time, in the given order.
 *
 * @param withAmounts also reads budgets and spending; otherwise they count as absent
 */
export function readPeriods(
  redis: Redis,
  ids: readonly RawId[],
  {withAmounts}: {withAmounts: boolean},
): AsyncGenerator<PeriodRow[]> {
  const shapes = [PERIOD_KEYS, GRANTS_KEYS, ...(withAmounts ? [BUDGET_KEYS, SPENT_KEYS] : [])];
  return readAhead(inGroups(ids, PAGE), (page) => readPage(redis, page, shapes));
}

async function readPage(redis: Redis, ids: readonly RawId[], shapes: readonly KeyShape[]): Promise<PeriodRow[]> {
  const [values] = await redis.pipeline([['MGET', ...keysOf(shapes, ids)]]);
  if (values instanceof ErrorReply) throw redis.explain(values);
  const held = inGroups(
    (values as (string | null)[]).map((value) => toHeld(redis, value)),
    shapes.length,
  );
  const broken = await findNoTexts(
    redis,
    ids.filter((_, index) => held[index]?.[0] === false),
  );
  return ids.map((key, index) => ({key, state: broken.has(key) ? undefined : toPeriodState(held[index] ?? [])}));
}

/** Sessions whose period has another Redis type: MGET answers null for it, as for an absent key. */
async function findNoTexts(redis: Redis, ids: readonly RawId[]): Promise<Set<RawId>> {
  const types = await redis.pipeline(ids.map((id) => ['TYPE', keyOf(PERIOD_KEYS, id)]));
  return new Set(ids.filter((_, index) => !['none', 'string'].includes(String(types[index]))));
}

/**
 * The state of each period; null if it cannot be read. Time zones are loaded only if a session has a period.
 *
 * @param match a Redis glob over IDs
 */
export async function readRenewing(
  redis: Redis,
  {match, now, graceMs}: {match: string | undefined; now: Date; graceMs?: number | undefined},
): Promise<Map<RawId, Renewing | null>> {
  const found = new Map<RawId, Renewing | null>();
  const ids = await scanPeriods(redis, match);
  if (ids.length === 0) return found;
  const spanOf = await loadCalendar();
  for await (const page of readPeriods(redis, ids, {withAmounts: false})) {
    for (const {key, state} of page) found.set(key, state ? toRenewing(state, now, spanOf, graceMs) : null);
  }
  return found;
}

/** The state of the period of one session. */
export async function judgePeriod({now, period, grants}: StoredPeriod): Promise<Renewing | null> {
  const state = period === true || grants === true ? undefined : toPeriodState([period, grants]);
  return state === undefined ? null : toRenewing(state, now, await loadCalendar());
}

async function loadCalendar(): Promise<SpanOf> {
  const {makeCalendar} = await import('../periods/calendar.js');
  return makeCalendar();
}
