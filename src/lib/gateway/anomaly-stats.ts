import type {Redis, RedisText} from '../redis/contract.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {type FreezeState, toFreezeState} from './freeze.js';
import {
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  keyOf,
  type KeyShape,
  KNOWN_KEYS,
  REQUEST_COUNT_KEYS,
} from './keys.js';
import {quoteStart, WRONG_TYPE} from './stored-text.js';
import {type Held, toHeldText} from './stored-value.js';

/** The gateway freezes a session for 300 s when it makes more requests than this without 60 s of rest. */
export const REQUEST_LIMIT = 100;

/** The gateway freezes a session for 300 s at this many identical requests in a row after the first. */
export const IDENTICAL_LIMIT = 3;

/** Reads a count as INCR does: a 64-bit integer in its shortest form that can still grow. Null for anything else. */
export function parseCount(text: string): number | null {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return null;
  const count = BigInt(text);
  return count >= -(2n ** 63n) && count < 2n ** 63n - 1n ? Number(count) : null;
}

export interface AnomalyStats {
  id: string;
  freeze: FreezeState;
  /** Requests since the last 60 s without one; null when Redis holds something else than a count. */
  requestsLastMinute: number | null;
  /** Identical requests in a row after the first; null when Redis holds something else than a count. */
  identicalConsecutive: number | null;
  /** False when Redis holds nothing at all for this ID. */
  isKnown: boolean;
  /** One sentence for each value that the gateway would not have written. May hold untrusted text. */
  problems: string[];
}

/** Reads the value of a count's key; null when it is not a count. */
export function readCount(held: Held): number | null {
  if (held === false) return 0;
  return held === true ? null : parseCount(held);
}

export async function findAnomalyStats(redis: Redis, id: RawId, {now}: {now: Date}): Promise<AnomalyStats> {
  const name = nameOf(id);
  const key = (shape: KeyShape): RedisText => keyOf(shape, id);
  const [until, reason, requests, identical, known] = await redis.pipelineBytes([
    ['GET', key(FROZEN_UNTIL_KEYS)],
    ['GET', key(FREEZE_REASON_KEYS)],
    ['GET', key(REQUEST_COUNT_KEYS)],
    ['GET', key(IDENTICAL_COUNT_KEYS)],
    ['EXISTS', ...KNOWN_KEYS.map(key)],
  ]);
  const freeze = toFreezeState(name, toHeldText(redis, until), toHeldText(redis, reason), now);
  const problems = [...freeze.problems];
  const countOf = (reply: unknown, what: string): number | null => {
    const held = toHeldText(redis, reply);
    const count = readCount(held);
    if (count !== null) return count;
    const found = typeof held === 'string' ? `${quoteStart(held)}, which is not a count` : WRONG_TYPE;
    problems.push(`The ${what} of session '${name}' is ${found}.`);
    return null;
  };
  return {
    id: name,
    freeze,
    requestsLastMinute: countOf(requests, 'request count'),
    identicalConsecutive: countOf(identical, 'count of identical requests'),
    isKnown: known !== 0,
    problems,
  };
}
