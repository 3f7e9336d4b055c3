import {setMaxListeners} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';

import {TokengateError} from '../../values/errors.js';
import {type RedisText, type Redis, type Command, ErrorReply, NoReply} from '../contract.js';
import {openNode, type RedisNode} from '../node.js';
import {addressOf, type Endpoint, type RedisTarget} from '../url.js';
import {type ClusterNodes, GONE, scanCluster} from './scan.js';
import {parseRedirection, parseSlots, slotOf, type SlotMap} from './slots.js';

interface ClusterOptions {
  timeoutMs: number;
  /** The node that serves it gets all commands without a key, so that they have one clock. */
  homeKey: RedisText;
  signal?: AbortSignal | undefined;
  /** By `performance.now()`: when everything has to be over. */
  deadline?: number | undefined;
}

/** Between the first two attempts, while a primary is being replaced or keys are being moved; then twice as long each time. */
const PAUSE_MS = 50;
const MAX_PAUSE_MS = 400;
/** A node that takes longer to answer may have been replaced: others are asked. */
const DOUBT_MS = 1000;
/** So many nodes are asked at once who serves what. */
const ASKED = 5;
/** How long a replica may take to say that it has what was written. */
const REPLICA_MS = 1000;
/** Commands that may be sent again when their answer was lost. Not HSCAN: another node has other cursors. */
const READS = new Set([
  'EXISTS',
  'GET',
  'GETRANGE',
  'LRANGE',
  'MGET',
  'DUMP',
  'PTTL',
  'TIME',
  'TYPE',
  'XINFO',
  'XREVRANGE',
]);
/** Of these each key goes to its own node. */
const SPLIT = new Set(['MGET', 'EXISTS']);
/** With these a node refuses a command that another would take, or that it may take soon: nothing was done. */
const MOVES = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN)\b/;

/** After these it may be that the cluster names addresses that can't be reached from here. */
const ELSEWHERE = new Set(['REDIS_UNREACHABLE', 'REDIS_TIMEOUT', 'REDIS_CONNECTION_LOST', 'REDIS_PROTOCOL']);

/** A command, or a part of one, that goes to one node. */
interface Part {
  command: Command;
  slot: number;
  isRead: boolean;
  reply: unknown;
  /** Where it goes next, once, in place of the node that the map names. */
  asking: Endpoint | undefined;
  /** Where it went last. */
  sentTo: Endpoint | undefined;
}

const ignore = (): void => undefined;

/**
 * The cluster that a node belongs to. Each command goes to the node that serves its key; what that one refuses since
 * keys have moved is sent to where they are. A node that is gone is waited for within the time for an answer, in which
 * another may take over. What could have been done is not sent again, unless it is a read.
 *
 * @throws TokengateError REDIS_CLUSTER_DOWN, INVALID_REDIS_URL
 */
