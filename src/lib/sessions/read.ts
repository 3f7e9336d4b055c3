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
import {scanIds, scanPages} from './scan-ids.js';
import {SortedIds} from './sorted-ids.js';

/**
 * Sessions to read in one step. Measured with 100,000 sessions: 250 takes 5 % more CPU time; 1,000 takes no less, 8 MiB
 * more memory (of a million sessions 20), and holds Redis up for twice as long at a time.
 */
export const PAGE = 500;
/** Sessions of a page to build at a time, so that they are gone before the garbage collector counts them as old. */
export const SLICE = 100;

/** Which freezes to read, and the server's time to judge them by. */
export interface FreezeLook {
  now: Date;
  /** True for a session that may be frozen, asked for each in reading order. Without it, all freezes are read. */
  among?: ((id: RawId) => boolean) | undefined;
}

/** Reads sessions, some at a time, in the given order, reading pages ahead. Sessions without a budget are left out. */
export async function* readSessions(
  redis: Redis,
  ids: Iterable<RawId>,
  freezes: FreezeLook | 'skip',
): AsyncGenerator<Session[]> {
  for await (const rows of readRows(redis, ids, freezes)) {
    yield toSessions(redis, rows, freezes === 'skip' ? freezes : freezes.now);
  }
}

/** Redis's answers for each session, some at a time, in the given order. */
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
 * Every freeze in Redis, over or not, also of sessions without a budget. Unlike `readSessions` it reads each key alone:
 * one that has a wrong type, or that this user may not read, does not pass for no freeze.
 */
export async function readFreezes(
  redis: Redis,
  match: string | undefined,
  now: Date,
): Promise<Map<RawId, FreezeState>> {
  return readFreezesOf(redis, await scanIds(redis, FROZEN_UNTIL_KEYS, match), now);
}

/**
 * The same, with every count of requests, found in one scan: few, since each lives for a minute. Null when it is not a
 * count.
 */
export async function readFreezesAndCounts(
  redis: Redis,
  match: string | undefined,
  now: Date,
): Promise<{freezes: Map<RawId, FreezeState>; requests: Map<RawId, number | null>}> {
  const [frozen, counted] = [new SortedIds(), new SortedIds()];
  for await (const [some, others] of scanPages(redis, [FROZEN_UNTIL_KEYS, REQUEST_COUNT_KEYS], match)) {
    frozen.add(some);
    counted.add(others);
  }
  return {
    freezes: await readFreezesOf(redis, [...frozen.read({reverse: false})], now),
    requests: await readAll(redis, [REQUEST_COUNT_KEYS], [...counted.read({reverse: false})], (_, [reply]) =>
      readCount(toHeld(redis, reply)),
    ),
  };
}

function readFreezesOf(redis: Redis, ids: readonly RawId[], now: Date): Promise<Map<RawId, FreezeState>> {
  return readAll(redis, [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS], ids, (id, [until, reason]) =>
    toFreezeState(nameOf(id), toHeld(redis, until), toHeld(redis, reason), now),
  );
}

/** Reads some keys of each session. */
async function readAll<T>(
  redis: Redis,
  shapes: readonly KeyShape[],
  ids: readonly RawId[],
  read: (id: RawId, replies: unknown[]) => T,
): Promise<Map<RawId, T>> {
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

/** Redis's answers for one session; they take little memory compared with the session made from them. */
export interface Row {
  id: RawId;
  /** A text, null, or the error of a GET. */
  budget: unknown;
  spent: unknown;
  until: unknown;
  reason: unknown;
}

/**
 * MGET also answers null for a key of a wrong type, and is refused as a whole for a key that the user may not read. GET
 * tells these cases apart; it is sent only where EXISTS does not say that the key is absent.
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

/** Reads the keys again that MGET gave no value for, one by one, unless they are absent. */
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
 * True when more (or fewer) keys exist than MGET gave values for, so that a null may stand for a key of a wrong type.
 * Undecided where EXISTS is not allowed.
 */
export function hidesSome(redis: Redis, values: readonly unknown[], existing: unknown): boolean {
  if (!(existing instanceof ErrorReply)) return existing !== values.filter((value) => value !== null).length;
  if (!existing.message.startsWith('NOPERM')) throw redis.explain(existing);
  return false;
}

/** A freeze that this user may not read is unknown, like an amount; that is no reason to show nothing. */
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
 * Leaves out sessions without a budget: it may have been removed after the scan saw its key.
 *
 * @param now judges the freezes, if they were read
 */
export function toSessions(redis: Redis, rows: readonly Row[], now: Date | 'skip'): Session[] {
  const sessions: Session[] = [];
  for (const row of rows) {
    const session = toListedSession(redis, row, now);
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}

/** Undefined without a budget. */
export function toListedSession(redis: Redis, row: Row, now: Date | 'skip'): Session | undefined {
  const {id} = row;
  const budget = toListed(redis, row.budget);
  if (budget.state === 'absent') return undefined;
  const freeze = now === 'skip' ? null : toListedFreeze(redis, nameOf(id), row.until, row.reason, now);
  return toSession(id, {budget, spent: toListed(redis, row.spent)}, freeze);
}

/** The values of an MGET; if it was refused for lack of a right, all of them are unknown. */
export function valuesOf(redis: Redis, reply: unknown, count: number): (string | null)[] {
  if (!(reply instanceof ErrorReply)) return reply as (string | null)[];
  if (!reply.message.startsWith('NOPERM')) throw redis.explain(reply);
  return Array.from({length: count}, () => null);
}

/** A key that this user may not read is no reason to hide the others. */
export function toListed(redis: Redis, reply: unknown): StoredAmount {
  if (isUnreadable(reply)) {
    return {state: 'invalid', why: 'not readable', effect: 'this Redis user lacks a permission on its key'};
  }
  return toStoredAmount(toHeld(redis, reply));
}

function isUnreadable(reply: unknown): boolean {
  return reply instanceof ErrorReply && /^NOPERM.* key/i.test(reply.message);
}
