import {setImmediate as nextTurn} from 'node:timers/promises';

import {readCount} from '../gateway/anomaly-stats.js';
import {type FreezeState, NOT_FROZEN, toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  keyOf,
  type KeyShape,
  keysOf,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {percentageOf, type Session, toSession} from '../gateway/session.js';
import {type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import {toHeld} from '../gateway/stored-value.js';
import {type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {scanServer} from '../redis/scan-server.js';
import {inGroups} from '../values/chunks.js';
import {matchesGlob} from '../values/glob.js';
import {type Money, ZERO} from '../values/money.js';
import {nameOf, rawId, type RawId} from '../values/session-id.js';
import type {Facts, Filter} from './filter.js';
import {SortedIds, sortPages} from './sorted-ids.js';

/**
 * Sessions are read this many at a time. Measured on lists of 100,000: with 250 they take 5 % more CPU time; with 4000 no
 * less, 20 MiB more memory, and Redis is held up for 14 ms at a time in place of 2.
 */
const PAGE = 1000;
/** Of a page so many are made into sessions at a time, so that they are gone again before the garbage collector counts them as old. */
const SLICE = 100;

/** The ID in every key of a shape, each once, sorted. With a Redis glob, of those that match it. */
export async function scanIds(redis: Redis, shape: KeyShape, glob?: string): Promise<RawId[]> {
  return sortPages(scanPages(redis, shape, glob));
}

async function* scanPages(redis: Redis, {prefix, suffix}: KeyShape, glob = '*'): AsyncGenerator<RawId[]> {
  const {pattern, isExact} = narrow(glob);
  const bytesOfGlob = isExact ? undefined : Buffer.from(glob);
  for await (const keys of scanKeys(redis, `${prefix}${pattern}${suffix}`)) {
    const page: RawId[] = [];
    for (const key of keys) {
      const id = rawId(key.toString('latin1', prefix.length, key.length - suffix.length));
      if (id === '' || (bytesOfGlob && !matchesGlob(bytesOfGlob, Buffer.from(id, 'latin1')))) continue;
      page.push(id);
    }
    yield page;
  }
}

/** Keys that match a pattern, page by page; while one is used the next is under way. A key may come twice. */
export async function* scanKeys(redis: Redis, pattern: string): AsyncGenerator<Buffer[]> {
  if (redis.cluster !== undefined) {
    yield* redis.cluster.scan(pattern);
    return;
  }
  const ask = async (command: Command): Promise<unknown> => (await redis.pipelineBytes([command]))[0];
  yield* scanServer({ask, explain: (reply) => redis.explain(reply)}, pattern);
}

/**
 * What stands for an ID in a pattern of whole keys. A bracket or a backslash could take in what follows the ID: then the
 * pattern only narrows it down (`isExact` is false), and each ID has to be matched.
 */
export function narrow(glob = '*'): {pattern: string; isExact: boolean} {
  const isExact = !/[[\\]/.test(glob);
  return {pattern: isExact ? glob : glob.replace(/[[\\*?].*/s, '*'), isExact};
}

/**
 * Reads sessions, some at a time, in the order given; the next page is under way while one is used. A session without a
 * budget is left out. With `now` the freeze of each is read too.
 */
export async function* readSessions(redis: Redis, ids: Iterable<RawId>, now?: Date): AsyncGenerator<Session[]> {
  for await (const rows of readRows(redis, ids, now))
    yield rows.flatMap((row) => toListedSession(redis, row, now) ?? []);
}

async function* readRows(redis: Redis, ids: Iterable<RawId>, now: Date | undefined): AsyncGenerator<Row[]> {
  const pages = inPages(ids);
  const begin = (): Promise<Row[]> | undefined => {
    const {value} = pages.next();
    const answer = value && readPage(redis, value, now);
    // When the reader stops early nobody waits for the next page.
    answer?.catch(() => undefined);
    return answer;
  };
  let next = begin();
  while (next !== undefined) {
    const page = await next;
    next = begin();
    // The client writes in its next turn: the server then works while this page is used.
    await nextTurn();
    yield* inGroups(page, SLICE);
  }
}

function* inPages(ids: Iterable<RawId>): Generator<RawId[], undefined> {
  let page: RawId[] = [];
  for (const id of ids) {
    page.push(id);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/**
 * Every freeze that stands in Redis, over or not, of sessions without a budget too. Unlike `readSessions` it reads each
 * key alone, so that one of a wrong type, or that this user may not read, is not taken for no freeze.
 */
export async function readFreezes(
  redis: Redis,
  match: string | undefined,
  now: Date,
): Promise<Map<RawId, FreezeState>> {
  return readAll(redis, [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS], match, (id, [until, reason]) =>
    toFreezeState(nameOf(id), toHeld(redis, until), toHeld(redis, reason), now),
  );
}

/** Every count of requests that stands in Redis: few, since each lives for a minute. Null is what is not a count. */
export async function readRequestCounts(redis: Redis, match: string | undefined): Promise<Map<RawId, number | null>> {
  return readAll(redis, [REQUEST_COUNT_KEYS], match, (_, [reply]) => {
    return readCount(toHeld(redis, reply));
  });
}

/** Reads some keys of each session that has the first of them. */
async function readAll<T>(
  redis: Redis,
  shapes: readonly [KeyShape, ...KeyShape[]],
  match: string | undefined,
  read: (id: RawId, replies: unknown[]) => T,
): Promise<Map<RawId, T>> {
  const ids = await scanIds(redis, shapes[0], match);
  const found = new Map<RawId, T>();
  for (const page of inGroups(ids, PAGE)) {
    const replies = await redis.pipeline(page.flatMap((id) => shapes.map((shape) => ['GET', keyOf(shape, id)])));
    for (const [index, id] of page.entries()) {
      found.set(id, read(id, replies.slice(index * shapes.length, (index + 1) * shapes.length)));
    }
  }
  return found;
}

export interface ListOptions {
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** Only those that are frozen. */
  frozen?: boolean;
  sort?: SortField;
  reverse?: boolean;
  /** At most so many. */
  limit?: number | undefined;
  /** With it the freeze of each is read too; needed by `frozen`, and by `where` when it speaks of `frozen`. */
  now?: Date | undefined;
}

/**
 * Sessions that have a budget, page by page. Sorted by ID they are read while they are used, and only their IDs are
 * held in memory; any other order needs what Redis holds of all of them, or of as many as `limit` says.
 */
export async function* listSessions(redis: Redis, options: ListOptions = {}): AsyncGenerator<Session[]> {
  const {match, where, frozen = false, sort = 'id', reverse = false, limit = Infinity, now} = options;
  const isWanted = (session: Session): boolean =>
    (!frozen || session.freeze?.isFrozen === true) && (where === undefined || passes(where, session));
  const ids = new SortedIds();
  for await (const page of scanPages(redis, BUDGET_KEYS, match)) ids.add(page);
  if (sort !== 'id') {
    const rows: SortedRow[] = [];
    const valueIn = (session: Session): Money | null => (sort === 'used' ? session.percentageUsed : session[sort]);
    const valueOf = (row: Row): Money | null => {
      const session = toListedSession(redis, row, now);
      return session === undefined ? null : valueIn(session);
    };
    const sorted = (): SortedRow[] => sortRows(rows, reverse, valueOf).slice(0, limit);
    for await (const page of readRows(redis, ids.read({reverse: false}), now)) {
      for (const row of page) {
        const session = toListedSession(redis, row, now);
        if (session && isWanted(session)) rows.push({row, nearest: toNumber(valueIn(session)), value: undefined});
      }
      // What cannot be among the first any more.
      if (rows.length > 2 * limit + PAGE) rows.splice(0, rows.length, ...sorted());
    }
    for (const some of inGroups(sorted(), SLICE)) yield some.flatMap(({row}) => toListedSession(redis, row, now) ?? []);
    return;
  }
  let left = limit;
  if (left === 0) return;
  for await (const page of readSessions(redis, ids.read({reverse}), now)) {
    const wanted = page.filter(isWanted).slice(0, left);
    yield wanted;
    left -= wanted.length;
    if (left === 0) return;
  }
}

export function passes(filter: Filter, session: Session): boolean {
  return filter.matches(toFacts(session));
}

/** For what watches over sessions: one whose values cannot be read passes too, unless the filter certainly excludes it. */
export function mayPass(filter: Filter, session: Session): boolean {
  return filter.mayMatch(toFacts(session));
}

function toFacts({id, budget, spent, remaining, percentageUsed, freeze}: Session): Facts {
  return {id, budget, spent, remaining, used: percentageUsed, frozen: freeze?.isFrozen ?? null};
}

export const SORT_FIELDS = ['id', 'budget', 'spent', 'remaining', 'used'] as const;
type SortField = (typeof SORT_FIELDS)[number];

/** What Redis answered for one session: little memory beside the session that is made of it. */
interface Row {
  id: RawId;
  /** A text, null, or the error of a GET. */
  budget: unknown;
  spent: unknown;
  until: unknown;
  reason: unknown;
}

interface SortedRow {
  row: Row;
  /** The binary number next to its value: small, fast to compare, and never the wrong way round. Null for no money. */
  nearest: number | null;
  /** Exact; only known once another has the same number. */
  value: Money | null | undefined;
}

function toNumber(value: Money | null): number | null {
  return value === null ? null : Number(value.toString());
}

/** Sorts in place, and keeps the order of those that are equal; what is not money comes last. */
function sortRows(rows: SortedRow[], reverse: boolean, valueOf: (row: Row) => Money | null): SortedRow[] {
  const direction = reverse ? -1 : 1;
  const exact = (sorted: SortedRow): Money | null => (sorted.value ??= valueOf(sorted.row));
  return rows.sort((a, b) => {
    if (a.nearest === null || b.nearest === null) return Number(a.nearest === null) - Number(b.nearest === null);
    if (a.nearest !== b.nearest) return a.nearest < b.nearest ? -direction : direction;
    return direction * (exact(a)?.cmp(exact(b) ?? ZERO) ?? 0);
  });
}

/**
 * MGET answers null for a key of a wrong type too, and fails whole for one that may not be read: GET tells them apart.
 * Few sessions are frozen, so that only how many of the ends exist is asked, of all of them at once.
 */
async function readPage(redis: Redis, ids: readonly RawId[], now: Date | undefined): Promise<Row[]> {
  const count = ids.length;
  const amountKeys = [...keysOf([BUDGET_KEYS], ids), ...keysOf([SPENT_KEYS], ids)];
  const endKeys = now === undefined ? [] : keysOf([FROZEN_UNTIL_KEYS], ids);
  const freezeKeys = now === undefined ? [] : [...endKeys, ...keysOf([FREEZE_REASON_KEYS], ids)];
  const [amountReply, freezeReply, existing] = await redis.pipeline([
    ['MGET', ...amountKeys],
    ...(now === undefined
      ? []
      : [
          ['MGET', ...freezeKeys],
          ['EXISTS', ...endKeys],
        ]),
  ]);
  const freezes = now === undefined ? [] : valuesOf(redis, freezeReply, freezeKeys.length);
  const isRefused = freezeReply instanceof ErrorReply;
  const areEndsUnclear = isRefused || (now !== undefined && hidesSome(redis, freezes.slice(0, count), existing));
  const isReasonUnclear = (index: number): boolean => isRefused || freezes[index] !== null;

  const keys = [...amountKeys, ...freezeKeys];
  const values: unknown[] = [...valuesOf(redis, amountReply, amountKeys.length), ...freezes];
  const unclear = [...keys.keys()].filter((index) => {
    if (values[index] !== null) return false;
    return index < 2 * count || (index < 3 * count ? areEndsUnclear : isReasonUnclear(index - 3 * count));
  });
  const replies = unclear.length === 0 ? [] : await redis.pipeline(unclear.map((index) => ['GET', keys[index] ?? '']));
  for (const [nth, index] of unclear.entries()) values[index] = replies[nth];
  return ids.map((id, index) => ({
    id,
    budget: values[index],
    spent: values[count + index],
    until: values[2 * count + index] ?? null,
    reason: values[3 * count + index] ?? null,
  }));
}

/**
 * True when there are more (or fewer) keys than MGET gave values of, so that a null may stand for one of a wrong type.
 * Where EXISTS is not allowed, it is not known.
 */
export function hidesSome(redis: Redis, values: readonly unknown[], existing: unknown): boolean {
  if (!(existing instanceof ErrorReply)) return existing !== values.filter((value) => value !== null).length;
  if (!existing.message.startsWith('NOPERM')) throw redis.explain(existing);
  return false;
}

/** Like an amount, a freeze that this user may not read is not known, and no reason to show nothing. */
export function toListedFreeze(redis: Redis, name: string, until: unknown, reason: unknown, now: Date): FreezeState {
  const problem = (what: string): string =>
    `The freeze ${what} of session '${name}' is not readable: this Redis user lacks a permission on its key.`;
  if (isUnreadable(until)) return {...NOT_FROZEN, isFrozen: null, problems: [problem('end')]};
  const end = toHeld(redis, until);
  if (!isUnreadable(reason)) return toFreezeState(name, end, toHeld(redis, reason), now);
  const state = toFreezeState(name, end, false, now);
  return until === null ? state : {...state, problems: [...state.problems, problem('reason')]};
}

/** Undefined without a budget: it was removed since the scan saw its key. */
function toListedSession(redis: Redis, row: Row, now: Date | undefined): Session | undefined {
  const {id} = row;
  const budget = toListed(redis, row.budget);
  if (budget.state === 'absent') return undefined;
  const freeze = now === undefined ? null : toListedFreeze(redis, nameOf(id), row.until, row.reason, now);
  return toSession(id, {budget, spent: toListed(redis, row.spent)}, freeze);
}

/** The values of an MGET; where it was refused for lack of a right, it is not known of any key. */
export function valuesOf(redis: Redis, reply: unknown, count: number): (string | null)[] {
  if (!(reply instanceof ErrorReply)) return reply as (string | null)[];
  if (!reply.message.startsWith('NOPERM')) throw redis.explain(reply);
  return Array.from({length: count}, () => null);
}

/** A key that this user may not read is no reason to show none. */
export function toListed(redis: Redis, reply: unknown): StoredAmount {
  if (isUnreadable(reply)) {
    return {state: 'invalid', why: 'not readable', effect: 'this Redis user lacks a permission on its key'};
  }
  return toStoredAmount(toHeld(redis, reply));
}

function isUnreadable(reply: unknown): boolean {
  return reply instanceof ErrorReply && /^NOPERM.* key/i.test(reply.message);
}

/** Sums over sessions; what is not money is left out. */
export interface Totals {
  count: number;
  budget: Money;
  spent: Money;
  /** Of those whose two amounts are both money. */
  remaining: Money;
  /** What is in these sums of sessions of which one amount is not money, or both. */
  partial: {count: number; budget: Money; spent: Money};
}

export const NO_TOTALS: Totals = {
  count: 0,
  budget: ZERO,
  spent: ZERO,
  remaining: ZERO,
  partial: {count: 0, budget: ZERO, spent: ZERO},
};

export function addToTotals(totals: Totals, sessions: readonly Session[]): Totals {
  const sum = (field: 'budget' | 'spent' | 'remaining'): Money =>
    sessions.reduce((total, session) => total.plus(session[field] ?? ZERO), totals[field]);
  return {
    count: totals.count + sessions.length,
    budget: sum('budget'),
    spent: sum('spent'),
    remaining: sum('remaining'),
    partial: sessions.reduce(addPartial, totals.partial),
  };
}

export function addPartial(sum: Totals['partial'], {budget, spent}: Session): Totals['partial'] {
  if (budget !== null && spent !== null) return sum;
  return {count: sum.count + 1, budget: sum.budget.plus(budget ?? ZERO), spent: sum.spent.plus(spent ?? ZERO)};
}

/** Spent, in percent of the budget, of those whose two amounts are both money. */
export function usedOf({budget, spent, partial}: Totals): Money {
  return percentageOf(budget.minus(partial.budget), spent.minus(partial.spent));
}

/** A sentence for what the sums leave out, if they do. */
export function describePartial({count}: Totals['partial']): string[] {
  if (count === 0) return [];
  return [`The sums leave out what is not an amount, of ${count === 1 ? 'one session' : `${count} sessions`}.`];
}
