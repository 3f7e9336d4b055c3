import {setMaxListeners} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';

import {TokengateError} from '../../values/errors.js';
import {type Command, ErrorReply, NoReply} from '../contract.js';
import {lookAfterPause} from '../lasting-node.js';
import {openNode, type RedisNode} from '../node.js';
import {addressOf, type Endpoint, type RedisTarget} from '../url.js';
import {parseSlots, type SlotMap} from './slots.js';

/** Times are by `performance.now()`. */
export interface ClusterLimits {
  /** For each answer, in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** When all work has to be finished. */
  deadline?: number | undefined;
}

/** A node that takes longer to answer may have been replaced: other nodes are asked. */
const DOUBT_MS = 1000;
/** How many nodes are asked at once which node serves which slot. */
const ASKED = 5;

/** After these errors the cluster may be naming addresses that can't be reached from here. */
const ELSEWHERE = new Set(['REDIS_UNREACHABLE', 'REDIS_TIMEOUT', 'REDIS_CONNECTION_LOST', 'REDIS_PROTOCOL']);

/** After these errors another node may replace the one that failed. */
export const GONE = new Set(['REDIS_UNREACHABLE', 'REDIS_TIMEOUT', 'REDIS_CONNECTION_LOST', 'REDIS_LOADING']);

const ignore = (): void => undefined;

/** The nodes of a cluster, the connections to them, and which node serves which slot. */
export class ClusterNodes {
  /** Sentences for the user about what could not be verified. */
  readonly doubts = new Set<string>();
  readonly timeoutMs: number;
  isClosed = false;
  private readonly connections: Map<string, Promise<RedisNode>>;
  /** When each was last used, by its address. */
  private readonly usedAt: Map<string, number>;
  private refreshing: Promise<void> | undefined;
  /**
   * When everything has to be over. After one missed answer the rest gets half of the time limit: otherwise each silent
   * node would cost a full one, one after the other.
   */
  private overAt = Infinity;

  /** @param seed the node that was met first */
  constructor(
    readonly seed: RedisNode,
    private readonly target: RedisTarget,
    private readonly limits: ClusterLimits,
    public map: SlotMap,
  ) {
    this.timeoutMs = limits.timeoutMs;
    this.connections = new Map([[seed.address, Promise.resolve(seed)]]);
    this.usedAt = new Map([[seed.address, performance.now()]]);
    // Each connection adds a listener to the signal.
    if (limits.signal !== undefined) setMaxListeners(0, limits.signal);
  }

  /** True when the caller has finished or was interrupted. */
  get isOver(): boolean {
    return this.isClosed || this.limits.signal?.aborted === true;
  }

  /** The time limit of the next answer. */
  limit(): number {
    return Math.min(this.limits.deadline ?? Infinity, this.overAt, performance.now() + this.timeoutMs);
  }

  /** Call when an answer did not come in time. */
  hurry(): void {
    this.overAt = Math.min(this.overAt, performance.now() + this.timeoutMs / 2);
  }

  /** The time limit of a second look. */
  limitOfLook(): number {
    return Math.min(this.overAt + this.timeoutMs / 2, performance.now() + this.timeoutMs);
  }

  /** The address of the first node that was met. */
  get first(): Endpoint {
    return this.target.endpoints[0];
  }

  endpointOf(slot: number): Endpoint | undefined {
    const owner = this.map.owners[slot];
    return owner === undefined ? undefined : this.map.primaries.get(owner)?.endpoint;
  }

  moveTo(slot: number, endpoint: Endpoint): void {
    const address = addressOf(endpoint);
    this.map.owners[slot] = address;
    if (!this.map.primaries.has(address)) this.map.primaries.set(address, {endpoint, replicas: []});
  }

  /** The connection to a node, opened on first use, and again after it has ended. */
  async nodeAt(endpoint: Endpoint, by: number): Promise<RedisNode> {
    const address = addressOf(endpoint);
    const known = this.connections.get(address);
    if (known !== undefined) {
      const node = await known;
      await lookAfterPause(node, performance.now() - (this.usedAt.get(address) ?? Infinity));
      this.usedAt.set(address, performance.now());
      if (node.isOpen() || this.isClosed) return node;
      this.forget(address, known);
    }
    const opening = this.connections.get(address) ?? this.open(endpoint, by);
    this.connections.set(address, opening);
    try {
      const node = await opening;
      this.usedAt.set(address, performance.now());
      if (this.isClosed) node.close();
      return node;
    } catch (error) {
      this.forget(address, opening);
      throw error;
    }
  }

