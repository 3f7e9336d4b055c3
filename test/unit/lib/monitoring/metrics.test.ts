import {Big} from 'big.js';
import {beforeEach, describe, expect, test} from 'vitest';

import {measure, type Metrics, type MetricsOptions} from '../../../../src/lib/monitoring/metrics.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseFilter} from '../../../../src/lib/sessions/filter.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {loadSessions} from '../../../support/program/shell.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, redis, connectAs} = own));

const NOW = new Date('2030-01-01T00:00:00.250Z');
const run = (options: Partial<MetricsOptions> = {}, on = redis): Promise<Metrics> =>
  measure(on, {maxSeries: 100, now: NOW, ...options});

/** The values of one metric, by session where it has series of their own. */
function valuesOf({gauges}: Metrics, name: string): Record<string, string> {
  const samples = gauges.find((gauge) => gauge.name === `tokengate_${name}`)?.samples ?? [];
  return Object.fromEntries(samples.map(({labels, value}) => [labels['session_id'] ?? '', String(value)]));
}
const valueOf = (metrics: Metrics, name: string): string | undefined => valuesOf(metrics, name)[''];

describe('of one session', () => {
  beforeEach(() =>
    loadSessions(server, {half: ['10.0', '5'], none: ['0'], over: ['10', '25'], owing: ['0', '1'], nan: ['nan', '2']}),
  );

  test('is measured what can be read', async () => {
    const metrics = await run();
    expect(metrics).toMatchObject({sessions: 5, leftOut: 0});
    expect(valuesOf(metrics, 'session_budget_usd')).toEqual({half: '10', none: '0', over: '10', owing: '0'});
    expect(valuesOf(metrics, 'session_spent_usd')).toEqual({half: '5', nan: '2', none: '0', over: '25', owing: '1'});
    expect(valuesOf(metrics, 'session_remaining_usd')).toEqual({half: '5', none: '0', over: '0', owing: '0'});
    expect(valuesOf(metrics, 'session_used_ratio')).toMatchObject({half: '0.5', none: '0', over: '2.5'});
    expect(valuesOf(metrics, 'session_used_ratio')).not.toHaveProperty('nan');
    expect(valuesOf(metrics, 'session_unreadable')).toEqual({half: '0', nan: '1', none: '0', over: '0', owing: '0'});
    expect(valueOf(metrics, 'sessions_exhausted')).toBe('3');
    expect(valueOf(metrics, 'sessions_unreadable')).toBe('1');
  });

  test('is measured whether it is frozen, and how many requests it has made', async () => {
    await server.client.mSet({
      'anomaly:half:frozen_until': '2030-01-01T00:00:01',
      'anomaly:none:frozen_until': '2030-01-01T00:00:00',
      'anomaly:over:frozen_until': '2031-01-01T00:00:00Z',
      'anomaly:half:requests:1min': '7',
      'anomaly:none:requests:1min': 'many',
      'anomaly:over:requests:1min': '5',
      'anomaly:nobody:requests:1min': '1000',
    });
    const metrics = await run();
    expect(valuesOf(metrics, 'session_frozen')).toEqual({half: '1', nan: '0', none: '0', owing: '0'});
    expect(valuesOf(metrics, 'session_requests_last_minute')).toEqual({half: '7', nan: '0', over: '5', owing: '0'});
    expect(valuesOf(metrics, 'session_unreadable')).toEqual({half: '0', nan: '1', none: '1', over: '1', owing: '0'});
    expect(valueOf(metrics, 'sessions_frozen')).toBe('1');
    expect(valueOf(metrics, 'sessions_unreadable')).toBe('3');
    expect(valueOf(metrics, 'all_sessions_requests_last_minute')).toBe('12');
    expect(valueOf(await run({maxSeries: 2}), 'other_sessions_requests_last_minute')).toBe('7');
  });

  test('is measured what the glob and the filter let through, and what the filter cannot tell', async () => {
    expect(Object.keys(valuesOf(await run({match: 'n*'}), 'session_spent_usd'))).toEqual(['nan', 'none']);
    const metrics = await run({where: parseFilter('budget > 5')});
    expect(Object.keys(valuesOf(metrics, 'session_spent_usd'))).toEqual(['half', 'nan', 'over']);
    expect(metrics.sessions).toBe(3);
    await server.client.mSet({'anomaly:half:frozen_until': '2031-01-01T00:00:00', 'anomaly:over:frozen_until': 'soon'});
    const frozen = await run({where: parseFilter('frozen')});
    expect(valuesOf(frozen, 'session_unreadable')).toEqual({half: '0', over: '1'});
  });
});

