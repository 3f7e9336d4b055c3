import {hrtime} from 'node:process';

import {rawId, type RawId} from './ids.js';
import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, keyOf} from './keys.js';
import {type Cluster, ErrorReply, type Redis, refuseReplica, type ServerInfo} from './redis.js';

export interface Health extends ServerInfo {
  /** Milliseconds for one round trip that reads and writes. */
  latency: number;
  cluster: Pick<Cluster, 'primaries' | 'replicas'> | undefined;
}

/**
 * Proves that the gateway's keys can be read and written. `SET … XX` on a session that doesn't exist writes nothing,
 * yet passes every check of a write: permissions on command and key, memory, disk, replicas, role.
 *
 * @throws TokengateError saying why not
 */
export async function checkHealth(redis: Redis): Promise<Health> {
  refuseReplica(redis);
  const nobodies = chooseNobodies(redis.cluster);
  // The connections to the other nodes of a cluster are opened on first use.
  if (redis.cluster !== undefined) await redis.pipeline(nobodies.map((nobody) => ['GET', keyOf(BUDGET_KEYS, nobody)]));
  const start = hrtime.bigint();
  const replies = await redis.pipeline(
    nobodies.flatMap((nobody) => [
      ['GET', keyOf(BUDGET_KEYS, nobody)],
      ['SET', keyOf(BUDGET_KEYS, nobody), '0', 'XX'],
      ['SET', keyOf(FROZEN_UNTIL_KEYS, nobody), '0', 'XX'],
    ]),
  );
  const latency = Number(hrtime.bigint() - start) / 1e6;
  for (const reply of replies) if (reply instanceof ErrorReply) throw redis.explain(reply);
  return {...redis.server, latency, cluster: redis.cluster};
}

/** How many IDs are tried, to find one for each primary; one that serves few slots may be left out. */
const MAX_TRIES = 10_000;

/** IDs of no session: of a cluster one for each primary, and one for each slot that no node serves and that is met. */
function chooseNobodies(cluster: Cluster | undefined): RawId[] {
  const choose = (): RawId => rawId(`tokengate-health-${Math.random().toString(36).slice(2)}`);
  const chosen = new Map<string | undefined, RawId>();
  for (let tries = 0; tries < (cluster === undefined ? 1 : MAX_TRIES); tries++) {
    const nobody = choose();
    const primary = cluster?.primaryOf(keyOf(BUDGET_KEYS, nobody));
    if (!chosen.has(primary)) chosen.set(primary, nobody);
  }
  return [...chosen.values()];
}
