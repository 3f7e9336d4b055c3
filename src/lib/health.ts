import {hrtime} from 'node:process';

import {rawId} from './ids.js';
import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, keyOf} from './keys.js';
import {ErrorReply, type Redis, refuseReplica, type ServerInfo} from './redis.js';

export interface Health extends ServerInfo {
  /** Milliseconds for one round trip that reads and writes. */
  latency: number;
}

/**
 * Proves that the gateway's keys can be read and written. `SET … XX` on a session that doesn't exist writes nothing,
 * yet passes every check of a write: permissions on command and key, memory, disk, replicas, role.
 *
 * @throws TokengateError saying why not
 */
export async function checkHealth(redis: Redis): Promise<Health> {
  refuseReplica(redis);
  const nobody = rawId(`tokengate-health-${Math.random().toString(36).slice(2)}`);
  const start = hrtime.bigint();
  const replies = await redis.pipeline([
    ['GET', keyOf(BUDGET_KEYS, nobody)],
    ['SET', keyOf(BUDGET_KEYS, nobody), '0', 'XX'],
    ['SET', keyOf(FROZEN_UNTIL_KEYS, nobody), '0', 'XX'],
  ]);
  const latency = Number(hrtime.bigint() - start) / 1e6;
  for (const reply of replies) if (reply instanceof ErrorReply) throw redis.explain(reply);
  return {...redis.server, latency};
}
