import {TokengateError} from '../values/errors.js';
import {
  type Command,
  type Consent,
  ErrorReply,
  NoReply,
  type Redis,
  type RedisText,
  type ServerInfo,
  toStoreName,
} from './contract.js';
import {PRIMARY_HINT} from './failures.js';
import {LastingNode} from './lasting-node.js';
import {type NodeOptions, openNode, type RedisNode} from './node.js';
import {scanServer} from './scan-server.js';
import {addressOf, parseRedisUrl, type RedisTarget, type TlsFiles, withTlsFiles} from './url.js';

export interface ConnectOptions {
  url: string;
  /** Limit for connecting, and for each answer, in milliseconds. */
  timeoutMs?: number | undefined;
  /** Override those of the URL. */
  tls?: TlsFiles | undefined;
  /** Ends every operation that is under way with INTERRUPTED. */
  signal?: AbortSignal | undefined;
  /** On a cluster, the node that serves this key gets all commands without a key, such as TIME. */
  homeKey?: RedisText | undefined;
  /** The server's name in the context file. */
  name?: string | undefined;
  /** The key with the name of a protected store, to be read in the first flight. */
  storeKey?: RedisText | undefined;
  consent?: Consent | undefined;
}

const DEFAULT_TIMEOUT_MS = 5000;

/**
 * Connects to a Redis, to the primary that Sentinels name, or to the cluster that the server is a node of.
 *
 * @throws TokengateError INVALID_REDIS_URL, REDIS_UNREACHABLE, REDIS_TIMEOUT, REDIS_AUTH_FAILED, REDIS_CLUSTER_DOWN, …
 */
export async function connect(options: ConnectOptions): Promise<Redis> {
  const target = withTlsFiles(parseRedisUrl(options.url), options.tls);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const {storeKey, consent = {to: undefined}} = options;
  const greeting: Command | undefined = storeKey === undefined ? undefined : ['GET', storeKey];
  const open = async ({signal, deadline}: {signal?: AbortSignal | undefined; deadline?: number}): Promise<Redis> => {
    const node = await openTarget(target, {timeoutMs, signal, deadline, greeting});
    try {
      if (node.facts.mode === 'cluster') {
        const {openCluster} = await import('./cluster/client.js');
        const {homeKey = ''} = options;
        const cluster = await openCluster(node, target, {timeoutMs, homeKey, signal, consent, greeting});
        Object.assign(cluster.server, {name: options.name});
        return cluster;
      }
      const described = await describe(node, target);
      const server = {...described, name: options.name, store: toStoreName(node.facts.greeted)};
      const lasting = new LastingNode(node, () => openTarget(target, {timeoutMs, signal, deadline}));
      return standalone(lasting, server, {consent, reopen: () => open({deadline: performance.now() + timeoutMs})});
    } catch (error) {
      node.close();
      throw error;
    }
  };
  return open({signal: options.signal});
}

/** @throws TokengateError REDIS_READONLY when the server is a replica, which takes no writes */
export function refuseReplica({server: {address, role, primary}}: Redis): void {
  if (role !== 'replica') return;
  throw new TokengateError('REDIS_READONLY', `Redis at ${address} is a read-only replica.`, {
    hint: primary === undefined ? PRIMARY_HINT : `${PRIMARY_HINT.slice(0, -1)}: ${primary}.`,
  });
}

async function openTarget(
  {endpoints, sentinel, credentials, database, tls}: RedisTarget,
  times: Pick<NodeOptions, 'timeoutMs' | 'signal' | 'deadline' | 'greeting'>,
): Promise<RedisNode> {
  const options = {credentials, database, tls, ...times};
  if (sentinel === undefined) return openNode({...options, kind: 'Redis', endpoint: endpoints[0]});
  const {openPrimary} = await import('./sentinel.js');
  const primary = {
    sentinels: endpoints,
    name: sentinel.primary,
    sentinelCredentials: sentinel.credentials,
    // Only a second look has a deadline: the failover that it follows may still be going on.
    isPatient: times.deadline !== undefined,
  };
  return openPrimary(primary, options);
}

/** Refuses anything but a Redis that can hold sessions. */
async function describe(node: RedisNode, {database, tls}: RedisTarget): Promise<ServerInfo> {
  const {address, facts} = node;
  if (facts.mode === 'sentinel') {
    const {listPrimaries} = await import('./sentinel.js');
    const [name = 'NAME'] = await listPrimaries(node);
    const scheme = tls === undefined ? 'redis+sentinel' : 'rediss+sentinel';
    throw new TokengateError('REDIS_SENTINEL', `${address} is a Redis Sentinel.`, {
      hint: `For the primary that it watches, write ${scheme}://${address}/${name}.`,
    });
  }
  const primary = facts.role === 'replica' ? await findPrimaryOf(node) : undefined;
  return {address, database, role: facts.role, version: facts.version, primary};
}

async function findPrimaryOf(replica: RedisNode): Promise<string | undefined> {
  const [role] = await replica.fly([['ROLE']]);
  if (role instanceof NoReply) throw role.error;
  if (!Array.isArray(role) || role[0] !== 'slave') return undefined;
  return addressOf({host: String(role[1]), port: Number(role[2])});
}

/** A Redis that is one server. */
function standalone(
  node: LastingNode,
  server: ServerInfo,
  {consent, reopen}: Pick<Redis, 'consent' | 'reopen'>,
): Redis {
  const explain: Redis['explain'] = (reply) => node.explain(reply);
  const run = async (commands: readonly Command[], options?: {bytes: boolean}): Promise<unknown[]> => {
    const replies = await node.fly(commands, options);
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };
  const units: Redis['units'] = async (list) => {
    const commands = list.flatMap((unit) => (unit.length === 1 ? unit : [['MULTI'], ...unit, ['EXEC']]));
    const slots = (await node.fly(commands)).values();
    return list.map((unit) => {
      if (unit.length === 1) return asUnit([slots.next().value]);
      const [, ...queued] = Array.from({length: unit.length + 1}, () => slots.next().value);
      const result = slots.next().value;
      if (Array.isArray(result)) return result as unknown[];
      return asUnit([queued.find((reply) => reply instanceof ErrorReply) ?? result]);
    });
  };
  return {
    server,
    consent,
    cluster: undefined,
    doubts: new Set(),
    explain,
    reopen,
    close: () => {
      node.close();
    },
    pipeline: (commands) => run(commands),
    pipelineBytes: (commands) => run(commands, {bytes: true}),
    async send(command) {
      const [reply] = await run([command]);
      if (reply instanceof ErrorReply) throw explain(reply);
      return reply;
    },
    units,
    scan(pattern) {
      return scanServer({ask: async (command) => (await this.pipelineBytes([command]))[0], explain}, pattern);
    },
  };
}

/** A unit of one command is refused by that command's error reply. */
function asUnit(replies: [unknown]): unknown[] | ErrorReply | NoReply {
  const [reply] = replies;
  return reply instanceof ErrorReply || reply instanceof NoReply ? reply : replies;
}
