import {GRANTS_KEYS, keyOf, PERIOD_KEYS} from '../gateway/keys.js';
import {type Held, toHeldText} from '../gateway/stored-value.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {toServerTime} from '../redis/server-time.js';
import type {RawId} from '../values/session-id.js';

/** The values of the two keys of one session, and the time of the reading by the server's clock. */
export interface StoredPeriod {
  now: Date;
  period: Held;
  grants: Held;
}

/**
 * Reads the period and the grants of a session; undefined when it has neither. A user who may read only the gateway's
 * keys sees none. In a file of its own, so that a session without them does not load the code that judges them.
 */
export async function readStoredPeriod(redis: Redis, id: RawId): Promise<StoredPeriod | undefined> {
  const shapes = [PERIOD_KEYS, GRANTS_KEYS];
  const [time, ...replies] = await redis.pipelineBytes([['TIME'], ...shapes.map((shape) => ['GET', keyOf(shape, id)])]);
  const [period = false, grants = false] = replies.map((reply) =>
    reply instanceof ErrorReply && reply.message.startsWith('NOPERM') ? false : toHeldText(redis, reply),
  );
  return period === false && grants === false ? undefined : {now: toServerTime(redis, time), period, grants};
}
