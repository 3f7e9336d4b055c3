import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';

import {connect} from '../../../../src/lib/redis/connect.js';
import type {Command, Redis} from '../../../../src/lib/redis/contract.js';
import {parseFilter} from '../../../../src/lib/sessions/filter.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {parseSessionId, type RawId} from '../../../../src/lib/values/session-id.js';
import {wantedBy, Watch} from '../../../../src/lib/watch/reader.js';
import type {Watched} from '../../../../src/lib/watch/row.js';
import {loadSessions} from '../../../support/program/shell.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, redis, connectAs} = own));
beforeEach(() => loadSessions(server, {a: ['20', '5'], b: ['10', '9'], c: ['5']}));

afterEach(() => {
  vi.restoreAllMocks();
});

const [a, b, c] = ['a', 'b', 'c'].map(parseSessionId) as [RawId, RawId, RawId];
const of = (watch: Watch, id: string): Watched | undefined =>
  watch.reading().sessions.find(({session}) => session.id === id);
const statuses = (watch: Watch): string[] =>
  watch.reading().sessions.map(({session, status}) => `${session.id} ${status}`);

/** The same Redis with a clock that the test sets, which keeps the commands of each flight, and how often it was scanned. */
function observed(): {redis: Redis; flights: string[][]; scans: () => number; setClock: (seconds: number) => void} {
  const flights: string[][] = [];
  const scans = vi.fn();
  let clock: [string, string] | undefined;
  return {
    flights,
    scans: () => scans.mock.calls.length,
    setClock(seconds) {
      clock = [String(1_800_000_000 + seconds), '0'];
    },
    redis: {
      ...redis,
      async pipeline(commands: readonly Command[]) {
        flights.push(commands.map((command) => command.join(' ')));
        const [first, ...rest] = await redis.pipeline(commands);
        return [commands[0]?.[0] === 'TIME' ? (clock ?? first) : first, ...rest];
      },
      pipelineBytes(commands) {
        scans();
        return redis.pipelineBytes(commands);
      },
    },
  };
}

test('a session is the same object while nothing in Redis changes', async () => {
  const watch = new Watch({});
  const sessions = (): unknown[] => watch.reading().sessions.map(({session}) => session);
  await watch.read(redis, 'all');
  const [watched, before] = [watch.reading().sessions, sessions()];
  await watch.read(redis, 'all');
  expect(sessions().every((session, index) => session === before[index])).toBe(true);
  await server.client.set('session:b:spent', '9.5');
  await watch.read(redis, 'all');
  expect(sessions().map((session, index) => session === before[index])).toEqual([true, false, true]);
  expect(watch.reading().sessions.every((one, index) => one === watched[index])).toBe(true);
});

test('a reading is one flight, in which only what is frozen or looked at closely is asked for more', async () => {
  const {redis: seen, flights} = observed();
  await server.client.mSet({'anomaly:b:frozen_until': '2099-01-01T00:00:00', 'anomaly:b:freeze_reason': 'x'});
  const watch = new Watch({});
  await watch.read(seen, []);
  const each = [
    'TIME',
    'MGET session:a:budget session:b:budget session:c:budget',
    'MGET session:a:spent session:b:spent session:c:spent',
    'MGET anomaly:a:frozen_until anomaly:b:frozen_until anomaly:c:frozen_until',
  ];
  const existing = 'EXISTS anomaly:a:frozen_until anomaly:b:frozen_until anomaly:c:frozen_until';
  expect(flights.splice(0)).toEqual([
    [...each, existing],
    ['GET session:c:spent', 'MGET anomaly:b:freeze_reason'],
  ]);
  await watch.read(seen, []);
  expect(flights.splice(0)).toEqual([[...each, 'MGET anomaly:b:freeze_reason']]);
  await server.client.set('anomaly:c:frozen_until', '2099-01-01T00:00:00');
  await watch.read(seen, [a, c, parseSessionId('none')]);
  expect(flights.splice(0)).toEqual([
    [...each, 'MGET anomaly:b:freeze_reason', 'MGET anomaly:a:requests:1min anomaly:c:requests:1min'],
    ['MGET anomaly:c:freeze_reason'],
  ]);
  await server.client.del('anomaly:b:frozen_until');
  await watch.read(seen, 'all');
  expect(flights.splice(0)).toEqual([
    [
      ...each,
      'MGET anomaly:b:freeze_reason anomaly:c:freeze_reason',
      'MGET anomaly:a:requests:1min anomaly:b:requests:1min anomaly:c:requests:1min',
    ],
    ['GET anomaly:b:frozen_until'],
  ]);
});

