import type {Redis, ServerInfo} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';
import type {Reading, Watch} from './reader.js';

/** Readings of a Redis, one after the other, for as long as they are wanted, whatever becomes of the connection. */
export interface Feed {
  /** Where it was read from last. */
  readonly server: ServerInfo;
  /** When it was read last, in the milliseconds of `performance.now()`. */
  readonly readAt: number;
  /** Set while Redis can't be read: what was read before is then as old as its own time says. */
  readonly trouble: Trouble | undefined;
  /** Calls the listener after each reading, and after each failure; gives what ends that. */
  subscribe(listener: () => void): () => void;
  reading(): Reading;
  /**
   * Says how to find out, once a reading is there, of which sessions the counts of requests are wanted. They are read
   * before the listeners hear of the reading.
   */
  lookAt(choose: () => readonly RawId[]): void;
  /** Reads the counts of requests of these that have none, since they are wanted now. */
  lookMore(ids: readonly RawId[]): void;
  /** Reads at once, in place of at the next interval. */
  hurry(): void;
  /**
   * The connection, to change something.
   *
   * @throws TokengateError what the trouble is
   */
  connection(): Redis;
  /** Resolves when the signal has ended it; rejects with what is no failure of Redis. */
  readonly ended: Promise<void>;
}

interface Trouble {
  error: TokengateError;
  /** When Redis is tried again, in the milliseconds of `performance.now()`. */
  retryAt: number;
}

interface FeedOptions {
  /** Opens a connection. */
  connect: () => Promise<Redis>;
  watch: Watch;
  /** From one reading to the next, in milliseconds. */
  interval: number;
  /** Reads the counts of requests of all sessions. */
  countAll?: boolean;
  signal: AbortSignal;
}

/** The second reading follows the first so soon: of two readings there are rates. */
const SECOND_MS = 1000;
/** Redis is tried again after a second, then after twice as long each time, up to this. */
const MAX_RETRY_MS = 10_000;

/**
 * Reads once, then goes on reading. A slow server is left alone for at least as long as it was asked.
 *
 * @throws TokengateError when the first reading fails
 */
export async function openFeed({connect, watch, interval, countAll = false, signal}: FeedOptions): Promise<Feed> {
  const listeners = new Set<() => void>();
  const notify = (): void => {
    for (const listener of listeners) listener();
  };
  let wantedOf = (): readonly RawId[] => [];
  let looked: readonly RawId[] = [];
  let isLooking = false;
  let redis: Redis | undefined = await connect();
  let {server} = redis;
  let trouble: Trouble | undefined;
  let failures = 0;
  let readAt = performance.now();
  let isHurried = false;
  let wake = (): void => {
    // Nobody is asleep.
  };
  signal.addEventListener('abort', () => {
    wake();
  });

  /** @returns how long to wait for the next, in milliseconds */
  const read = async (gap = interval): Promise<number> => {
    const start = performance.now();
    redis ??= await connect();
    ({server} = redis);
    await watch.read(redis, countAll ? 'all' : looked);
    looked = wantedOf();
    if (!countAll) await watch.readClosely(redis, looked);
    readAt = performance.now();
    const elapsed = readAt - start;
    return Math.max(gap - elapsed, elapsed);
  };
  const readAgain = async (): Promise<number> => {
    try {
      const delay = await read();
      trouble = undefined;
      failures = 0;
      return delay;
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      redis?.close();
      redis = undefined;
      const delay = Math.min(1000 * 2 ** failures++, MAX_RETRY_MS);
      trouble = {error, retryAt: performance.now() + delay};
      return delay;
    }
  };
  /** Until the time is over, or the feed is hurried or ended. */
  const sleep = async (ms: number): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, isHurried ? 0 : ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    isHurried = false;
  };
  const run = async (first: number): Promise<void> => {
    let delay = first;
    while (!isStopped()) {
      await sleep(delay);
      if (isStopped()) return;
      delay = await readAgain();
      // A connection that the signal has ended is no trouble.
      if (!isStopped()) notify();
    }
  };
  const isStopped = (): boolean => signal.aborted;

  const ended = run(await read(Math.min(interval, SECOND_MS)));
  return {
    get server() {
      return server;
    },
    get readAt() {
      return readAt;
    },
    get trouble() {
      return trouble;
    },
    ended,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reading: () => watch.reading(),
    lookAt(choose) {
      wantedOf = choose;
    },
    lookMore(ids) {
      if (redis === undefined || isLooking) return;
      isLooking = true;
      // A failure shows itself at the next reading.
      void watch
        .readClosely(redis, ids)
        .catch(() => false)
        .then((isNew) => {
          isLooking = false;
          if (isNew) notify();
        });
    },
    hurry() {
      // During a reading the next one follows at once.
      isHurried = true;
      wake();
    },
    connection() {
      if (redis !== undefined) return redis;
      throw trouble?.error ?? new TokengateError('REDIS_UNREACHABLE', 'There is no connection to Redis.');
    },
  };
}
