import {setTimeout as sleep} from 'node:timers/promises';

import {
  parseOwnSlots,
  parseRedirection,
  parseSlots,
  type OwnSlots,
  slotOf,
  type SlotMap,
  SLOTS,
} from './cluster-slots.js';
import {TokengateError} from './errors.js';
import {matchesGlob} from './glob.js';
import {JOURNAL_KEY, type RedisText} from './keys.js';
import {type Command, ErrorReply, type NodeOptions, NoReply, openNode, type RedisNode} from './redis-node.js';
import {addressOf, type Endpoint, type RedisTarget} from './redis-url.js';
import type {Redis} from './redis.js';

interface ClusterOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** By `performance.now()`: when everything has to be over. */
  deadline?: number | undefined;
}

/** Between two attempts, while a primary is being replaced or keys are being moved. */
const PAUSE_MS = 50;
/** How long a replica may take to say that it has what was written. */
const REPLICA_MS = 1000;
/** Keys that Redis looks at in one step of SCAN. */
const SCAN_COUNT = '1000';
/** Slots of a node that are read one by one; for more than these it is scanned again. */
const FEW_SLOTS = 512;
/** How often what has moved during a scan is looked at again. */
const SCAN_ROUNDS = 20;

/** Commands that may be sent again when their answer was lost. Not HSCAN: another node has other cursors. */
const READS = new Set([
  'CLUSTER',
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
/** After these a node may be replaced by another. */
const GONE = new Set(['REDIS_UNREACHABLE', 'REDIS_TIMEOUT', 'REDIS_CONNECTION_LOST', 'REDIS_LOADING']);

/** A command, or a part of one, that goes to one node. */
interface Part {
  command: Command;
  slot: number;
  isRead: boolean;
  reply: unknown;
  /** Where it goes next, once, in place of the node that the map names. */
  asking: Endpoint | undefined;
}

/**
 * The cluster that a node belongs to. Each command goes to the node that serves its key; what that one refuses since
 * keys have moved is sent to where they are. A node that is gone is waited for within the time for an answer, in which
 * another may take over. What could have been done is not sent again, unless it is a read.
 *
 * @throws TokengateError REDIS_CLUSTER_DOWN, INVALID_REDIS_URL
 */
export async function openCluster(seed: RedisNode, target: RedisTarget, options: ClusterOptions): Promise<Redis> {
  const {timeoutMs, signal, deadline = Infinity} = options;
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
  const nodes = new Map<string, Promise<RedisNode>>([[seed.address, Promise.resolve(seed)]]);
  const origins = new WeakMap<ErrorReply, RedisNode>();
  const doubts = new Set<string>();
  let isClosed = false;
  let map = await askSlots(seed, first);

  /** The connection to a node, opened when it is first needed, and again when it has ended. */
  const nodeAt = async (endpoint: Endpoint, by: number): Promise<RedisNode> => {
    const address = addressOf(endpoint);
    const known = nodes.get(address);
    if (known !== undefined) {
      const node = await known;
      if (node.isOpen() || isClosed) return node;
      forget(address, known);
    }
    const {credentials, tls} = target;
    const nodeOptions: NodeOptions = {
      kind: 'Redis',
      endpoint,
      credentials,
      tls,
      database: 0,
      timeoutMs,
      signal,
      deadline,
      connectBy: by,
    };
    const opening = nodes.get(address) ?? openNode(nodeOptions);
    nodes.set(address, opening);
    try {
      return await opening;
    } catch (error) {
      forget(address, opening);
      throw error;
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
  /** Asks the nodes that are known, all at once, who serves what. Never rejects. */
  const refresh = async (by: number): Promise<void> => {
    const endpoints = [...map.primaries.values()].flatMap(({endpoint, replicas}) => [endpoint, ...replicas]);
    const ask = async (endpoint: Endpoint): Promise<SlotMap> => askSlots(await nodeAt(endpoint, by), endpoint, by);
    refreshing ??= Promise.any([first, ...endpoints].map(ask))
      .then(
        (fresh) => {
          map = fresh;
        },
        () => {
          // It stays as it was: the next attempt tells.
        },
      )
      .finally(() => {
        refreshing = undefined;
      });
    await refreshing;
  };

  /** Sends each part to its node, in one flight for each node. */
  const send = async (parts: readonly Part[], bytes: boolean, by: number): Promise<void> => {
    const groups = new Map<string, {endpoint: Endpoint; parts: Part[]}>();
    for (const part of parts) {
      const endpoint = part.asking ?? endpointOf(part.slot);
      if (endpoint === undefined) {
        part.reply = new ErrorReply('CLUSTERDOWN Hash slot not served');
        origins.set(part.reply as ErrorReply, seed);
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
    let node: RedisNode;
    try {
      node = await nodeAt(endpoint, by);
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      for (const part of parts) part.reply = new NoReply(error, false);
      return;
    }
    const hasReplicas = (map.primaries.get(address)?.replicas.length ?? 0) > 0;
    const isConfirmed = hasReplicas && parts.some(({isRead}) => !isRead) && !unconfirmed.has(address);
    const commands = parts.flatMap(({command, asking}) => (asking === undefined ? [command] : [['ASKING'], command]));
    if (isConfirmed) commands.push(['WAIT', '1', String(Math.min(REPLICA_MS, timeoutMs / 2))]);
    const replies = (await node.fly(commands, {bytes, by})).values();
    for (const part of parts) {
      if (part.asking !== undefined) replies.next();
      part.asking = undefined;
      part.reply = replies.next().value;
      if (!(part.reply instanceof ErrorReply)) continue;
      origins.set(part.reply, node);
      if (part.reply.message.startsWith('ASK ')) part.asking = parseRedirection(part.reply.message, endpoint);
      if (part.reply.message.startsWith('MOVED ')) moveTo(part.slot, parseRedirection(part.reply.message, endpoint));
    }
    if (isConfirmed) confirm(address, parts, replies.next().value);
  };
  /** Nodes of which it was told already that no replica confirms, and is not waited for. */
  const unconfirmed = new Set<string>();
  /** What no replica has when its primary goes is lost: then it is not known whether it was done. */
  const confirm = (address: string, parts: readonly Part[], reply: unknown): void => {
    if (reply instanceof NoReply) {
      for (const part of parts) if (!part.isRead && !(part.reply instanceof ErrorReply)) part.reply = reply;
    } else if (reply instanceof ErrorReply || reply === 0) {
      unconfirmed.add(address);
      doubts.add(`No replica of ${address} has confirmed what was written: a failover right now could lose it.`);
    }
  };
  const moveTo = (slot: number, endpoint: Endpoint | undefined): void => {
    if (endpoint === undefined) return;
    const address = addressOf(endpoint);
    map.owners[slot] = address;
    if (!map.primaries.has(address)) map.primaries.set(address, {endpoint, replicas: []});
  };

  /** Never rejects. */
  const fly = async (commands: readonly Command[], bytes = false): Promise<unknown[]> => {
    const by = Math.min(deadline, performance.now() + timeoutMs);
    const lists = commands.map(toParts);
    let open = lists.flat();
    for (let tries = 0; open.length > 0; tries++) {
      await send(open, bytes, by);
      open = open.filter(isToBeSentAgain);
      if (open.length === 0 || signal?.aborted === true || isClosed || performance.now() + PAUSE_MS >= by) break;
      const isRedirected = open.every(({reply}) => reply instanceof ErrorReply && /^(MOVED|ASK) /.test(reply.message));
      if (tries > 0 || !isRedirected) await sleep(PAUSE_MS);
      // A redirection says where to go; another node may not know of it yet.
      if (!isRedirected) await refresh(by);
    }
    return lists.map((parts, index) => join(commands[index] ?? [], parts));
  };
  const run = async (commands: readonly Command[], bytes?: boolean): Promise<unknown[]> => {
    const replies = await fly(commands, bytes);
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };
  const explain = (reply: ErrorReply): TokengateError => (origins.get(reply) ?? seed).explain(reply);

  /** Undefined when it can't be asked. */
  const ownSlots = async (endpoint: Endpoint, by: number): Promise<OwnSlots | undefined> => {
    try {
      const node = await nodeAt(endpoint, by);
      const [reply] = await node.fly([['CLUSTER', 'NODES']], {by});
      if (reply instanceof ErrorReply)
        doubts.add(
          `The list could be incomplete, if keys of the cluster were moved meanwhile: ${node.explain(reply).message}`,
        );
      return typeof reply === 'string' ? parseOwnSlots(reply) : undefined;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      return undefined;
    }
  };

  /** Scans one node, and adds to `seen` the slots whose keys were on it all the time. */
  async function* scanNode(endpoint: Endpoint, pattern: string, seen: Set<number>): AsyncGenerator<Buffer[]> {
    const limit = (): number => Math.min(deadline, performance.now() + timeoutMs);
    const before = await ownSlots(endpoint, limit());
    const node = await nodeAt(endpoint, limit());
    const scan = (cursor: string): Promise<unknown[]> =>
      node.fly([['SCAN', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT]], {bytes: true});
    let answer: Promise<unknown[]> | undefined = scan('0');
    while (answer !== undefined) {
      const [page] = await answer;
      if (page instanceof NoReply) throw page.error;
      if (page instanceof ErrorReply) throw node.explain(page);
      const [next, keys] = page as [Buffer, Buffer[]];
      answer = String(next) === '0' ? undefined : scan(String(next));
      yield keys;
    }
    const after = await ownSlots(endpoint, limit());
    for (const slot of after?.owned ?? []) {
      if (before?.owned.has(slot) && !before.leaving.has(slot) && !after?.leaving.has(slot)) seen.add(slot);
    }
  }

  /** Reads slots one by one, where their keys come from before where they go to. */
  async function* readSlots(slots: readonly number[], pattern: string, seen: Set<number>): AsyncGenerator<Buffer[]> {
    const glob = Buffer.from(pattern);
    const by = Math.min(deadline, performance.now() + timeoutMs);
    const endpoints = [...map.primaries.values()].map(({endpoint}) => endpoint);
    const look = async (): Promise<(OwnSlots | undefined)[]> =>
      Promise.all(endpoints.map((endpoint) => ownSlots(endpoint, by)));
    const before = await look();
    const isSource = (own: OwnSlots | undefined, slot: number): boolean => own?.leaving.has(slot) === true;
    const isPlace = (own: OwnSlots | undefined, slot: number): boolean =>
      !isSource(own, slot) && (own?.owned.has(slot) === true || own?.arriving.has(slot) === true);
    const failed = new Set<number>();
    for (const belongs of [isSource, isPlace]) {
      for (const [index, endpoint] of endpoints.entries()) {
        for (const slot of slots.filter((one) => belongs(before[index], one))) {
          const keys = await keysIn(slot, endpoint, by);
          if (keys === undefined) failed.add(slot);
          else yield keys.filter((key) => matchesGlob(glob, key));
        }
      }
    }
    const after = await look();
    for (const slot of slots) {
      const wasThere = before.some((own) => isSource(own, slot) || isPlace(own, slot));
      const isThere = after.some((own) => isSource(own, slot) || isPlace(own, slot));
      // Its keys have moved on the way that was known, if at all.
      const isAsKnown = after.every((own, index) => {
        if (isSource(own, slot)) return isSource(before[index], slot);
        return !isPlace(own, slot) || isPlace(before[index], slot);
      });
      if (wasThere && isThere && isAsKnown && !failed.has(slot)) seen.add(slot);
    }
  }
  const keysIn = async (slot: number, endpoint: Endpoint, by: number): Promise<Buffer[] | undefined> => {
    try {
      const node = await nodeAt(endpoint, by);
      const [count] = await node.fly([['CLUSTER', 'COUNTKEYSINSLOT', String(slot)]], {by});
      if (typeof count !== 'number') return undefined;
      // Those that are written meanwhile need not be seen; a key that goes leaves its place to another.
      const command = ['CLUSTER', 'GETKEYSINSLOT', String(slot), String(2 * count + 100)];
      const [keys] = await node.fly([command], {bytes: true, by});
      return Array.isArray(keys) ? (keys as Buffer[]) : undefined;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      return undefined;
    }
  };

  async function* scan(pattern: string): AsyncGenerator<Buffer[]> {
    const seen = new Set<number>();
    let isSlow: TokengateError | undefined;
    let progress = performance.now();
    for (let round = 0; round < SCAN_ROUNDS || isSlow !== undefined; round++) {
      if (round > 0) {
        await sleep(PAUSE_MS);
        await refresh(Math.min(deadline, performance.now() + timeoutMs));
      }
      isSlow = undefined;
      const left = Array.from({length: SLOTS}, (_, slot) => slot).filter((slot) => !seen.has(slot));
      if (left.length === 0) return;
      const before = seen.size;
      const owners = new Map<string, number[]>();
      for (const slot of left) {
        const owner = map.owners[slot];
        if (owner !== undefined) owners.set(owner, [...(owners.get(owner) ?? []), slot]);
      }
      const few: number[] = [];
      for (const [owner, slots] of owners) {
        const endpoint = map.primaries.get(owner)?.endpoint;
        if (endpoint === undefined) continue;
        if (round > 0 && slots.length <= FEW_SLOTS) {
          few.push(...slots);
          continue;
        }
        try {
          yield* scanNode(endpoint, pattern, seen);
        } catch (error) {
          if (!(error instanceof TokengateError) || !GONE.has(error.code)) throw error;
          isSlow = error;
        }
      }
      if (round > 0 || few.length > 0)
        yield* readSlots(left.filter((slot) => !seen.has(slot)).slice(0, FEW_SLOTS), pattern, seen);
      if (seen.size > before) progress = performance.now();
      // A primary that is gone and that nobody replaces: a part of the keys can't be listed.
      else if (isSlow !== undefined && performance.now() - progress > timeoutMs) throw isSlow;
    }
    const left = SLOTS - seen.size;
    if (left > 0) {
      const what = `keys of ${left} of the cluster's ${SLOTS} slots`;
      doubts.add(`The list could be incomplete: ${what} are being moved, or no node serves them.`);
    }
  }

  const close = (): void => {
    isClosed = true;
    for (const opening of nodes.values()) {
      opening.then(
        (node) => {
          node.close();
        },
        () => {
          // It was never open.
        },
      );
    }
  };
  const replicas = [...map.primaries.values()].reduce((sum, primary) => sum + primary.replicas.length, 0);
  return {
    server: {address: seed.address, database: 0, role: 'primary', version: seed.facts.version, primary: undefined},
    cluster: {
      primaries: map.primaries.size,
      replicas,
      primaryOf: (key) => map.owners[slotOf(key)],
      scan,
      doubts,
    },
    explain,
    close,
    reopen: () => {
      const endpoints = [...map.primaries.values()].flatMap(({endpoint, replicas: others}) => [endpoint, ...others]);
      return reopenCluster([first, ...endpoints], target, {timeoutMs, deadline: performance.now() + timeoutMs});
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

/** What has no key goes to the node of the journal, so that there is one clock. */
function toParts(command: Command): Part[] {
  const name = String(command[0]).toUpperCase();
  const keys = keysOf(name, command);
  const isRead = READS.has(name) || (name === 'EVAL' && keys.length === 0);
  const part = {isRead, reply: undefined, asking: undefined};
  if (SPLIT.has(name)) return keys.map((key) => ({...part, command: [name, key], slot: slotOf(key)}));
  return [{...part, command, slot: slotOf(keys[0] ?? JOURNAL_KEY)}];
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