test('a freeze of a wrong type is not taken for none', async () => {
  const now = performance.now.bind(performance);
  let ahead = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead);
  await server.client.rPush('anomaly:a:frozen_until', 'x');
  const {redis: seen, flights} = observed();
  const watch = new Watch({where: parseFilter('!frozen')});
  await watch.read(seen, 'all');
  // Unknown, and so neither frozen nor not.
  expect(statuses(watch)).toEqual(['b low', 'c ok']);
  const all = new Watch({});
  await all.read(seen, 'all');
  expect(statuses(all)).toEqual(['a invalid', 'b low', 'c ok']);
  // Seen at once where there was something, else with the next scan.
  await server.client.rPush('anomaly:c:frozen_until', 'x');
  await server.client.del('anomaly:a:frozen_until');
  await all.read(seen, 'all');
  expect(statuses(all)).toEqual(['a ok', 'b low', 'c ok']);
  ahead = 20_000;
  await all.read(seen, 'all');
  expect(statuses(all)).toEqual(['a ok', 'b low', 'c invalid']);
  await server.client.del('anomaly:c:frozen_until');
  await server.client.mSet({'anomaly:c:frozen_until': '2099-01-01T00:00:00', 'anomaly:c:freeze_reason': 'why'});
  await all.read(seen, 'all');
  expect(of(all, 'c')?.session.freeze).toMatchObject({isFrozen: true, reason: 'why'});
  // One that is not there is not asked for again.
  flights.splice(0);
  await all.read(seen, 'all');
  expect(flights).toHaveLength(1);
});

test('a freeze that this user may not read is not taken for none', async () => {
  await server.client.set('anomaly:a:frozen_until', '2099-01-01T00:00:00');
  const half = await connectAs('resetkeys', '~session:*', '~anomaly:[ab]:*');
  const watch = new Watch({});
  await watch.read(half, []);
  await watch.read(half, []);
  expect(statuses(watch)).toEqual(['a frozen', 'b low', 'c invalid']);
});

test('a thousand keys are asked for at a time', async () => {
  const names = Array.from({length: 2001}, (_, index) => `n${String(index).padStart(4, '0')}`);
  await server.client.flushDb();
  await server.client.mSet(
    names.flatMap((id, n) => [`session:${id}:budget`, '10', `session:${id}:spent`, String(n / 1000)]),
  );
  const {redis: seen, flights} = observed();
  const watch = new Watch({});
  await watch.read(seen, 'all');
  const sizes = (flights[0] ?? []).map((command) => command.split(' ').length - 1);
  expect(sizes).toEqual([0, ...Array<number>(8).fill(1000), 1, 1, 1, 1, 1000, 1000, 1]);
  expect(watch.reading().sessions.map(({session}) => `${session.id} ${session.spent?.toFixed()}`)).toEqual(
    names.map((id, n) => `${id} ${n / 1000}`),
  );
});