describe('series of their own', () => {
  const own = async (maxSeries: number): Promise<string[]> =>
    Object.keys(valuesOf(await run({maxSeries}), 'session_unreadable'));

  test('have first those that cannot be read, then those that have used most, then spent most, then by ID', async () => {
    // In this order; the IDs are in another.
    const sessions: [string, string[]][] = [
      ['m', ['nan', '5']],
      ['z', ['nan']],
      ['y', ['10', '20']],
      ['a', ['10', '10']],
      ['x', ['100', '50']],
      ['b', ['10', '5']],
      ['c', ['10', '5']],
      ['d', ['10']],
    ];
    await loadSessions(server, Object.fromEntries(sessions));
    for (let count = 0; count <= sessions.length; count++) {
      const first = sessions.slice(0, count).map(([id]) => id);
      expect(await own(count)).toEqual(first.sort());
    }
    const {leftOut, sessions: all} = await run({maxSeries: 3});
    expect({leftOut, all}).toEqual({leftOut: 5, all: 8});
  });

  test('have those that have used most of many pages, and the sums are of all', async () => {
    const script =
      "for i = 1, 3500 do redis.call('MSET', 'session:m' .. i .. ':budget', '1000', 'session:m' .. i .. ':spent', i % 3400) end";
    await server.client.sendCommand(['EVAL', script, '0']);
    const metrics = await run({maxSeries: 3});
    expect(valuesOf(metrics, 'session_spent_usd')).toEqual({m3397: '3397', m3398: '3398', m3399: '3399'});
    expect(metrics).toMatchObject({sessions: 3500, leftOut: 3497});
    const sum = (3399 * 3400) / 2 + (100 * 101) / 2;
    expect(valueOf(metrics, 'all_sessions_spent_usd')).toBe(String(sum));
    expect(valueOf(metrics, 'other_sessions_spent_usd')).toBe(String(sum - 3397 - 3398 - 3399));
    expect(valueOf(metrics, 'other_sessions_budget_usd')).toBe('3497000');
    expect(valueOf(metrics, 'other_sessions')).toBe('3497');
    const left = new Big(valueOf(metrics, 'all_sessions_remaining_usd')!);
    expect(valueOf(metrics, 'other_sessions_remaining_usd')).toBe(left.toFixed());
  });
});

describe('the store', () => {
  test('comes with the time and the length of the look, all in the order of the names', async () => {
    const {gauges} = await run();
    const names = gauges.map(({name}) => name);
    expect(names).toEqual(names.toSorted());
    expect(new Set(names).size).toBe(names.length);
    expect(valueOf({gauges, sessions: 0, leftOut: 0}, 'last_success_timestamp_seconds')).toBe('1893456000.25');
    const duration = valueOf({gauges, sessions: 0, leftOut: 0}, 'scrape_duration_seconds')!;
    expect(duration).toMatch(/^0\.\d{1,6}$|^[1-9]\d?(\.\d{1,6})?$/);
  });

  test('is told by its version, where it is known', async () => {
    const info = async (on: Redis): Promise<unknown> =>
      (await run({}, on)).gauges.find(({name}) => name === 'tokengate_redis_info')?.samples;
    expect(await info(redis)).toEqual([{labels: {version: redis.server.version, role: 'primary'}, value: 1}]);
    expect(await info({...redis, server: {...redis.server, version: undefined}})).toEqual([
      {labels: {version: 'unknown', role: 'primary'}, value: 1},
    ]);
  });

  test.each([
    ['maxmemory', '1', '0'],
    ['min-replicas-to-write', '1', '0'],
  ])('is not writable for want of what %s asks for', async (setting, broken, right) => {
    await server.client.configSet(setting, broken);
    const before = await run();
    await server.client.configSet(setting, right);
    expect(valueOf(before, 'redis_writable')).toBe('0');
    expect(valueOf(await run(), 'redis_writable')).toBe('1');
  });

  test('is not asked of a user who may not write, whose other failures are errors', async () => {
    const metrics = await run({}, await connectAs('-@write'));
    expect(valuesOf(metrics, 'redis_writable')).toEqual({});
    expect(valueOf(metrics, 'up')).toBe('1');
    for (const error of [new TokengateError('REDIS_TIMEOUT', 'Too late.'), new RangeError('a bug')]) {
      let calls = 0;
      const pipeline: Redis['pipeline'] = (commands) =>
        calls++ === 0 ? Promise.reject(error) : redis.pipeline(commands);
      await expect(run({}, {...redis, pipeline})).rejects.toBe(error);
    }
  });
});
