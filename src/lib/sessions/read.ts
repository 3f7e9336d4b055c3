import {readCount} from '../gateway/anomaly-stats.js';
import {type FreezeState, NOT_FROZEN, toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  type KeyShape,
  keysOf,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {type Session, toSession} from '../gateway/session.js';
import {type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import {readMangled, toHeld} from '../gateway/stored-value.js';
import {ErrorReply, type Redis, type RedisText} from '../redis/contract.js';
import {inGroups, readAhead} from '../values/chunks.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {scanIds} from './scan-ids.js';

/**
 * Sessions are read this many at a time. Measured on lists of 100,000: with 250 they take 5 % more CPU time; with 4000 no
 * less, 20 MiB more memory, and Redis is held up for 14 ms at a time in place of 2.
 */
export const PAGE = 1000;
/** Of a page so many are made into sessions at a time, so that they are gone again before the garbage collector counts them as old. */
export const SLICE = 100;

/** Whose freezes are read, and the server's time, by which they are judged. */
export interface FreezeLook {
  now: Date;
  /** True for a session that may have one. It is asked of each in the order of reading. Without it all are looked at. */
  among?: ((id: RawId) => boolean) | undefined;
}

/**
 * Reads sessions, some at a time, in the order given; the next pages are under way while one is used. A session without a
 * budget is left out.
 */
export async function* readSessions(
  redis: Redis,
  ids: Iterable<RawId>,
  freezes: FreezeLook | 'skip',
): AsyncGenerator<Session[]> {
  for await (const rows of readRows(redis, ids, freezes)) {
    yield toSessions(redis, rows, freezes === 'skip' ? freezes : freezes.now);
  }
}

/** What Redis answered for each session, some at a time, in the order given. */
export async function* readRows(
  redis: Redis,
  ids: Iterable<RawId>,
  freezes: FreezeLook | 'skip',
): AsyncGenerator<Row[]> {
  for await (const page of readAhead(inPages(ids), (some) => readPage(redis, some, freezes))) {
    yield* inGroups(page, SLICE);
  }
}

function* inPages(ids: Iterable<RawId>): Generator<RawId[]> {
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
    const keys = keysOf(shapes, page);
    const replies = await redis.pipeline(keys.map((key) => ['GET', key]));
    await readMangled(redis, keys, replies);
    for (const [index, id] of page.entries()) {
      found.set(id, read(id, replies.slice(index * shapes.length, (index + 1) * shapes.length)));
    }
  }
  return found;
}

/** What Redis answered for one session: little memory beside the session that is made of it. */
export interface Row {
  id: RawId;
  /** A text, null, or the error of a GET. */
  budget: unknown;
  spent: unknown;
  until: unknown;
  reason: unknown;
}

/**
 * MGET answers null for a key of a wrong type too, and fails whole for one that may not be read: GET tells them apart, and
 * is asked only where EXISTS does not say that there is nothing.
 */
async function readPage(redis: Redis, ids: readonly RawId[], look: FreezeLook | 'skip'): Promise<Row[]> {
  const asked = look === 'skip' ? [] : look.among === undefined ? ids : ids.filter(look.among);
  const keys = [BUDGET_KEYS, SPENT_KEYS].flatMap((shape) => keysOf([shape], ids));
  const freezeKeys = [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS].flatMap((shape) => keysOf([shape], asked));
  const [amounts, freezes] = await redis.pipeline([
    ['MGET', ...keys],
    ...(freezeKeys.length === 0 ? [] : [['MGET', ...freezeKeys]]),
  ]);
  const values: unknown[] = valuesOf(redis, amounts, keys.length);
  if (freezeKeys.length > 0) values.push(...valuesOf(redis, freezes, freezeKeys.length));
  const all = [...keys, ...freezeKeys];
  const [count, until, reason] = [ids.length, 2 * ids.length, 2 * ids.length + asked.length];
  await readUnclear(redis, all, values, 0, reason);
  // A reason without an end says nothing.
  await readUnclear(redis, all, values, reason, all.length, (index) => values[index - asked.length] !== null);
  await readMangled(redis, all, values);

  let nth = 0;
  return ids.map((id, index) => {
    const at = asked[nth] === id ? nth++ : undefined;
    return {
      id,
      budget: values[index],
      spent: values[count + index],
      until: at === undefined ? null : values[until + at],
      reason: at === undefined ? null : values[reason + at],
    };
  });
}

/** Reads again, one by one, what an MGET gave no value of, unless there is nothing. */
async function readUnclear(
  redis: Redis,
  keys: readonly RedisText[],
  values: unknown[],
  start: number,
  end: number,
  matters: (index: number) => boolean = () => true,
): Promise<void> {
  const unclear: number[] = [];
  for (let index = start; index < end; index++) if (values[index] === null && matters(index)) unclear.push(index);
  if (unclear.length === 0) return;
  const [existing] = await redis.pipeline([['EXISTS', ...unclear.map((index) => keys[index] ?? '')]]);
  if (existing === 0) return;
  const replies = await redis.pipeline(unclear.map((index) => ['GET', keys[index] ?? '']));
  for (const [nth, index] of unclear.entries()) values[index] = replies[nth];
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

/**
 * Those of which there is a budget: it may have been removed since the scan saw its key.
 *
 * @param now by which freezes are judged, if they were read
 */
export function toSessions(redis: Redis, rows: readonly Row[], now: Date | 'skip'): Session[] {
  const sessions: Session[] = [];
  for (const row of rows) {
    const session = toListedSession(redis, row, now);
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}

function toListedSession(redis: Redis, row: Row, now: Date | 'skip'): Session | undefined {
  const {id} = row;
  const budget = toListed(redis, row.budget);
  if (budget.state === 'absent') return undefined;
  const freeze = now === 'skip' ? null : toListedFreeze(redis, nameOf(id), row.until, row.reason, now);
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