test('what could not be read to its end is read again', async () => {
  const {redis: seen, flights} = observed();
  let isBroken = false;
  const breaking: Redis = {
    ...seen,
    pipeline: (commands) =>
      isBroken && flights.length > 0 ? Promise.reject(new Error('lost')) : seen.pipeline(commands),
  };
  const watch = new Watch({});
  const readBroken = async (): Promise<void> => {
    const {at} = watch.reading();
    [isBroken] = [true, flights.splice(0)];
    await expect(watch.read(breaking, [])).rejects.toThrow('lost');
    expect(watch.reading().at).toBe(at);
    isBroken = false;
    await watch.read(breaking, []);
  };
  await readBroken();
  expect(statuses(watch)).toEqual(['a ok', 'b low', 'c ok']);
  await server.client.del('session:b:spent');
  await server.client.lPush('session:c:spent', 'x');
  await server.client.set('anomaly:a:frozen_until', '2099-01-01T00:00:00');
  await server.client.set('anomaly:a:freeze_reason', 'x');
  await readBroken();
  expect(statuses(watch)).toEqual(['a frozen', 'b ok', 'c ok']);
  expect(of(watch, 'a')?.session.freeze?.reason).toBe('x');
});

describe('sessions that are new', () => {
  /** @param scanMs how long each scan takes */
  const scansAt = async (scanMs: number, ...times: number[]): Promise<number[]> => {
    let now = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const {redis: seen, scans} = observed();
    const slow: Redis = {
      ...seen,
      pipelineBytes(commands) {
        now += scanMs;
        return seen.pipelineBytes(commands);
      },
    };
    const watch = new Watch({});
    const counts: number[] = [];
    for (const time of times) {
      now = 1000 + time;
      await watch.read(slow, []);
      counts.push(scans());
    }
    return counts;
  };

  test('are looked for every ten seconds', async () => {
    expect(await scansAt(0, 0, 1, 9999, 10_000, 10_001, 19_999, 20_000)).toEqual([1, 1, 1, 2, 2, 2, 3]);
    expect(await scansAt(1000, 0, 10_999, 11_000)).toEqual([1, 1, 2]);
  });

  test('are looked for less often where that takes long: a tenth of the time', async () => {
    expect(await scansAt(3000, 0, 13_000, 32_999, 33_000)).toEqual([1, 1, 1, 2]);
  });

  test('are there then, and what is known of the others stays', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const watch = new Watch({});
    await watch.read(redis, []);
    const before = of(watch, 'a');
    await loadSessions(server, {aa: ['1', '1']});
    await watch.read(redis, []);
    expect(statuses(watch)).toEqual(['a ok', 'b low', 'c ok']);
    now = 10_000;
    await watch.read(redis, []);
    expect(statuses(watch)).toEqual(['a ok', 'aa empty', 'b low', 'c ok']);
    expect(of(watch, 'a')).toBe(before);
  });
});

