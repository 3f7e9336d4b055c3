import {TokengateError} from '../../values/errors.js';
import {type Command, type Consent, ErrorReply, NoReply, type Redis, type RedisText, toStoreName} from '../contract.js';
import {openNode, type RedisNode} from '../node.js';
import {addressOf, type Endpoint, type RedisTarget} from '../url.js';
import {Flights} from './flights.js';
import {askSlots, type ClusterLimits, ClusterNodes} from './nodes.js';
import {scanCluster} from './scan.js';
import {slotOf} from './slots.js';

interface ClusterOptions extends ClusterLimits {
  /** The node that serves this key gets all commands without a key, so that they have one clock. */
  homeKey: RedisText;
  consent: Consent;
  /** What asks for the name of a protected store. */
  greeting?: Command | undefined;
}

/**
 * The cluster that a node belongs to. Each command goes to the node that serves its key, and follows when keys move. If
 * a node is gone, its successor has as long to appear as an answer may take. A command that may have been executed is
 * not sent again unless it only reads.
 *
 * @throws TokengateError REDIS_CLUSTER_DOWN, INVALID_REDIS_URL
 */
export async function openCluster(seed: RedisNode, target: RedisTarget, options: ClusterOptions): Promise<Redis> {
  const {homeKey, greeting, consent, ...limits} = options;
  if (target.database !== 0) {
    throw new TokengateError(
      'INVALID_REDIS_URL',
      `${seed.address} is part of a Redis Cluster, which has no databases.`,
      {hint: 'Leave out /N or ?db=N in the URL.'},
    );
  }
  const nodes = new ClusterNodes(seed, target, limits, await askSlots(seed, target.endpoints[0]));
  const flights = new Flights(nodes, homeKey);
  const run = async (commands: readonly Command[], bytes?: boolean): Promise<unknown[]> => {
    const replies = await flights.fly(commands, bytes);
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };
  const primaries = [...nodes.map.primaries.values()];
  // Where no node tells it now, a change finds it out.
  const store = greeting === undefined ? undefined : toStoreName(await flights.glance(greeting));
  return {
    server: {
      ...{address: seed.address, database: 0, role: 'cluster', version: seed.facts.version, primary: undefined},
      store,
    },
    cluster: {
      primaries: primaries.length,
      replicas: primaries.reduce((sum, {replicas}) => sum + replicas.length, 0),
      primaryOf: (key) => nodes.map.owners[slotOf(key)],
    },
    consent,
    doubts: nodes.doubts,
    scan: (pattern) => scanCluster(nodes, pattern),
    explain: (reply) => flights.explain(reply),
    close() {
      nodes.close();
    },
    reopen: () => reopenCluster(nodes.choose(), target, {...options, signal: undefined, deadline: nodes.limitOfLook()}),
    pipeline: (commands) => run(commands),
    pipelineBytes: (commands) => run(commands, true),
    async send(command) {
      const [reply] = await run([command]);
      if (reply instanceof ErrorReply) throw flights.explain(reply);
      return reply;
    },
    async units(units) {
      const single = units.filter((unit) => unit.length === 1);
      const replies = (await flights.fly(single.flat())).values();
      return units.map((unit) => {
        const reply: unknown = unit.length === 1 ? replies.next().value : new ErrorReply('CROSSSLOT');
        return reply instanceof ErrorReply || reply instanceof NoReply ? reply : [reply];
      });
    },
  };
}

/** Through whichever node answers first. */
async function reopenCluster(
  endpoints: readonly Endpoint[],
  target: RedisTarget,
  options: ClusterOptions & {deadline: number},
): Promise<Redis> {
  const {credentials, tls} = target;
  const {timeoutMs, deadline} = options;
  const attempts = endpoints.map((endpoint) =>
    openNode({kind: 'Redis', endpoint, credentials, tls, database: 0, timeoutMs, deadline}),
  );
  let seed: RedisNode;
  try {
    seed = await Promise.any(attempts);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
  for (const attempt of attempts) {
    attempt.then(
      (node) => {
        if (node !== seed) node.close();
      },
      () => undefined,
    );
  }
  const endpoint = endpoints.find((one) => addressOf(one) === seed.address) ?? target.endpoints[0];
  return openCluster(seed, {...target, endpoints: [endpoint]}, options);
}
