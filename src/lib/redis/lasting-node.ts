import {TokengateError} from '../values/errors.js';
import {type Command, CURSORS, ErrorReply, NoReply, READS} from './contract.js';
import type {RedisNode} from './node.js';

/** After so long without a word a connection is looked at before it is used; after much longer it is tried. */
const PAUSE_MS = 1000;
const LONG_PAUSE_MS = 10_000;

/**
 * A server whose connection may end between two flights. Servers close connections on which nothing is said, such as those
 * that wait for a reader or a person: where nothing was under way, or what only reads, a new one takes its place.
 */
export class LastingNode implements Pick<RedisNode, 'fly' | 'explain' | 'close'> {
  #node: RedisNode;
  readonly #renew: () => Promise<RedisNode>;
  readonly #hasAnswered: WeakSet<RedisNode>;
  /** Once something has got no answer, or nothing is wanted any more, nothing is mended. */
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

  /** As a node does it. */
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

  /** Finds out whether the connection still stands after a pause, and replaces it when it does not. */
  async #look(): Promise<void> {
    await lookAfterPause(this.#node, this.#rested());
    if (!this.#node.isOpen() && !this.#isOver) await this.#replace(this.#node);
  }

  /** Waits for a look that is under way; gives why there is no connection after it. */
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
    const canAsk = lost.error.code === 'REDIS_CONNECTION_LOST' && isReading(commands);
    if (canAsk && (await this.#isReplaced(node))) return this.#ask(this.#node, commands, options);
    this.#isOver = true;
    return replies;
  }

  /** Replaces a lost connection whose reads can be asked again: what only reads may be read twice. */
  async #isReplaced(lost: RedisNode): Promise<boolean> {
    // One that is lost before it has answered is not worth another.
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
    // What a cursor of SCAN says is forgotten when a server is started anew.
    const isSame = next.facts.mode === mode && (before === undefined || clientId > before) && !this.#isOver;
    if (isSame) this.#node = next;
    else next.close();
  }
}

function isReading(commands: readonly Command[]): boolean {
  return commands.every(([name = '']) => READS.has(String(name)) || CURSORS.has(String(name)));
}

/** Finds out whether a connection still stands on which nothing was said for so many milliseconds. Never rejects. */
export async function lookAfterPause(node: RedisNode, pause: number): Promise<void> {
  // Its end has arrived, perhaps, and is not read yet.
  for (let turns = 0; pause > PAUSE_MS && turns < 3; turns++) await new Promise(setImmediate);
  if (pause > LONG_PAUSE_MS && node.isOpen()) await node.fly([['PING']]);
}