describe('a session', () => {
  test('that is removed is gone, and is another when it is back', async () => {
    const {redis: seen, setClock} = observed();
    const watch = new Watch({});
    const readAt = async (seconds: number): Promise<void> => {
      setClock(seconds);
      await watch.read(seen, 'all');
    };
    await readAt(0);
    await readAt(60);
    expect(of(watch, 'a')?.rate?.toFixed()).toBe('0');
    await server.client.del('session:a:budget');
    await readAt(120);
    expect(statuses(watch)).toEqual(['b low', 'c ok']);
    expect(await watch.readClosely(seen, [a])).toBe(false);
    await loadSessions(server, {a: ['20', '15']});
    await readAt(180);
    expect(statuses(watch)).toEqual(['a ok', 'b low', 'c ok']);
    expect(of(watch, 'a')).toMatchObject({rate: null, requests: 0});
  });

  test('has a rate of what it spends, from nothing on, and none while that is no money', async () => {
    const {redis: seen, setClock} = observed();
    const watch = new Watch({});
    const rates: (string | undefined)[] = [];
    for (const [seconds, spent] of [null, null, '2', '2', 'nan', '3', '4'].entries()) {
      if (spent !== null) await server.client.set('session:c:spent', spent);
      setClock(seconds * 60);
      await watch.read(seen, []);
      rates.push(of(watch, 'c')?.rate?.toFixed());
    }
    expect(rates).toEqual([undefined, '0', '2', '0', undefined, undefined, '1']);
    expect(watch.reading().at).toEqual(new Date((1_800_000_000 + 360) * 1000));
    expect(of(watch, 'a')?.rate?.toFixed()).toBe('0');
  });

  test('is frozen as long as its freeze lasts, which may be changed', async () => {
    const {redis: seen, setClock} = observed();
    const watch = new Watch({});
    const time = (seconds: number): string => new Date((1_800_000_000 + seconds) * 1000).toISOString().slice(0, 19);
    const next = async (seconds: number, texts: Record<string, string> = {}): Promise<unknown[]> => {
      for (const [key, text] of Object.entries(texts)) await server.client.set(`anomaly:a:${key}`, text);
      setClock(seconds);
      await watch.read(seen, []);
      const {session, status} = of(watch, 'a')!;
      return [status, session.freeze?.until?.toISOString().slice(0, 19) ?? null, session.freeze?.reason ?? null];
    };
    expect(await next(0)).toEqual(['ok', null, null]);
    expect(await next(1, {frozen_until: time(10)})).toEqual(['frozen', time(10), null]);
    expect(await next(2, {freeze_reason: 'x'})).toEqual(['frozen', time(10), 'x']);
    expect(await next(3, {freeze_reason: 'y'})).toEqual(['frozen', time(10), 'y']);
    expect(await next(4, {frozen_until: time(20)})).toEqual(['frozen', time(20), 'y']);
    const {session} = of(watch, 'a')!;
    await next(5);
    expect(of(watch, 'a')?.session).toBe(session);
    expect(await next(20)).toEqual(['ok', time(20), 'y']);
    expect(await next(21, {frozen_until: 'soon'})).toEqual(['invalid', null, 'y']);
    await server.client.del(['anomaly:a:frozen_until', 'anomaly:a:freeze_reason']);
    expect(await next(22)).toEqual(['ok', null, null]);
    expect(await next(23, {frozen_until: time(30)})).toEqual(['frozen', time(30), null]);
  });

  test('whose ID is no text says so first, and may be found by a glob', async () => {
    await server.client.set(Buffer.from('session:\xff:budget', 'latin1'), 'nan');
    await loadSessions(server, {ü: ['1']});
    const watch = new Watch({});
    await watch.read(redis, []);
    expect(watch.reading().sessions.at(-1)?.session.problems).toEqual([
      "The ID of session '\\xff' is invalid: its key is not UTF-8 text.",
      "The budget of session '\\xff' is 'nan', which is not an amount: the gateway answers its requests with HTTP 503.",
    ]);
    expect(of(watch, 'a')?.session.problems).toEqual([]);
    expect(
      watch
        .reading()
        .sessions.filter(wantedBy({match: 'ü'}))
        .map(({session}) => session.id),
    ).toEqual(['ü']);
  });
});

test('values of a wrong type are told from none, and from what replaces them', async () => {
  await server.client.del('session:c:budget');
  await server.client.lPush('session:c:budget', 'x');
  const watch = new Watch({});
  await watch.read(redis, []);
  expect(statuses(watch)).toEqual(['a ok', 'b low', 'c invalid']);
  await server.client.del('session:c:budget');
  await server.client.set('session:c:budget', '1');
  await watch.read(redis, []);
  expect(statuses(watch)).toEqual(['a ok', 'b low', 'c ok']);
});

test('values of a wrong type are looked at again with each scan', async () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  await server.client.lPush('session:c:spent', 'x');
  const {redis: seen, flights} = observed();
  const watch = new Watch({});
  await watch.read(seen, []);
  const before = of(watch, 'c')?.session;
  expect(flights.splice(0)[1]).toEqual(['GET session:c:spent']);
  await watch.read(seen, []);
  expect(flights.splice(0)).toHaveLength(1);
  now = 10_000;
  await watch.read(seen, []);
  expect(flights.splice(0)[1]).toEqual(['GET session:c:spent']);
  expect(of(watch, 'c')?.session).toBe(before);
  await server.client.del('session:c:spent');
  now = 20_000;
  await watch.read(seen, []);
  expect(statuses(watch)).toEqual(['a ok', 'b low', 'c ok']);
  now = 30_000;
  flights.splice(0);
  await watch.read(seen, []);
  expect(flights).toHaveLength(1);
});

