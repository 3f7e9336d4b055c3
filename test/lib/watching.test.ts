import {beforeEach, expect, test} from 'vitest';

import {parseFilter} from '../../src/lib/filter.js';
import {parseSessionId} from '../../src/lib/ids.js';
import {connect, type Redis} from '../../src/lib/redis.js';
import {openWatch} from '../../src/lib/watching.js';
import type {TestRedis} from '../support/redis-server.js';
import {withRedis} from '../support/with-redis.js';
import {loadSessions} from '../support/shell.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));
beforeEach(() => loadSessions(server, {a: ['20', '5'], b: ['10', '9'], c: ['5']}));

test('a session is the same object while nothing in Redis changes', async () => {
  const watch = openWatch({});
  await watch.read(redis, 'all');
  const before = watch.reading().sessions.map(({session}) => session);
  await watch.read(redis, 'all');
  expect(watch.reading().sessions.every(({session}, index) => session === before[index])).toBe(true);
  await server.client.set('session:b:spent', '9.5');
  await watch.read(redis, 'all');
  expect(watch.reading().sessions.map(({session}, index) => session === before[index])).toEqual([true, false, true]);
});

test('values of a wrong type are told from none, and from what replaces them', async () => {
  await server.client.del('session:c:budget');
  await server.client.lPush('session:c:budget', 'x');
  const watch = openWatch({});
  await watch.read(redis, []);
  const status = (): string[] => watch.reading().sessions.map((one) => `${one.session.id} ${one.status}`);
  expect(status()).toEqual(['a ok', 'b low', 'c invalid']);
  await server.client.del('session:c:budget');
  await server.client.set('session:c:budget', '1');
  await watch.read(redis, []);
  expect(status()).toEqual(['a ok', 'b low', 'c ok']);
});

test('a user who may not read some keys sees the rest change', async () => {
  await server.client.sendCommand([
    ...['ACL', 'SETUSER', 'some', 'on', '>pw', '+@all'],
    ...['~session:a:*', '~session:b:*', '~anomaly:*'],
  ]);
  const limited = await connect({url: server.url.replace('unix://', 'unix://some:pw@')});
  try {
    const watch = openWatch({});
    await watch.read(limited, []);
    await server.client.set('session:a:spent', '20');
    await watch.read(limited, []);
    expect(watch.reading().sessions.map((one) => `${one.session.id} ${one.status}`)).toEqual([
      'a empty',
      'b low',
      'c invalid',
    ]);
  } finally {
    limited.close();
  }
});

test('counts of requests are read of those that are asked for, and forgotten with them', async () => {
  await server.client.set('anomaly:a:requests:1min', '4');
  const watch = openWatch({});
  const [a, b] = [parseSessionId('a'), parseSessionId('b')];
  const counts = (): unknown[] => watch.reading().sessions.map(({requests}) => requests);
  await watch.read(redis, [a]);
  expect(counts()).toEqual([4, undefined, undefined]);
  await watch.readClosely(redis, [a, b]);
  expect(counts()).toEqual([4, 0, undefined]);
  await watch.read(redis, [b]);
  expect(counts()).toEqual([undefined, 0, undefined]);
});

test('what is wanted can be narrowed by a glob and by an expression', async () => {
  const watch = openWatch({where: parseFilter('budget > 5')});
  await watch.read(redis, []);
  const ids = (wanted = {}): string[] => watch.reading(wanted).sessions.map(({id}) => id);
  expect(ids()).toEqual(['a', 'b']);
  expect(ids({match: '[b-z]'})).toEqual(['b']);
  expect(ids({where: parseFilter('used < 50')})).toEqual(['a']);
});
