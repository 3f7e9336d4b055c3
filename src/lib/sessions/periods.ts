import {BUDGET_KEYS, GRANTS_KEYS, keyOf, keysOf, type KeyShape, PERIOD_KEYS, SPENT_KEYS} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
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

/** Sessions that a scan has found. */
export interface Scanned {
  /** Those with a period or grants. */
  ids: RawId[];
  /** Those with grants. */
  granted: ReadonlySet<RawId>;
}

/** The sessions with a period or grants whose IDs match a Redis glob, sorted. */
export async function scanPeriods(redis: Redis, glob?: string): Promise<Scanned> {
  const ids: RawId[] = [];
  const granted = new Set<RawId>();
  for await (const page of scanOwn(redis, glob)) {
    ids.push(...page.ids);
    for (const id of page.granted) granted.add(id);
  }
  return {ids: sortedOnce(ids), granted};
}

/** The same page by page, in no order. */
async function* scanOwn(redis: Redis, glob: string | undefined): AsyncGenerator<Scanned> {
  const bytesOfGlob = glob === undefined ? undefined : Buffer.from(glob);
  for await (const keys of redis.scan('tokengate:*:*')) {
    const ids: RawId[] = [];
    const granted = new Set<RawId>();
    for (const key of keys) {
      const shape = [PERIOD_KEYS, GRANTS_KEYS].find(({prefix}) => key.toString('latin1', 0, prefix.length) === prefix);
      if (shape === undefined) continue;
      const bytes = key.subarray(shape.prefix.length);
      if (bytes.length === 0 || (bytesOfGlob && !matchesGlob(bytesOfGlob, bytes))) continue;
      const id = rawId(bytes.toString('latin1'));
      ids.push(id);
      if (shape === GRANTS_KEYS) granted.add(id);
    }
    if (ids.length > 0) yield {ids, granted};
  }
}

/**
 * Reads periods and grants, some sessions at a time, in the given order.
 *
 * @param withAmounts also reads budgets and spending; otherwise they count as absent
 */
export function readPeriods(
  redis: Redis,
  {ids, granted}: Scanned,
  {withAmounts}: {withAmounts: boolean},
): AsyncGenerator<PeriodRow[]> {
  const shapes = withAmounts ? [PERIOD_KEYS, BUDGET_KEYS, SPENT_KEYS] : [PERIOD_KEYS];
  return readAhead(inGroups(ids, PAGE), (page) => readPage(redis, {ids: page, granted}, shapes));
}

/**
 * Reads the same without amounts while it still scans, in no order. A session with both comes twice, and may come
 * without its grants the first time.
 */
export function readFound(redis: Redis, glob: string | undefined): AsyncGenerator<PeriodRow[]> {
  return readAhead(scanOwn(redis, glob), (page) => readPage(redis, page, [PERIOD_KEYS]));
}

async function readPage(redis: Redis, {ids, granted}: Scanned, shapes: readonly KeyShape[]): Promise<PeriodRow[]> {
  const given = granted.size === 0 ? [] : ids.filter((id) => granted.has(id));
  const [held, grants] = await Promise.all([readTexts(redis, shapes, ids), readTexts(redis, [GRANTS_KEYS], given)]);
  const broken = new Set([
    ...(await findNoTexts(redis, PERIOD_KEYS, ids, held)),
    ...(await findNoTexts(redis, GRANTS_KEYS, given, grants)),
  ]);
  const grantsOf = new Map(given.map((id, index) => [id, grants[index]?.[0] ?? false]));
  return ids.map((key, index): PeriodRow => {
    const [period = false, ...amounts] = held[index] ?? [];
    const state = broken.has(key) ? undefined : toPeriodState([period, grantsOf.get(key) ?? false, ...amounts]);
    return {key, state};
  });
}

/** The values of each session; false for one that is not text. */
async function readTexts(redis: Redis, shapes: readonly KeyShape[], ids: readonly RawId[]): Promise<Held[][]> {
  if (ids.length === 0) return [];
  const [values] = await redis.pipeline([['MGET', ...keysOf(shapes, ids)]]);
  if (values instanceof ErrorReply) throw redis.explain(values);
  return inGroups(
    (values as (string | null)[]).map((value) => toHeld(redis, value)),
    shapes.length,
  );
}

/** Sessions whose key has another Redis type: MGET answers null for it, as for an absent key. */
async function findNoTexts(
  redis: Redis,
  shape: KeyShape,
  ids: readonly RawId[],
  held: readonly Held[][],
): Promise<RawId[]> {
  const open = ids.filter((_, index) => held[index]?.[0] === false);
  const types = await redis.pipeline(open.map((id) => ['TYPE', keyOf(shape, id)]));
  return open.filter((_, index) => !['none', 'string'].includes(String(types[index])));
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
  const scanned = await scanPeriods(redis, match);
  if (scanned.ids.length === 0) return found;
  const spanOf = await loadCalendar();
  for await (const page of readPeriods(redis, scanned, {withAmounts: false})) {
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
