import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import type {Redis} from '../../../../src/lib/redis/contract.js';

import {TokengateError} from '../../../../src/lib/values/errors.js';
import {rawId, type RawId} from '../../../../src/lib/values/session-id.js';
import {type Feed, openFeed} from '../../../../src/lib/watch/poller.js';
import type {Reading} from '../../../../src/lib/watch/reader.js';

const [a, b] = [rawId('a'), rawId('b')];
const READING: Reading = {at: new Date(0), sessions: []};
const LOST = new TokengateError('REDIS_CONNECTION_LOST', 'Lost.');

/** By the clock of the test, in milliseconds. */
let now: number;
beforeEach(() => {
  now = 50_000;
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});
async function pass(ms: number): Promise<void> {
  now += ms;
  await vi.advanceTimersByTimeAsync(ms);
}

/** A watch that does as the test says, and connections that are numbered. */
function prepare() {
  const calls: string[] = [];
  const stop = new AbortController();
  const state = {
    stop,
    /** What was asked of the watch, in order. */
    calls,
    connections: 0,
    closed: [] as number[],
    /** What a reading does: takes its time, or fails. */
    onRead: (): Promise<void> | void => undefined,
    onConnect: (): void => undefined,
    /** What is said of counts: whether there were any. */
    onLook: (): Promise<boolean> => Promise.resolve(true),
    count: (): number => calls.filter((call) => call.startsWith('read ')).length,
    async open(options: {interval?: number; countAll?: boolean} = {}): Promise<Feed> {
      return openFeed({connect, watch, interval: 2000, signal: stop.signal, ...options});
    },
  };
  const connect = (): Promise<Redis> => {
    state.onConnect();
    const number = ++state.connections;
    const redis = {server: {address: `no. ${number}`}, close: () => state.closed.push(number)};
    return Promise.resolve(redis as unknown as Redis);
  };
  const nameOf = (redis: Redis | undefined): string => redis?.server.address ?? 'none';
  const listed = (ids: readonly RawId[] | 'all'): string => (ids === 'all' ? ids : `[${ids.join()}]`);
  const watch: Parameters<typeof openFeed>[0]['watch'] = {
    async read(redis, closely) {
      calls.push(`read ${nameOf(redis)} ${listed(closely)}`);
      await state.onRead();
    },
    async readClosely(redis, ids) {
      calls.push(`look ${nameOf(redis)} ${listed(ids)}`);
      return state.onLook();
    },
    reading: () => READING,
  };
  return state;
}
const failing = (): Promise<void> => Promise.reject(LOST);

describe('readings', () => {
  test('are there at once, a second later, then at each interval, of which listeners hear', async () => {
    const state = prepare();
    const feed = await state.open();
    const [heard, other] = [vi.fn(), vi.fn()];
    const unsubscribe = feed.subscribe(heard);
    feed.subscribe(other);
    expect(state.count()).toBe(1);
    expect(feed.readAt).toBe(50_000);
    await pass(999);
    expect(state.count()).toBe(1);
    await pass(1);
    expect(state.count()).toBe(2);
    expect(feed.readAt).toBe(51_000);
    expect([heard, other].map(({mock}) => mock.calls.length)).toEqual([1, 1]);
    unsubscribe();
    await pass(1999);
    expect(state.count()).toBe(2);
    await pass(1);
    expect(state.count()).toBe(3);
    expect(feed.readAt).toBe(53_000);
    expect([heard, other].map(({mock}) => mock.calls.length)).toEqual([1, 2]);
    expect(feed.reading()).toBe(READING);
    expect(feed.connection().server).toBe(feed.server);
    expect([state.connections, state.closed]).toEqual([1, []]);
  });

  test.each([
    [500, 500, 1500],
    [1200, 1200, 1200],
    [3000, 3000, 3000],
  ])('that take %i ms leave the server alone for %i ms at first, then for %i ms', async (takes, first, rest) => {
    const state = prepare();
    state.onRead = () => {
      now += takes;
    };
    const feed = await state.open();
    expect(feed.readAt).toBe(50_000 + takes);
    for (const [count, wait] of [first, rest].entries()) {
      await pass(wait - 1);
      expect(state.count()).toBe(count + 1);
      await pass(1);
      expect(state.count()).toBe(count + 2);
    }
  });

  test('are of all sessions closely, or of those that are looked at', async () => {
    const state = prepare();
    const feed = await state.open();
    feed.lookAt(() => (state.count() < 3 ? [a] : [a, b]));
    await pass(2000);
    await pass(2000);
    await pass(2000);
    expect(state.calls).toEqual([
      ...['read no. 1 []', 'look no. 1 []'],
      ...['read no. 1 []', 'look no. 1 [a]'],
      ...['read no. 1 [a]', 'look no. 1 [a,b]'],
      ...['read no. 1 [a,b]', 'look no. 1 [a,b]'],
    ]);
    const all = prepare();
    const full = await all.open({countAll: true});
    full.lookAt(() => [a]);
    await pass(2000);
    expect(all.calls).toEqual(['read no. 1 all', 'read no. 1 all']);
  });

  test('may be hurried: at once, or right after the one that is under way', async () => {
    const state = prepare();
    const feed = await state.open();
    feed.hurry();
    await pass(0);
    expect(state.count()).toBe(2);
    await pass(1999);
    expect(state.count()).toBe(2);
    let finish = (): void => undefined;
    state.onRead = () => new Promise<void>((resolve) => (finish = resolve));
    await pass(1);
    expect(state.count()).toBe(3);
    feed.hurry();
    state.onRead = () => undefined;
    finish();
    await pass(0);
    expect(state.count()).toBe(4);
    await pass(1999);
    expect(state.count()).toBe(4);
  });
});