test('a user who may not read some keys sees the rest change', async () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  await server.client.sendCommand([
    ...['ACL', 'SETUSER', 'some', 'on', '>pw', '+@all'],
    ...['~session:a:*', '~session:b:*', '~anomaly:*'],
  ]);
  const limited = await connect({url: server.url.replace('unix://', 'unix://some:pw@')});
  try {
    const watch = new Watch({});
    await watch.read(limited, []);
    const before = watch.reading().sessions.map(({session}) => session);
    await server.client.set('session:a:spent', '20');
    await watch.read(limited, []);
    expect(statuses(watch)).toEqual(['a empty', 'b low', 'c invalid']);
    expect(watch.reading().sessions.map(({session}, index) => session === before[index])).toEqual([false, true, true]);
    expect(before[2]?.problems).toEqual([
      "The budget of session 'c' is not readable: this Redis user lacks a permission on its key.",
      "The spent of session 'c' is not readable: this Redis user lacks a permission on its key.",
    ]);
    await server.client.aclSetUser('some', ['~session:c:*']);
    now = 10_000;
    await watch.read(limited, []);
    expect(statuses(watch)).toEqual(['a empty', 'b low', 'c ok']);
  } finally {
    limited.close();
  }
});

test('counts of requests are read of those that are asked for, and forgotten with them', async () => {
  await server.client.set('anomaly:a:requests:1min', '4');
  const watch = new Watch({});
  const counts = (): unknown[] => watch.reading().sessions.map(({requests}) => requests);
  await watch.read(redis, [a]);
  expect(counts()).toEqual([4, undefined, undefined]);
  await server.client.set('anomaly:a:requests:1min', '5');
  expect(await watch.readClosely(redis, [a, b, parseSessionId('none')])).toBe(true);
  expect(counts()).toEqual([4, 0, undefined]);
  expect(await watch.readClosely(redis, [a, b])).toBe(false);
  await server.client.set('anomaly:b:requests:1min', 'many');
  await watch.read(redis, [b]);
  expect(counts()).toEqual([undefined, null, undefined]);
  await watch.readClosely(redis, [c]);
  await watch.read(redis, [a]);
  expect(counts()).toEqual([5, undefined, undefined]);
  await watch.read(redis, 'all');
  expect(counts()).toEqual([5, null, 0]);
});

test('what is wanted can be narrowed by a glob and by an expression', async () => {
  const watch = new Watch({where: parseFilter('budget > 5')});
  await watch.read(redis, []);
  const ids = (wanted = {}): string[] =>
    watch
      .reading()
      .sessions.filter(wantedBy(wanted))
      .map(({id}) => id);
  expect(ids()).toEqual(['a', 'b']);
  expect(ids({match: '[b-z]'})).toEqual(['b']);
  expect(ids({where: parseFilter('used < 50')})).toEqual(['a']);
});

test('the first reading has the rates that are recorded, and two readings have their own', async () => {
  const {redis: on, setClock} = observed();
  const asked = vi.fn(() => Promise.resolve(new Map([[a, Decimal.of('0.5')]])));
  const watch = new Watch({readFirstRates: asked});
  setClock(0);
  await watch.read(on, []);
  expect([of(watch, 'a')?.rate?.toString(), of(watch, 'b')?.rate]).toEqual(['0.5', null]);
  setClock(60);
  await watch.read(on, []);
  expect([of(watch, 'a')?.rate?.toString(), of(watch, 'b')?.rate?.toString()]).toEqual(['0', '0']);
  expect(asked).toHaveBeenCalledTimes(1);
});
