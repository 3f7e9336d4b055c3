import {describe, expect, test} from 'vitest';

import {findAnomalyStats, parseCount, readCount} from '../../../../src/lib/gateway/anomaly-stats.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const NOW = new Date('2026-11-22T16:00:00Z');

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

describe('a count', () => {
  test.each([
    ['0', 0],
    ['7', 7],
    ['-12', -12],
    ['9223372036854775806', 2 ** 63],
    ['-9223372036854775808', -(2 ** 63)],
  ])('is %s', (text, count) => {
    expect(parseCount(text)).toBe(count);
  });

  // Of each of these Redis refuses INCR.
  test.each(['', '00', '07', '-0', '+1', ' 1', '1 ', '1.0', '1e3', 'x', '9223372036854775807', '-9223372036854775809'])(
    'is not %j, as Redis sees it',
    async (text) => {
      expect(parseCount(text)).toBeNull();
      await server.client.set('k', text);
      await expect(server.client.incr('k')).rejects.toThrow(/not an integer|overflow/);
    },
  );

  test('that is not there is 0, and what is no text is none', () => {
    expect([readCount(false), readCount('3'), readCount('x'), readCount(true)]).toEqual([0, 3, null, null]);
  });
});

describe('the anomalies of a session', () => {
  test('are its counts and its freeze', async () => {
    await server.client.mSet({
      'anomaly:x:requests:1min': '101',
      'anomaly:x:identical_count': '2',
      'anomaly:x:frozen_until': '2026-11-22T17:00:00',
      'anomaly:x:freeze_reason': 'Bot',
    });
    expect(await findAnomalyStats(redis, x, {now: NOW})).toEqual({
      id: 'x',
      freeze: {isFrozen: true, until: new Date('2026-11-22T17:00:00Z'), reason: 'Bot', problems: []},
      requestsLastMinute: 101,
      identicalConsecutive: 2,
      isKnown: true,
      problems: [],
    });
  });

  test('of none that Redis knows are none', async () => {
    expect(await findAnomalyStats(redis, x, {now: NOW})).toMatchObject({
      requestsLastMinute: 0,
      identicalConsecutive: 0,
      isKnown: false,
      problems: [],
    });
  });

  test.each([
    'session:x:budget',
    'session:x:spent',
    'anomaly:x:frozen_until',
    'anomaly:x:requests:1min',
    'anomaly:x:history',
  ])('are of a session that is known by %s', async (key) => {
    await server.client.set(key, '1');
    expect(await findAnomalyStats(redis, x, {now: NOW})).toMatchObject({isKnown: true});
  });

  test('say what is not as the gateway writes it, the freeze first', async () => {
    await server.client.set('anomaly:x:requests:1min', 'many');
    await server.client.lPush('anomaly:x:identical_count', '1');
    await server.client.set('anomaly:x:frozen_until', 'soon');
    expect(await findAnomalyStats(redis, x, {now: NOW})).toMatchObject({
      requestsLastMinute: null,
      identicalConsecutive: null,
      problems: [
        expect.stringMatching(/^The freeze end of session 'x'/),
        "The request count of session 'x' is 'many', which is not a count.",
        "The count of identical requests of session 'x' is of a wrong Redis type.",
      ],
    });
  });

  test('are not told to a user who may not read them', async () => {
    const rights = ['reset', 'on', '>pw', '+@all', '~session:*', '~anomaly:x:fr*', '~anomaly:x:history'];
    await server.client.aclSetUser('few', rights);
    const few = await connect({url: server.url.replace('unix://', 'unix://few:pw@')});
    await expect(findAnomalyStats(few, x, {now: NOW})).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
    few.close();
  });
});