describe('what fails', () => {
  test('first, fails all', async () => {
    const state = prepare();
    state.onRead = failing;
    await expect(state.open()).rejects.toBe(LOST);
    state.onConnect = () => {
      throw LOST;
    };
    await expect(state.open()).rejects.toBe(LOST);
  });

  test('is tried again on another connection, after twice as long each time, up to ten seconds', async () => {
    const state = prepare();
    const feed = await state.open();
    await pass(1000);
    const heard = vi.fn();
    feed.subscribe(heard);
    expect(feed.trouble).toBeUndefined();
    state.onRead = failing;
    await pass(2000);
    expect(feed.trouble).toEqual({error: LOST, retryAt: 54_000});
    expect(() => feed.connection()).toThrow(LOST);
    expect(state.closed).toEqual([1]);
    state.onConnect = () => {
      throw LOST;
    };
    for (const seconds of [1, 2, 4, 8, 10]) {
      await pass(seconds * 1000 - 1);
      expect(feed.trouble?.retryAt).toBe(now + 1);
      await pass(1);
    }
    expect(feed.trouble?.retryAt).toBe(now + 10_000);
    expect(heard).toHaveBeenCalledTimes(6);
    expect([feed.readAt, feed.server.address, state.connections]).toEqual([51_000, 'no. 1', 1]);
    expect(state.closed).toEqual([1]);

    [state.onConnect, state.onRead] = [() => undefined, () => undefined];
    await pass(10_000);
    expect(feed.trouble).toBeUndefined();
    expect([feed.readAt, feed.server.address]).toEqual([now, 'no. 2']);
    expect(heard).toHaveBeenCalledTimes(7);
    state.onRead = failing;
    await pass(2000);
    expect(feed.trouble?.retryAt).toBe(now + 1000);
    expect(state.closed).toEqual([1, 2]);
  });

  test('and is no failure of Redis, ends it', async () => {
    const state = prepare();
    const feed = await state.open();
    const ended = expect(feed.ended).rejects.toThrow('a bug');
    state.onRead = () => Promise.reject(new Error('a bug'));
    await pass(2000);
    await ended;
    await pass(60_000);
    expect(state.count()).toBe(2);
  });
});

describe('what is looked at now', () => {
  test('is read, and told when there was any', async () => {
    const state = prepare();
    const feed = await state.open();
    const heard = vi.fn();
    feed.subscribe(heard);
    state.calls.length = 0;
    feed.lookMore([a]);
    feed.lookMore([b]);
    await pass(0);
    expect(state.calls).toEqual(['look no. 1 [a]']);
    expect(heard).toHaveBeenCalledTimes(1);
    state.onLook = () => Promise.resolve(false);
    feed.lookMore([b]);
    await pass(0);
    state.onLook = () => Promise.reject(LOST);
    feed.lookMore([a, b]);
    await pass(0);
    expect(heard).toHaveBeenCalledTimes(1);
    expect(feed.trouble).toBeUndefined();
    expect(state.calls).toEqual(['look no. 1 [a]', 'look no. 1 [b]', 'look no. 1 [a,b]']);
  });

  test('is nothing while there is no connection', async () => {
    const state = prepare();
    const feed = await state.open();
    state.onRead = failing;
    await pass(2000);
    state.calls.length = 0;
    feed.lookMore([a]);
    await pass(0);
    expect(state.calls).toEqual([]);
  });
});

describe('the signal', () => {
  test('ends it between two readings', async () => {
    const state = prepare();
    const feed = await state.open();
    const heard = vi.fn();
    feed.subscribe(heard);
    state.stop.abort();
    await feed.ended;
    expect(vi.getTimerCount()).toBe(0);
    expect([state.count(), heard.mock.calls.length]).toEqual([1, 0]);
  });

  test('ends it in a reading at once, of whose failure nobody hears', async () => {
    const state = prepare();
    const feed = await state.open();
    const heard = vi.fn();
    feed.subscribe(heard);
    state.onRead = () => {
      state.stop.abort();
      return failing();
    };
    await pass(2000);
    await feed.ended;
    expect([state.count(), heard.mock.calls.length]).toEqual([2, 0]);
  });

  test('ends it in the first reading', async () => {
    const state = prepare();
    state.onRead = () => {
      state.stop.abort();
    };
    const feed = await state.open();
    await feed.ended;
    expect([state.count(), vi.getTimerCount()]).toEqual([1, 0]);
  });
});
