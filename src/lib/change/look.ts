import {type KeyShape, keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {ErrorReply, type Redis, type RedisText} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {isAscii, nameOf, type RawId} from '../values/session-id.js';
import type {Change, Preview} from './change.js';

export interface Values {
  held: Held[];
  /** The PTTLs of the `lives` keys. */
  lives: number[];
}

export const NOTHING: Values = {held: [], lives: []};

/** The values of some keys of sessions, as bytes, and the PTTLs of some of them. */
export async function readValues(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
  lives: readonly KeyShape[] = [],
): Promise<(Values | TokengateError)[]> {
  const keys = keysOf(shapes, ids);
  const [values, ttls] = await Promise.all([
    ids.length === 1 ? getEach(redis, keys) : getAll(redis, keys),
    lives.length === 0 ? [] : redis.pipeline(keysOf(lives, ids).map((key) => ['PTTL', key])),
  ]);
  return ids.map((_, index): Values | TokengateError => {
    const [first, ttl] = [index * shapes.length, index * lives.length];
    try {
      return {
        held: shapes.map((__, key) => toHeld(redis, values[first + key])),
        lives: lives.length === 0 ? NOTHING.lives : ttls.slice(ttl, ttl + lives.length).map(Number),
      };
    } catch (error) {
      // One unreadable key is no reason to report nothing about the others.
      if (!(error instanceof TokengateError)) throw error;
      return error;
    }
  });
}

function getEach(redis: Redis, keys: readonly RedisText[]): Promise<unknown[]> {
  return redis.pipelineBytes(keys.map((key) => ['GET', key]));
}

/**
 * The same replies for many keys, in few commands: ASCII as text, null for no key. Only values that are not ASCII are read
 * one by one, and keys without a value if some of them exist: MGET also returns null for a wrong type.
 */
async function getAll(redis: Redis, keys: readonly RedisText[]): Promise<unknown[]> {
  const [reply] = await redis.pipeline([['MGET', ...keys]]);
  // One unreadable key fails the whole MGET.
  if (reply instanceof ErrorReply) return getEach(redis, keys);
  const values = reply as (string | null)[];
  const absent: number[] = [];
  const unclear: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? null;
    if (value === null) absent.push(index);
    else if (!isAscii(value)) unclear.push(index);
  }
  const textOf = (index: number): RedisText => keys[index] ?? '';
  if (absent.length > 0) {
    const [existing] = await redis.pipeline([['EXISTS', ...absent.map(textOf)]]);
    if (existing !== 0) unclear.push(...absent);
  }
  if (unclear.length === 0) return values;
  const found: unknown[] = [...values];
  const replies = await getEach(redis, unclear.map(textOf));
  for (const [nth, index] of unclear.entries()) found[index] = replies[nth];
  return found;
}

/** Reads the present values of each session, and what the change would do to it. */
export async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const values = await readValues(redis, ids, change.lookAt, change.lives);
  const rare = 'rare' in change ? await readRare(redis, ids, change.rare) : [];
  return ids.map((id, index): Preview => {
    const found = values[index] ?? NOTHING;
    if (found instanceof TokengateError) return {id: nameOf(id), now: 'not readable', state: 'failed', error: found};
    return change.preview(id, [...found.held, ...rare.slice(index, index + 1)], found.lives);
  });
}

/** The values of a key that hardly any session has; none for a user who may not ask. */
async function readRare(redis: Redis, ids: readonly RawId[], shape: KeyShape): Promise<Held[]> {
  const keys = keysOf([shape], ids);
  const [count] = await redis.pipeline([['EXISTS', ...keys]]);
  if (count === 0 || count instanceof ErrorReply) return [];
  return (await getEach(redis, keys)).map((reply) => toHeld(redis, reply));
}
