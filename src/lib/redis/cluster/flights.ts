import {setTimeout as sleep} from 'node:timers/promises';

import {TokengateError} from '../../values/errors.js';
import {type Command, ErrorReply, NoReply, type RedisText} from '../contract.js';
import type {RedisNode} from '../node.js';
import {addressOf, type Endpoint} from '../url.js';
import {type ClusterNodes, GONE, takenOver} from './nodes.js';
import {join, type Part, toParts} from './parts.js';
import {parseRedirection} from './slots.js';

/** The pause after the first attempt, while a primary is being replaced or keys are moving; it doubles each time. */
const PAUSE_MS = 50;
const MAX_PAUSE_MS = 400;
/** The longest wait for something that is only good to know. */
const GLANCE_MS = 1000;
/** How long a replica may take to confirm a write. */
const REPLICA_MS = 1000;
/**
 * With these a node refuses a command that another node, or the same node a little later, accepts: nothing was done.
 */
const MOVES = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN)\b/;

/** Sends commands to the nodes that serve their keys, and again wherever those keys have moved. */
export class Flights {
  /** The node that last sent each error reply, by its text. */
  private readonly origins = new Map<string, RedisNode>();
  /** Nodes whose missing replicas were already reported, so that nothing waits for them again. */
  private readonly unconfirmed = new Set<string>();

  /** @param homeKey see `ConnectOptions` */
  constructor(
    private readonly nodes: ClusterNodes,
    private readonly homeKey: RedisText,
  ) {}

  explain(reply: ErrorReply): TokengateError {
    return (this.origins.get(reply.message) ?? this.nodes.seed).explain(reply);
  }

  /** Never rejects. */
  async fly(commands: readonly Command[], bytes = false): Promise<unknown[]> {
    const {nodes} = this;
    const lists = commands.map((command) => toParts(command, this.homeKey));
    const open = await this.deliver(lists.flat(), {bytes, by: nodes.limit(), isAgain: isToBeSentAgain});
    const isSilent = ({reply}: Part): boolean => reply instanceof NoReply && reply.error.code === 'REDIS_TIMEOUT';
    if (open.length > 0 || lists.flat().some(isSilent)) nodes.hurry();
    for (const part of open) {
      if (part.reply instanceof ErrorReply) part.reply = new NoReply(this.explain(part.reply), false);
    }
    return lists.map((parts, index) => join(commands[index] ?? [], parts));
  }

  /** The reply to a read of the node that serves it now, which is not waited for as if it mattered. Never rejects. */
  async glance(command: Command): Promise<unknown> {
    const {nodes} = this;
    const by = Math.min(nodes.limit(), performance.now() + Math.min(GLANCE_MS, nodes.timeoutMs / 4));
    const parts = toParts(command, this.homeKey);
    await this.deliver(parts, {bytes: false, by, isAgain: ({reply}) => isRedirected(reply)});
    const reply = join(command, parts);
    return reply instanceof ErrorReply && MOVES.test(reply.message) ? new NoReply(this.explain(reply)) : reply;
  }

  /** Sends parts until they have their replies, or the time is over; gives those that should have been sent again. */
  private async deliver(
    parts: readonly Part[],
    {bytes, by, isAgain}: {bytes: boolean; by: number; isAgain: (part: Part) => boolean},
  ): Promise<readonly Part[]> {
    const {nodes} = this;
    let open = parts;
    for (let tries = 0; open.length > 0; tries++) {
      await this.send(open, bytes, by);
      open = open.filter(isAgain);
      const pause = Math.min(PAUSE_MS * 2 ** Math.max(0, tries - 1), MAX_PAUSE_MS);
      if (open.length === 0 || nodes.isOver || performance.now() + pause >= by) break;
      const targets = open.map(({reply, sentTo = nodes.first}) =>
        reply instanceof ErrorReply ? parseRedirection(reply.message, sentTo) : undefined,
      );
      if (tries > 0 || targets.includes(undefined)) await sleep(pause);
      await this.redirect(open, targets, by);
    }
    return open;
  }

