import fc from 'fast-check';
import {expect, test} from 'vitest';

import {changeKnown} from '../../../../src/lib/change/apply.js';
import {resetChange} from '../../../../src/lib/operations/reset.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {recordSpending} from '../../../../src/lib/spending/record.js';
import {nameOf, parseSessionId} from '../../../../src/lib/values/session-id.js';
import {fuzz} from '../../../support/fuzz.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';
import {events, newJournal, World} from '../../../support/spending/world.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const record = (on: Redis) => recordSpending(on, {keepSeconds: 400 * 86_400});

fuzz(
  'whatever happens between recordings and during them, by two hosts, the ledger holds exactly what was spent',
  fc.asyncProperty(events, fc.boolean(), async (list, hasSpent) => {
    await server.client.flushDb();
    const world = new World(redis, record);
    if (hasSpent) await server.client.mSet(['session:a:spent', '3.5', 'session:a:budget', '10.0']);
    await record(redis);
    for (const event of list) await world.happen(event);
    await record(redis);
    const truth = [...world.truth].map(([id, sum]) => [nameOf(id), sum.toString()]);
    expect(await world.recorded()).toEqual(new Map(truth as [string, string][]));
    expect(await world.unaccounted()).toEqual(new Map());
  }),
  2,
);

test('two hosts at the same moment count nothing twice, and neither fails', async () => {
  const other = await connect({url: server.url});
  await record(redis);
  const ids = Array.from({length: 50}, (_, nth) => `s${nth}`);
  for (let round = 1; round <= 5; round++) {
    await server.client.mSet(ids.map((id): [string, string] => [`session:${id}:spent`, String(round / 8)]));
    await Promise.all([record(redis), record(other), record(redis), record(other)]);
  }
  other.close();
  const sums = await new World(redis, record).recorded();
  expect(sums).toEqual(new Map(ids.map((id) => [id, '0.625'])));
});

test('what has been spent before the first recording is noted, and not counted', async () => {
  await server.client.set('session:x:spent', '3.5');
  expect(await record(redis)).toMatchObject({since: null, sessions: 1, active: 0});
  await server.client.set('session:x:spent', '3.75');
  const {since, active, spent} = await record(redis);
  expect({since: since instanceof Date, active, spent: spent.toString()}).toEqual({
    since: true,
    active: 1,
    spent: '0.25',
  });
});

test('spending that falls without an entry in the journal is unaccounted, and counted from there', async () => {
  await record(redis);
  await server.client.set('session:x:spent', '3.5');
  await record(redis);
  await server.client.del('session:x:spent');
  const [fall] = (await record(redis)).unaccounted;
  expect({...fall, amount: String(fall?.amount), left: String(fall?.left)}).toEqual({
    id: 'x',
    amount: '3.5',
    left: '0',
  });
  await server.client.set('session:x:spent', '1');
  expect((await record(redis)).unaccounted).toEqual([]);
  const world = new World(redis, record);
  expect([await world.recorded(), await world.unaccounted()]).toEqual([
    new Map([['x', '4.5']]),
    new Map([['x', '3.5']]),
  ]);
});

test('a reset that the journal has dropped before a recording is unaccounted, and it is said', async () => {
  const reset = async (): Promise<unknown> =>
    changeKnown(redis, parseSessionId('x'), resetChange({keepBudget: true}), {journal: newJournal(), what: ''});
  await server.client.set('session:x:spent', '1');
  await reset();
  await record(redis);
  await server.client.set('session:x:spent', '3');
  await record(redis);
  await reset();
  await server.client.xTrim('tokengate:journal', 'MAXLEN', 0);
  const {isTrimmed, unaccounted} = await record(redis);
  expect({isTrimmed, unaccounted: unaccounted.map(({amount}) => amount.toString())}).toEqual({
    isTrimmed: true,
    unaccounted: ['3'],
  });
  expect((await record(redis)).isTrimmed).toBe(false);
});

test('what is not money is left alone until it is money again', async () => {
  await record(redis);
  await server.client.mSet(['session:x:spent', '2', 'session:y:spent', '1']);
  await record(redis);
  await server.client.set('session:x:spent', 'nan');
  await server.client.del('session:y:spent');
  await server.client.rPush('session:y:spent', 'list');
  const {problems, unaccounted} = await record(redis);
  expect({problems, unaccounted}).toEqual({
    problems: ['x', 'y'].map(
      (id) => `The spent of session '${id}' is not an amount. It will be recorded when it is one again.`,
    ),
    unaccounted: [],
  });
  await server.client.set('session:x:spent', '2.5');
  await record(redis);
  expect(await new World(redis, record).recorded()).toEqual(new Map(Object.entries({x: '2.5', y: '1'})));
});

test('the row of a session whose spending is gone is removed once it is accounted for', async () => {
  await record(redis);
  await server.client.set('session:x:spent', '2');
  await changeKnown(redis, parseSessionId('x'), resetChange({keepBudget: true}), {journal: newJournal(), what: ''});
  await record(redis);
  expect(await server.client.hKeys('tokengate:{spending}:seen')).toEqual(['x']);
  await record(redis);
  await record(redis);
  expect(await server.client.hKeys('tokengate:{spending}:seen')).toEqual([]);
  expect(await new World(redis, record).recorded()).toEqual(new Map([['x', '2']]));
});

test('a ledger keeps its time zone and its glob', async () => {
  await recordSpending(redis, {timezone: 'Europe/Berlin', match: 'a*', keepSeconds: 86_400});
  await recordSpending(redis, {match: 'a*', keepSeconds: 86_400});
  await expect(recordSpending(redis, {timezone: 'UTC', match: 'a*', keepSeconds: 86_400})).rejects.toThrow(
    'The ledger has days of Europe/Berlin, not of UTC.',
  );
  await expect(recordSpending(redis, {keepSeconds: 86_400})).rejects.toThrow(
    "The ledger records sessions that match 'a*', not all sessions.",
  );
});

test('days beyond what is kept are dropped', async () => {
  await record(redis);
  await server.client.hSet('tokengate:{spending}:ledger', {'day:2020-01-01': '1577836800000 1577836800000 0 0'});
  await server.client.hSet('tokengate:{spending}:day:2020-01-01', {x: '1'});
  expect((await record(redis)).droppedDays).toEqual(['2020-01-01']);
  expect(await server.client.keys('*2020*')).toEqual([]);
  expect(await server.client.hExists('tokengate:{spending}:ledger', 'day:2020-01-01')).toBe(0);
});

test('an active session takes about 100 bytes a day', async () => {
  await record(redis);
  const ids = Array.from({length: 10_000}, (_, nth) => `team-${nth % 7}:agent-${nth}`);
  await server.client.mSet(ids.map((id): [string, string] => [`session:${id}:spent`, '0.02643665']));
  const {at} = await record(redis);
  const bytes = await server.client.memoryUsage(`tokengate:{spending}:day:${at.toISOString().slice(0, 10)}`, {
    SAMPLES: 0,
  });
  expect(bytes! / ids.length).toBeLessThan(100);
});
