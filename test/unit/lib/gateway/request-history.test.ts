import {describe, expect, test} from 'vitest';

import {readHistory} from '../../../../src/lib/gateway/request-history.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseStoredMoney} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const KEY = 'anomaly:x:history';
const AT = '2026-11-22T16:28:11.630291';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const push = (entry: unknown): Promise<number> =>
  server.client.rPush(KEY, typeof entry === 'string' ? entry : JSON.stringify(entry));
const read = (limit = 100): ReturnType<typeof readHistory> => readHistory(redis, x, {limit});

describe('a recorded request', () => {
  const good = {at: new Date('2026-11-22T16:28:11.630Z'), model: 'gpt', cost: null, malformed: null};
  test.each<[string, object, object]>([
    ['as the gateway writes it', {timestamp: AT, model: 'gpt', cost: 0.0}, good],
    ['with a cost', {timestamp: AT, model: 'gpt', cost: 7.5e-7}, {...good, cost: parseStoredMoney('0.00000075')}],
    ['without a cost', {timestamp: AT, model: 'gpt'}, good],
    ['without a model', {timestamp: AT}, {...good, model: null}],
    ['with a model that is none', {timestamp: AT, model: null}, {...good, model: null}],
    ['with a model that is no text', {timestamp: AT, model: {a: [1]}}, {...good, model: '{"a":[1]}'}],
  ])('%s is read', async (_, entry, request) => {
    await push(entry);
    expect(await read()).toEqual({requests: [request], isKnown: true});
  });

  test.each<[string, unknown]>([
    ['no JSON', '{'],
    ['a number', '7'],
    ['nothing', 'null'],
    ['a list', '[]'],
    ['without a time', {model: 'gpt', cost: 0}],
    ['with a time that is no text', {timestamp: 1763829192, cost: 0}],
    ['with a time with an offset', {timestamp: `${AT}Z`, cost: 0}],
    ['with a cost that is text', {timestamp: AT, cost: '0'}],
    ['without any cost', {timestamp: AT, cost: null}],
  ])('that is %s is given as it stands', async (_, entry) => {
    await push(entry);
    const malformed = typeof entry === 'string' ? entry : JSON.stringify(entry);
    expect((await read()).requests).toEqual([{at: null, model: null, cost: null, malformed}]);
  });
});

describe('the history of a session', () => {
  test('is read newest first, up to a limit, also of none', async () => {
    for (const n of [1, 2, 3]) await push({timestamp: AT, model: `m${n}`});
    const models = async (limit: number): Promise<unknown> => (await read(limit)).requests.map(({model}) => model);
    expect([await models(0), await models(1), await models(2), await models(9)]).toEqual([
      [],
      ['m1'],
      ['m1', 'm2'],
      ['m1', 'm2', 'm3'],
    ]);
    expect((await read(0)).isKnown).toBe(true);
  });

  test.each(['session:x:budget', 'session:x:spent', 'anomaly:x:frozen_until', 'anomaly:x:requests:1min'])(
    'is empty of one that is known by %s alone',
    async (key) => {
      expect(await read()).toEqual({requests: [], isKnown: false});
      await server.client.set(key, '1');
      expect(await read()).toEqual({requests: [], isKnown: true});
    },
  );

  test('that is no list is refused, as what a user may not read', async () => {
    await server.client.set(KEY, 'x');
    await expect(read()).rejects.toMatchObject({
      code: 'WRONG_TYPE',
      message: expect.stringMatching(/^The history of session 'x' is of a wrong Redis type: .*HTTP 500\.$/),
    });
    for (const rights of [['-lrange'], ['-exists']]) {
      await server.client.aclSetUser('few', ['reset', 'on', '>pw', '~*', '+@all', ...rights]);
      const few = await connect({url: server.url.replace('unix://', 'unix://few:pw@')});
      await expect(readHistory(few, rawId('y'), {limit: 1})).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
      few.close();
    }
  });
});
