import {TokengateError} from '../values/errors.js';
import {type Command, CURSORS, ErrorReply, isRead, NoReply} from './contract.js';
import type {RedisNode} from './node.js';

/** A connection that was silent for this long is checked before it is used; after much longer it is pinged. */
const PAUSE_MS = 100;
const LONG_PAUSE_MS = 10_000;

/**
 * A server whose connection may end between two flights. Servers close idle connections, such as those of a command that
 * waits for a reader or a person. If nothing was under way, or only reads were, a new connection replaces the lost one.
 */
export class LastingNode implements Pick<RedisNode, 'fly' | 'explain' | 'close'> {
  #node: RedisNode;
  readonly #renew: () => Promise<RedisNode>;
  readonly #hasAnswered: WeakSet<RedisNode>;
  /** True once an answer is missing or the caller has finished: from then on nothing is reconnected. */
  #isOver = false;
  #underWay = 0;
  #restingSince = performance.now();
  #looking: Promise<void> | undefined;
  #replacing: Promise<void> | undefined;

  /** @param renew opens another connection to the same server */
  constructor(first: RedisNode, renew: () => Promise<RedisNode>) {
    this.#node = first;
    this.#renew = renew;
    this.#hasAnswered = new WeakSet([first]);
  }

  /** See `RedisNode`. */
  readonly fly: RedisNode['fly'] = async (commands, options) => {
    const isResting = this.#underWay === 0;
    if (isResting && (!this.#node.isOpen() || this.#rested() > PAUSE_MS)) this.#looking ??= this.#look();
    this.#underWay++;
    try {
      const failure = this.#looking && (await this.#failureOf(this.#looking));
      if (failure !== undefined) return commands.map(() => new NoReply(failure, false));
      return await this.#ask(this.#node, commands, options);
    } finally {
      this.#underWay--;
      this.#restingSince = performance.now();
    }
  };

  explain(reply: ErrorReply): TokengateError {
    return this.#node.explain(reply);
  }

  close(): void {
    this.#isOver = true;
    this.#node.close();
  }

  #rested(): number {
    return performance.now() - this.#restingSince;
  }

  /** Checks after a pause whether the connection is still open, and replaces it if it is not. */
  async #look(): Promise<void> {
    await lookAfterPause(this.#node, this.#rested());
    if (!this.#node.isOpen() && !this.#isOver) await this.#replace(this.#node);
  }

  /** Waits for a check that is under way; returns why there is no connection after it. */
  async #failureOf(look: Promise<void>): Promise<TokengateError | undefined> {
    try {
      await look;
      return undefined;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      this.#isOver = true;
      return error;
    } finally {
      this.#looking = undefined;
    }
  }

  async #ask(
    node: RedisNode,
    commands: readonly Command[],
    options: Parameters<RedisNode['fly']>[1],
  ): Promise<unknown[]> {
    const replies = await node.fly(commands, options);
    const lost = replies.find((reply) => reply instanceof NoReply);
    if (lost === undefined) {
      this.#hasAnswered.add(node);
      return replies;
    }
    const canAsk =
      lost.error.code === 'REDIS_CONNECTION_LOST' &&
      commands.every((command) => isRead(command) || CURSORS.has(String(command[0])));
    if (canAsk && (await this.#isReplaced(node))) return this.#ask(this.#node, commands, options);
    this.#isOver = true;
    return replies;
  }

  /** Replaces a lost connection when its commands only read, so that they can be sent again. */
  async #isReplaced(lost: RedisNode): Promise<boolean> {
    // If that one is lost before it answers, another attempt is not worth it.
    if (this.#isOver || !this.#hasAnswered.has(lost)) return false;
    this.#replacing ??= this.#replace(lost).finally(() => (this.#replacing = undefined));
    try {
      await this.#replacing;
      return this.#node !== lost;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      return false;
    }
  }

  async #replace(lost: RedisNode): Promise<void> {
    if (this.#node !== lost) return;
    const {mode, clientId: before} = lost.facts;
    const next = await this.#renew();
    const {clientId = Infinity} = next.facts;
    // A server that restarted no longer knows the cursor of a SCAN.
    const isSame = next.facts.mode === mode && (before === undefined || clientId > before) && !this.#isOver;
    if (isSame) this.#node = next;
    else next.close();
  }
}

/** Checks a connection that was silent for so many milliseconds: afterwards `isOpen` tells the truth. Never rejects. */
export async function lookAfterPause(node: RedisNode, pause: number): Promise<void> {
  // The end of the connection may have arrived without having been read.
  for (let turns = 0; pause > PAUSE_MS && turns < 3; turns++) await new Promise(setImmediate);
  if (pause > LONG_PAUSE_MS && node.isOpen()) await node.fly([['PING']]);
}