  private async redirect(
    parts: readonly Part[],
    targets: readonly ReturnType<typeof parseRedirection>[],
    by: number,
  ): Promise<void> {
    const {nodes} = this;
    // A node that nothing is known of may be new, and have replicas.
    const isKnown = targets.every((target) => target && nodes.map.primaries.has(addressOf(target.endpoint)));
    if (!isKnown) await nodes.refresh(by);
    // A redirection is right even if other nodes do not know of the move yet.
    for (const [index, part] of parts.entries()) {
      const target = targets[index];
      if (target?.kind === 'ASK') part.asking = target.endpoint;
      else if (target !== undefined) nodes.moveTo(part.slot, target.endpoint);
    }
  }

  /** Sends each part to its node, in one flight per node. */
  private async send(parts: readonly Part[], bytes: boolean, by: number): Promise<void> {
    const groups = new Map<string, {endpoint: Endpoint; parts: Part[]}>();
    for (const part of parts) {
      const endpoint = part.asking ?? this.nodes.endpointOf(part.slot);
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
    await Promise.all([...groups.values()].map((group) => this.sendTo(group.endpoint, group.parts, bytes, by)));
  }

  private async sendTo(endpoint: Endpoint, parts: readonly Part[], bytes: boolean, by: number): Promise<void> {
    const {nodes, unconfirmed, origins} = this;
    const address = addressOf(endpoint);
    const hasReplicas = (nodes.map.primaries.get(address)?.replicas.length ?? 0) > 0;
    const isConfirmed = hasReplicas && parts.some(({isRead}) => !isRead) && !unconfirmed.has(address);
    const commands = parts.flatMap(({command, asking}) => (asking === undefined ? [command] : [['ASKING'], command]));
    if (isConfirmed) commands.push(['WAIT', '1', String(Math.ceil(Math.min(REPLICA_MS, nodes.timeoutMs / 2)))]);
    let isSent = false;
    const answer = async (): Promise<IterableIterator<unknown>> => {
      const node = await nodes.nodeAt(endpoint, by);
      isSent = true;
      const replies = await node.fly(commands, {bytes, by});
      for (const reply of replies) if (reply instanceof ErrorReply) origins.set(reply.message, node);
      return replies.values();
    };
    let replies: IterableIterator<unknown>;
    try {
      replies = await nodes.unlessReplaced(address, by, answer());
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      for (const part of parts) take(part, new NoReply(error, isSent));
      return;
    }
    for (const part of parts) {
      if (part.asking !== undefined) replies.next();
      part.asking = undefined;
      take(part, replies.next().value);
    }
    if (isConfirmed) this.confirm(address, parts, replies.next().value);
  }

  /**
   * Waits until a replica confirms a write. A write that no replica has is lost when its primary fails, although it was
   * answered: without a confirmation its outcome is unknown.
   */
  private confirm(address: string, parts: readonly Part[], reply: unknown): void {
    const isDemoted = reply instanceof ErrorReply && reply.message.startsWith('UNBLOCKED');
    if (reply instanceof NoReply || isDemoted) {
      const lost = isDemoted ? new NoReply(takenOver(address)) : reply;
      for (const part of parts) if (!part.isRead && !(part.reply instanceof ErrorReply)) part.reply = lost;
    } else if (reply instanceof ErrorReply || reply === 0) {
      this.unconfirmed.add(address);
      this.nodes.doubts.add(
        `No replica of ${address} has confirmed what was written: a failover right now could lose it.`,
      );
    }
  }
}

/** Keeps an earlier refusal, or that it was not sent: either says more than that there was no time left. */
function take(part: Part, reply: unknown): void {
  const isNotDone = reply instanceof NoReply && (part.isRead || !reply.isSent);
  const isSilent = reply instanceof NoReply && reply.error.code === 'REDIS_TIMEOUT';
  const wasRefused = part.reply instanceof ErrorReply && isSilent && isNotDone;
  const wasUnsent = part.reply instanceof NoReply && reply instanceof NoReply && !reply.isSent;
  if (!wasRefused && !wasUnsent) part.reply = reply;
}

/** True when another node has it. */
function isRedirected(reply: unknown): boolean {
  return reply instanceof ErrorReply && /^(MOVED|ASK)\b/.test(reply.message);
}

/**
 * True for reads, and for what certainly was not done. A write without an answer is never repeated: the node that
 * replaces a lost one may already have it. A node that refuses us for good is no reason to try again.
 */
function isToBeSentAgain({reply, isRead}: Part): boolean {
  if (reply instanceof ErrorReply) return MOVES.test(reply.message);
  return reply instanceof NoReply && (isRead || !reply.isSent) && GONE.has(reply.error.code);
}