export async function openCluster(seed: RedisNode, target: RedisTarget, options: ClusterOptions): Promise<Redis> {
  const {timeoutMs, homeKey, signal, deadline = Infinity} = options;
  const [first] = target.endpoints;
  if (target.database !== 0) {
    throw new TokengateError(
      'INVALID_REDIS_URL',
      `${seed.address} is part of a Redis Cluster, which has no databases.`,
      {
        hint: 'Leave out /N or ?db=N in the URL.',
      },
    );
  }
  // Each connection listens to it.
  if (signal !== undefined) setMaxListeners(0, signal);
  const nodes = new Map<string, Promise<RedisNode>>([[seed.address, Promise.resolve(seed)]]);
  /** Which node was the last to say it, by the text of an error reply. */
  const origins = new Map<string, RedisNode>();
  const doubts = new Set<string>();
  let isClosed = false;
  let map = await askSlots(seed, first);
  /** By `performance.now()`. Where an answer did not come in time, the rest has to be over in half of that time. */
  let overAt = Infinity;
  const limit = (): number => Math.min(deadline, overAt, performance.now() + timeoutMs);

  /** The connection to a node, opened when it is first needed, and again when it has ended. */
  const nodeAt = async (endpoint: Endpoint, by: number): Promise<RedisNode> => {
    const address = addressOf(endpoint);
    const known = nodes.get(address);
    if (known !== undefined) {
      const node = await known;
      if (node.isOpen() || isClosed) return node;
      forget(address, known);
    }
    const opening = nodes.get(address) ?? openNamed(endpoint, by);
    nodes.set(address, opening);
    try {
      const node = await opening;
      if (isClosed) node.close();
      return node;
    } catch (error) {
      forget(address, opening);
      throw error;
    }
  };
  const openNamed = async (endpoint: Endpoint, by: number): Promise<RedisNode> => {
    const {credentials, tls} = target;
    try {
      const limits = {timeoutMs, signal, deadline, connectBy: by};
      return await openNode({kind: 'Redis', endpoint, credentials, tls, database: 0, ...limits});
    } catch (error) {
      const asked = addressOf(first);
      if (!(error instanceof TokengateError) || !ELSEWHERE.has(error.code) || addressOf(endpoint) === asked)
        throw error;
      const settings = `cluster-announce-ip${tls === undefined ? '' : ' and tls-cluster'}`;
      const hint = `The cluster names it (see ${settings}). CLUSTER NODES on ${asked} says whether it is up.`;
      throw new TokengateError(error.code, error.message, {hint, cause: error});
    }
  };
  const forget = (address: string, known: Promise<RedisNode>): void => {
    if (nodes.get(address) === known) nodes.delete(address);
  };
  const endpointOf = (slot: number): Endpoint | undefined => {
    const owner = map.owners[slot];
    return owner === undefined ? undefined : map.primaries.get(owner)?.endpoint;
  };

  let refreshing: Promise<void> | undefined;
  /** Asks some of the nodes that are known, all at once, who serves what. Never rejects. */
  const refresh = async (by: number): Promise<void> => {
    const askNode = async (endpoint: Endpoint): Promise<SlotMap> => askSlots(await nodeAt(endpoint, by), endpoint, by);
    refreshing ??= Promise.any(chooseNodes().map(askNode))
      .then(
        (fresh) => {
          map = fresh;
        },
        // It stays as it was: the next attempt tells.
        ignore,
      )
      .finally(() => {
        refreshing = undefined;
      });
    await refreshing;
  };
  /** Others each time, since some may be gone. */
  const chooseNodes = (): Endpoint[] => {
    const all = [first, ...[...map.primaries.values()].flatMap(({endpoint, replicas}) => [endpoint, ...replicas])];
    const start = Math.floor(Math.random() * all.length);
    return [...all.slice(start), ...all.slice(0, start)].slice(0, ASKED);
  };

  /** Sends each part to its node, in one flight for each node. */
  const send = async (parts: readonly Part[], bytes: boolean, by: number): Promise<void> => {
    const groups = new Map<string, {endpoint: Endpoint; parts: Part[]}>();
    for (const part of parts) {
      const endpoint = part.asking ?? endpointOf(part.slot);
      part.sentTo = endpoint;
      if (endpoint === undefined) {
        part.reply = new ErrorReply('CLUSTERDOWN Hash slot not served');
        continue;
      }
      const address = addressOf(endpoint);
      const group = groups.get(address);
      if (group === undefined) groups.set(address, {endpoint, parts: [part]});
      else group.parts.push(part);
    }
    await Promise.all([...groups].map(([address, group]) => sendTo(address, group.endpoint, group.parts, bytes, by)));
  };
  const sendTo = async (
    address: string,
    endpoint: Endpoint,
    parts: readonly Part[],
    bytes: boolean,
    by: number,
  ): Promise<void> => {
    const hasReplicas = (map.primaries.get(address)?.replicas.length ?? 0) > 0;
    const isConfirmed = hasReplicas && parts.some(({isRead}) => !isRead) && !unconfirmed.has(address);
    const commands = parts.flatMap(({command, asking}) => (asking === undefined ? [command] : [['ASKING'], command]));
    if (isConfirmed) commands.push(['WAIT', '1', String(Math.ceil(Math.min(REPLICA_MS, timeoutMs / 2)))]);
    let isSent = false;
    const answer = async (): Promise<IterableIterator<unknown>> => {
      const node = await nodeAt(endpoint, by);
      isSent = true;
      const replies = await node.fly(commands, {bytes, by});
      for (const reply of replies) if (reply instanceof ErrorReply) origins.set(reply.message, node);
      return replies.values();
    };
    let replies: IterableIterator<unknown>;
    try {
      replies = await unlessReplaced(address, by, answer());
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      // Why it could not be sent at first says more than that there was no time left.
      const told = parts.filter(({reply}) => isSent || !(reply instanceof NoReply));
      for (const part of told) part.reply = new NoReply(error, isSent);
      return;
    }
    for (const part of parts) {
      if (part.asking !== undefined) replies.next();
      part.asking = undefined;
      part.reply = replies.next().value;
    }
    if (isConfirmed) confirm(address, parts, replies.next().value);
  };
  /**
   * Waits for a node, but not for one that another has replaced: it may never answer.
   *
   * @throws TokengateError REDIS_CONNECTION_LOST
   */
  const unlessReplaced = async <T>(address: string, by: number, answer: Promise<T>): Promise<T> => {
    if (!map.primaries.has(address)) return answer;
    const over = new AbortController();
    const watch = async (): Promise<never> => {
      do {
        await sleep(DOUBT_MS, undefined, {signal: over.signal});
        await refresh(by);
      } while (map.primaries.has(address));
      const known = nodes.get(address);
      if (known !== undefined) forget(address, known);
      known?.then(({close: end}) => {
        end();
      }, ignore);
      throw new TokengateError('REDIS_CONNECTION_LOST', `Another node has taken over from Redis at ${address}.`);
    };
    try {
      return await Promise.race([answer, watch()]);
    } finally {
      over.abort();
    }
  };
  /** Nodes of which it was told already that no replica confirms, and is not waited for. */
  const unconfirmed = new Set<string>();
  /** What no replica has when its primary goes is lost: then it is not known whether it was done. */
  const confirm = (address: string, parts: readonly Part[], reply: unknown): void => {
    const isDemoted = reply instanceof ErrorReply && reply.message.startsWith('UNBLOCKED');
    if (reply instanceof NoReply || isDemoted) {
      const message = `Another node has taken over from Redis at ${address}.`;
      const lost = isDemoted ? new NoReply(new TokengateError('REDIS_CONNECTION_LOST', message)) : reply;
      for (const part of parts) if (!part.isRead && !(part.reply instanceof ErrorReply)) part.reply = lost;
    } else if (reply instanceof ErrorReply || reply === 0) {
      unconfirmed.add(address);
      doubts.add(`No replica of ${address} has confirmed what was written: a failover right now could lose it.`);
    }
  };

  /** Never rejects. */
  const fly = async (commands: readonly Command[], bytes = false): Promise<unknown[]> => {
    const by = limit();
    const lists = commands.map((command) => toParts(command, homeKey));
    let open = lists.flat();
    for (let tries = 0; open.length > 0; tries++) {
      await send(open, bytes, by);
      open = open.filter(isToBeSentAgain);
      const pause = Math.min(PAUSE_MS * 2 ** Math.max(0, tries - 1), MAX_PAUSE_MS);
      if (open.length === 0 || signal?.aborted === true || isClosed || performance.now() + pause >= by) break;
      const targets = open.map(targetOf);
      const isKnown = targets.every((target) => target !== undefined && map.primaries.has(addressOf(target.endpoint)));
      if (tries > 0 || targets.includes(undefined)) await sleep(pause);
      // A node of which nothing is known may be new, and have replicas.
      if (!isKnown) await refresh(by);
      // What a redirection says holds; another node may not know of it yet.
      for (const [index, part] of open.entries()) {
        const target = targets[index];
        if (target?.kind === 'ASK') part.asking = target.endpoint;
        else if (target !== undefined) moveTo(part.slot, target.endpoint);
      }
    }
    const isSilent = ({reply}: Part): boolean => reply instanceof NoReply && reply.error.code === 'REDIS_TIMEOUT';
    if (open.length > 0 || lists.flat().some(isSilent)) overAt = Math.min(overAt, performance.now() + timeoutMs / 2);
    for (const part of open) if (part.reply instanceof ErrorReply) part.reply = new NoReply(explain(part.reply), false);
    return lists.map((parts, index) => join(commands[index] ?? [], parts));
  };
  const targetOf = ({reply, sentTo = first}: Part): {kind: string; endpoint: Endpoint} | undefined =>
    reply instanceof ErrorReply ? parseRedirection(reply.message, sentTo) : undefined;
  const moveTo = (slot: number, endpoint: Endpoint): void => {
    const address = addressOf(endpoint);
    map.owners[slot] = address;
    if (!map.primaries.has(address)) map.primaries.set(address, {endpoint, replicas: []});
  };
  const run = async (commands: readonly Command[], bytes?: boolean): Promise<unknown[]> => {
    const replies = await fly(commands, bytes);
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };
  const explain = (reply: ErrorReply): TokengateError => (origins.get(reply.message) ?? seed).explain(reply);

  /** @throws TokengateError when there is no answer */
  const ask = async (node: RedisNode, commands: readonly Command[], by: number, bytes = false): Promise<unknown[]> => {
    const replies = await unlessReplaced(node.address, by, node.fly(commands, {bytes, by}));
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };

  const scanned: ClusterNodes = {
    timeoutMs,
    map: () => map,
    refresh,
    limit,
    nodeAt,
    ask,
    explain: (reply) => seed.explain(reply),
    doubts,
  };

  const close = (): void => {
    isClosed = true;
    for (const opening of nodes.values()) {
      opening.then((node) => {
        node.close();
      }, ignore);
    }
  };
  const replicas = [...map.primaries.values()].reduce((sum, primary) => sum + primary.replicas.length, 0);
  return {
    server: {address: seed.address, database: 0, role: 'cluster', version: seed.facts.version, primary: undefined},
    cluster: {
      primaries: map.primaries.size,
      replicas,
      primaryOf: (key) => map.owners[slotOf(key)],
      scan: (pattern) => scanCluster(scanned, pattern),
      doubts,
    },
    explain,
    close,
    reopen: () => {
      const until = Math.min(overAt + timeoutMs / 2, performance.now() + timeoutMs);
      return reopenCluster(chooseNodes(), target, {timeoutMs, homeKey, deadline: until});
    },
    pipeline: (commands) => run(commands),
    pipelineBytes: (commands) => run(commands, true),
    async send(command) {
      const [reply] = await run([command]);
      if (reply instanceof ErrorReply) throw explain(reply);
      return reply;
    },
    async units(units) {
      const single = units.filter((unit) => unit.length === 1);
      const replies = (await fly(single.flat())).values();
      return units.map((unit) => {
        const reply: unknown = unit.length === 1 ? replies.next().value : new ErrorReply('CROSSSLOT');
        return reply instanceof ErrorReply || reply instanceof NoReply ? reply : [reply];
      });
    },
  };

  /** True for what was certainly not done, and for a read; a node that refuses us for good is no reason to try again. */
  function isToBeSentAgain({reply, isRead}: Part): boolean {
    if (reply instanceof ErrorReply) return MOVES.test(reply.message);
    return reply instanceof NoReply && (isRead || !reply.isSent) && GONE.has(reply.error.code);
  }
}

