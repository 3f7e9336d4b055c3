import {NoReply, orNoReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {Answer, PlannedChange, Settled, Write} from './change.js';
import {NOTHING, type Values} from './look.js';

/** How often a session is tried again after somebody else has changed it meanwhile. */
const MAX_TRIES = 100;

/**
 * Changes sessions by compare-and-set. An attempt reads, decides, and writes where the values still stand. It leaves
 * out of its answers the sessions that somebody else has changed meanwhile; the next attempt reads and decides on those
 * again.
 *
 * @param contended the answer for a session that keeps changing
 */
export async function untilSettled<T>(
  ids: readonly RawId[],
  attempt: (open: readonly RawId[]) => Promise<ReadonlyMap<RawId, Answer<T>>>,
  contended: (id: RawId) => Settled<T>,
): Promise<Answer<T>[]> {
  const answers = new Map<RawId, Answer<T>>();
  let open: readonly RawId[] = [...new Set(ids)];
  for (let tries = 0; tries < MAX_TRIES && open.length > 0; tries++) {
    for (const [id, answer] of await attempt(open)) answers.set(id, answer);
    open = open.filter((id) => !answers.has(id));
  }
  return ids.map((id) => answers.get(id) ?? contended(id));
}

/** Plans the changes of sessions that were read. Never rejects. */
export async function planAll<T>(
  redis: Redis,
  change: PlannedChange<T>,
  ids: readonly RawId[],
  values: readonly (Values | TokengateError)[],
): Promise<[RawId, Answer<T> | Write<T>][]> {
  const prepared = await orNoReply(change.prepare?.(redis));
  return ids.map((id, index) => {
    const found = values[index] ?? NOTHING;
    if (found instanceof TokengateError) return [id, {id: nameOf(id), state: 'failed', error: found}];
    return [id, prepared instanceof NoReply ? prepared : change.plan(id, found.held, found.lives)];
  });
}