  private async open(endpoint: Endpoint, connectBy: number): Promise<RedisNode> {
    const {credentials, tls} = this.target;
    try {
      return await openNode({kind: 'Redis', endpoint, credentials, tls, database: 0, ...this.limits, connectBy});
    } catch (error) {
      const asked = addressOf(this.first);
      if (!(error instanceof TokengateError) || !ELSEWHERE.has(error.code) || addressOf(endpoint) === asked)
        throw error;
      const settings = `cluster-announce-ip${tls === undefined ? '' : ' and tls-cluster'}`;
      const hint = `The cluster gave this address (see ${settings}). CLUSTER NODES on ${asked} says whether it is up.`;
      throw new TokengateError(error.code, error.message, {hint, cause: error});
    }
  }

  private forget(address: string, known: Promise<RedisNode>): void {
    if (this.connections.get(address) === known) this.connections.delete(address);
  }

  /** Asks some of the known nodes, all at once, which node serves which slot. Never rejects. */
  async refresh(by: number): Promise<void> {
    const askNode = async (endpoint: Endpoint): Promise<SlotMap> =>
      askSlots(await this.nodeAt(endpoint, by), endpoint, by);
    this.refreshing ??= Promise.any(this.choose().map(askNode))
      .then(
        (fresh) => {
          this.map = fresh;
        },
        // The map stays as it was; the next attempt shows whether it is right.
        ignore,
      )
      .finally(() => {
        this.refreshing = undefined;
      });
    await this.refreshing;
  }

  /** Picks other nodes each time, since some may be gone. */
  choose(): Endpoint[] {
    const {primaries} = this.map;
    const all = [this.first, ...[...primaries.values()].flatMap(({endpoint, replicas}) => [endpoint, ...replicas])];
    const start = Math.floor(Math.random() * all.length);
    return [...all.slice(start), ...all.slice(0, start)].slice(0, ASKED);
  }

  /**
   * Sends commands to one node.
   *
   * @throws TokengateError when there is no answer
   */
  async ask(node: RedisNode, commands: readonly Command[], by: number, bytes = false): Promise<unknown[]> {
    const replies = await this.unlessReplaced(node.address, by, node.fly(commands, {bytes, by}));
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  }

  /**
   * Waits for a node's answer, but stops when another node has replaced it: then it may never answer.
   *
   * @throws TokengateError REDIS_CONNECTION_LOST
   */
  async unlessReplaced<T>(address: string, by: number, answer: Promise<T>): Promise<T> {
    if (!this.map.primaries.has(address)) return answer;
    const over = new AbortController();
    const watch = async (): Promise<never> => {
      do {
        await sleep(DOUBT_MS, undefined, {signal: over.signal});
        await this.refresh(by);
      } while (this.map.primaries.has(address));
      const known = this.connections.get(address);
      if (known !== undefined) this.forget(address, known);
      known?.then(({close}) => {
        close();
      }, ignore);
      throw takenOver(address);
    };
    try {
      return await Promise.race([answer, watch()]);
    } finally {
      over.abort();
    }
  }

  close(): void {
    this.isClosed = true;
    for (const opening of this.connections.values()) {
      opening.then(({close}) => {
        close();
      }, ignore);
    }
  }
}

export function takenOver(address: string): TokengateError {
  return new TokengateError('REDIS_CONNECTION_LOST', `Another node has taken over from Redis at ${address}.`);
}

/** @throws TokengateError REDIS_CLUSTER_DOWN, REDIS_NO_PERMISSION */
export async function askSlots(node: RedisNode, endpoint: Endpoint, by = Infinity): Promise<SlotMap> {
  const [reply] = await node.fly([['CLUSTER', 'SLOTS']], {by});
  if (reply instanceof NoReply) throw reply.error;
  if (reply instanceof ErrorReply) throw node.explain(reply);
  const map = parseSlots(reply, endpoint);
  if (map.primaries.size > 0) return map;
  throw new TokengateError('REDIS_CLUSTER_DOWN', `${node.address} is a node of a Redis Cluster that serves no keys.`, {
    hint: 'Its nodes may not have met, or have no slots yet: see CLUSTER INFO on it.',
  });
}