/** From whichever of the nodes answers first. */
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

/** @throws TokengateError REDIS_CLUSTER_DOWN, REDIS_NO_PERMISSION */
async function askSlots(node: RedisNode, endpoint: Endpoint, by = Infinity): Promise<SlotMap> {
  const [reply] = await node.fly([['CLUSTER', 'SLOTS']], {by});
  if (reply instanceof NoReply) throw reply.error;
  if (reply instanceof ErrorReply) throw node.explain(reply);
  const map = parseSlots(reply, endpoint);
  if (map.primaries.size > 0) return map;
  throw new TokengateError('REDIS_CLUSTER_DOWN', `${node.address} is a node of a Redis Cluster that serves no keys.`, {
    hint: 'Its nodes may not have met, or have no slots yet: see CLUSTER INFO on it.',
  });
}

function toParts(command: Command, homeKey: RedisText): Part[] {
  const name = String(command[0]).toUpperCase();
  const keys = keysOf(name, command);
  const isRead = READS.has(name) || (name === 'EVAL' && keys.length === 0);
  const part = {isRead, reply: undefined, asking: undefined, sentTo: undefined};
  if (SPLIT.has(name)) return keys.map((key) => ({...part, command: [name, key], slot: slotOf(key)}));
  return [{...part, command, slot: slotOf(keys[0] ?? homeKey)}];
}

function keysOf(name: string, command: Command): readonly RedisText[] {
  if (SPLIT.has(name)) return command.slice(1);
  if (name === 'TIME') return [];
  if (name === 'EVAL') return command.slice(3, 3 + Number(command[2]));
  return command.slice(name === 'XINFO' ? 2 : 1).slice(0, 1);
}

/** The reply to a command from those to its parts. */
function join(command: Command, parts: readonly Part[]): unknown {
  const name = String(command[0]).toUpperCase();
  if (!SPLIT.has(name)) return parts[0]?.reply;
  const replies = parts.map(({reply}) => reply);
  const failure =
    replies.find((reply) => reply instanceof NoReply) ?? replies.find((reply) => reply instanceof ErrorReply);
  if (failure !== undefined) return failure;
  return name === 'MGET' ? replies.flat() : replies.reduce((sum: number, reply) => sum + Number(reply), 0);
}
