import {type KeyShape, keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import type {Command, Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {Change, Preview} from './change.js';

export interface Values {
  held: Held[];
  /** The PTTLs of the `lives` keys. */
  lives: number[];
}

/** The values of some keys of sessions, as bytes, and the PTTLs of some of them. */
export async function readValues(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
  lives: readonly KeyShape[] = [],
): Promise<(Values | TokengateError)[]> {
  const commands = ids.flatMap((id) => [
    ...keysOf(shapes, [id]).map((key): Command => ['GET', key]),
    ...keysOf(lives, [id]).map((key): Command => ['PTTL', key]),
  ]);
  const replies = await redis.pipelineBytes(commands);
  return inGroups(replies, shapes.length + lives.length).map((some): Values | TokengateError => {
    try {
      return {
        held: some.slice(0, shapes.length).map((reply) => toHeld(redis, reply)),
        lives: some.slice(shapes.length).map(Number),
      };
    } catch (error) {
      // One unreadable key is no reason to report nothing about the others.
      if (!(error instanceof TokengateError)) throw error;
      return error;
    }
  });
}

/** Reads the present values of each session, and what the change would do to it. */
export async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const values = await readValues(redis, ids, change.lookAt, change.lives);
  return ids.map((id, index): Preview => {
    const found = values[index] ?? NOTHING;
    if (found instanceof TokengateError) return {id: nameOf(id), now: 'not readable', state: 'failed', error: found};
    return change.preview(id, found.held, found.lives);
  });
}

const NOTHING: Values = {held: [], lives: []};
