import type {Redis, ServerInfo} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';
import type {Reading, Watch} from './reader.js';

/** Repeats readings of a Redis for as long as they are wanted, whatever happens to the connection. */
export interface Feed {
  /** The server of the last reading. */
  readonly server: ServerInfo;
  /** The time of the last reading, in milliseconds of `performance.now()`. */
  readonly readAt: number;
  /** Set while Redis can't be read: the last reading is then as old as its own time says. */
  readonly trouble: Trouble | undefined;
  /** Calls the listener after each reading and each failure; returns a function that stops that. */
  subscribe(listener: () => void): () => void;
  reading(): Reading;
  /**
   * Sets how to choose the sessions whose request counts are wanted. They are read after each reading, before the
   * listeners hear of it.
   */
  lookAt(choose: () => readonly RawId[]): void;
  /** Reads the request counts of these sessions now, where they are missing. */
  lookMore(ids: readonly RawId[]): void;
  /** Reads now instead of at the next interval. */
  hurry(): void;
  /**
   * Returns the connection for a change.
   *
   * @throws TokengateError the current trouble
   */
  connection(): Redis;
  /** Resolves when the signal has ended the feed; rejects with any error that is not a failure of Redis. */
  readonly ended: Promise<void>;
}

interface Trouble {
  error: TokengateError;
  /** When Redis is tried again, in milliseconds of `performance.now()`. */
  retryAt: number;
}

interface FeedOptions {
  /** Opens a connection. */
  connect: () => Promise<Redis>;
  watch: Pick<Watch, 'read' | 'readClosely' | 'reading'>;
  /** The time from one reading to the next, in milliseconds. */
  interval: number;
  /** Reads the request counts of all sessions. */
  countAll?: boolean;
  signal: AbortSignal;
}

/** The second reading follows this soon after the first: two readings give rates. */
const SECOND_MS = 1000;
/** Redis is tried again after a second, then after twice as long each time, up to this limit. */
const MAX_RETRY_MS = 10_000;

/**
 * Reads once, then keeps reading. After each answer it leaves a slow server alone for at least as long as the answer
 * took.
 *
 * @throws TokengateError when the first reading fails
 */
export async function openFeed(options: FeedOptions): Promise<Feed> {
  const poller = new Poller(options, await options.connect());
  await poller.begin();
  return poller;
}

class Poller implements Feed {
  ended = Promise.resolve();
  server: ServerInfo;
  readAt = performance.now();
  trouble: Trouble | undefined;
  readonly #options: FeedOptions;
  readonly #listeners = new Set<() => void>();
  #redis: Redis | undefined;
  #wantedOf = (): readonly RawId[] => [];
  /** Whose requests are counted at the next reading. */
  #looked: readonly RawId[] = [];
  #isLooking = false;
  #failures = 0;
  #isHurried = false;
  #wake = (): void => {
    // Nobody is asleep.
  };

  constructor(options: FeedOptions, redis: Redis) {
    this.#options = options;
    this.#redis = redis;
    this.server = redis.server;
    options.signal.addEventListener('abort', () => {
      this.#wake();
    });
  }

  async begin(): Promise<void> {
    const first = await this.#read(Math.min(this.#options.interval, SECOND_MS));
    this.ended = this.#goOn(first);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reading(): Reading {
    return this.#options.watch.reading();
  }

  lookAt(choose: () => readonly RawId[]): void {
    this.#wantedOf = choose;
  }

  lookMore(ids: readonly RawId[]): void {
    if (this.#redis === undefined || this.#isLooking) return;
    this.#isLooking = true;
    // A failure shows up at the next reading.
    void this.#options.watch
      .readClosely(this.#redis, ids)
      .catch(() => false)
      .then((isNew) => {
        this.#isLooking = false;
        if (isNew) this.#notify();
      });
  }

  hurry(): void {
    // During a reading, it makes the next one follow at once.
    this.#isHurried = true;
    this.#wake();
  }

  connection(): Redis {
    if (this.#redis !== undefined) return this.#redis;
    throw this.trouble?.error ?? new TokengateError('REDIS_UNREACHABLE', 'There is no connection to Redis.');
  }

  /** @param first how long to wait for the next reading, in milliseconds */
  async #goOn(first: number): Promise<void> {
    const {signal} = this.#options;
    const isStopped = (): boolean => signal.aborted;
    let delay = first;
    while (!isStopped()) {
      await this.#sleep(delay);
      if (isStopped()) return;
      delay = await this.#readAgain();
      // A connection that the signal has ended is not a trouble.
      if (!isStopped()) this.#notify();
    }
  }

  /** Ends when the time is over, or the feed is hurried or ended. */
  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#isHurried ? 0 : ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#isHurried = false;
  }

  /** @returns how long to wait for the next reading, in milliseconds */
  async #readAgain(): Promise<number> {
    try {
      const delay = await this.#read(this.#options.interval);
      this.trouble = undefined;
      this.#failures = 0;
      return delay;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      this.#redis?.close();
      this.#redis = undefined;
      const delay = Math.min(1000 * 2 ** this.#failures++, MAX_RETRY_MS);
      this.trouble = {error, retryAt: performance.now() + delay};
      return delay;
    }
  }

  async #read(gap: number): Promise<number> {
    const {connect, watch, countAll = false} = this.#options;
    const start = performance.now();
    this.#redis ??= await connect();
    const redis = this.#redis;
    this.server = redis.server;
    await watch.read(redis, countAll ? 'all' : this.#looked);
    this.#looked = this.#wantedOf();
    if (!countAll) await watch.readClosely(redis, this.#looked);
    this.readAt = performance.now();
    const elapsed = this.readAt - start;
    return Math.max(gap - elapsed, elapsed);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
