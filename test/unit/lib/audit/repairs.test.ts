import {expect, test} from 'vitest';

import {
  makeRepairs,
  type Repair,
  type RepairOptions,
  type RepairStep,
  VALUE_LIMIT,
} from '../../../../src/lib/audit/repairs.js';
import {
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  type KeyShape,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../../../../src/lib/gateway/keys.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const HOUR = 3_600_000;
const running = (): RepairOptions => ({now: new Date(), journal: undefined, stop: new AbortController().signal});

function repair(id: string, ...steps: RepairStep[]): {repair: Repair} {
  return {repair: {id: rawId(id), action: 'put it right', steps}};
}
const step = (shape: KeyShape, expected: RepairStep['expected'], to: RepairStep['to']): RepairStep => ({
  shape,
  expected,
  to,
});

/** What became of each, in the order of the outcomes. */
async function make(
  findings: {repair: Repair}[],
  options: RepairOptions = running(),
  on: Redis = redis,
): Promise<string[]> {
  const states: string[] = [];
  for await (const {finding, outcome} of makeRepairs(on, findings, options)) {
    expect(outcome.id).toBe(finding.repair.id);
    states.push(`${outcome.id} ${outcome.state}`);
  }
  return states;
}

test('repairs of several keys, in one go, are each made at its own', async () => {
  await server.client.mSet({
    'anomaly:a:requests:1min': 'many',
    'anomaly:b:requests:1min': '7',
    'anomaly:b:frozen_until': 'then',
    'anomaly:b:freeze_reason': 'why',
    'session:c:spent': '1.50',
    'anomaly:d:requests:1min': 'much',
  });
  await server.client.pExpire('session:c:spent', HOUR);
  const states = await make([
    repair('a', step(REQUEST_COUNT_KEYS, 'many', 'delete')),
    repair('b', step(FROZEN_UNTIL_KEYS, 'then', 'delete'), step(FREEZE_REASON_KEYS, null, 'delete')),
    repair('c', step(SPENT_KEYS, '1.50', {end: 'never'})),
    repair('b', step(REQUEST_COUNT_KEYS, '7', {text: '8', end: HOUR})),
    repair('d', step(REQUEST_COUNT_KEYS, 'much', 'delete')),
  ]);
  // Those of the same keys together.
  expect(states).toEqual(['a done', 'b done', 'd done', 'b done', 'c done']);
  expect((await server.client.keys('*')).sort()).toEqual(['anomaly:b:requests:1min', 'session:c:spent']);
  expect(await server.client.get('anomaly:b:requests:1min')).toBe('8');
  expect(await server.client.pTTL('anomaly:b:requests:1min')).toBeGreaterThan(0.9 * HOUR);
  expect(await server.client.get('session:c:spent')).toBe('1.50');
  expect(await server.client.pTTL('session:c:spent')).toBe(-1);
});

test('a text ends at the time, or after the milliseconds, that are given, at once when that is over', async () => {
  const now = new Date();
  const ids = ['at', 'after', 'over', 'never'];
  await server.client.mSet(ids.map((id): [string, string] => [`anomaly:${id}:frozen_until`, id]));
  const ends = [new Date(now.getTime() + HOUR), 2 * HOUR, new Date(now.getTime() - HOUR), 'never'] as const;
  const findings = ids.map((id, index) => repair(id, step(FROZEN_UNTIL_KEYS, id, {end: ends[index]!})));
  expect(await make(findings, {...running(), now})).toEqual(ids.map((id) => `${id} done`));
  const ttl = (id: string): Promise<number> => server.client.pTTL(`anomaly:${id}:frozen_until`);
  const [at, after] = [await ttl('at'), await ttl('after')];
  expect(at).toBeLessThanOrEqual(HOUR);
  expect(at).toBeGreaterThan(0.9 * HOUR);
  expect(after).toBeGreaterThan(1.9 * HOUR);
  expect(await ttl('never')).toBe(-1);
  await expect.poll(() => server.client.exists('anomaly:over:frozen_until')).toBe(0);
});

test('what is not as it was found is left alone: another text, a text, none, some', async () => {
  await server.client.mSet({'session:text:spent': '1', 'session:typed:spent': 'x', 'session:some:spent': '0'});
  await server.client.lPush('session:list:spent', 'x');
  await server.client.mSet({'anomaly:kept:freeze_reason': 'why', 'anomaly:kept:frozen_until': '2099-01-01T00:00:00'});
  expect(
    await make([
      repair('text', step(SPENT_KEYS, '2', 'delete')),
      repair('typed', step(SPENT_KEYS, true, 'delete')),
      repair('none', step(SPENT_KEYS, '1', 'delete')),
      repair('some', step(SPENT_KEYS, false, {text: '5', end: 'never'})),
      repair('list', step(SPENT_KEYS, 'x', 'delete')),
      repair('kept', step(FREEZE_REASON_KEYS, 'why', 'delete'), step(FROZEN_UNTIL_KEYS, false, 'stay')),
    ]),
  ).toEqual(['text', 'typed', 'none', 'some', 'list', 'kept'].map((id) => `${id} unchanged`));
  expect(await server.client.dbSize()).toBe(6);
});

test('what is as it was found is repaired: no text, none, what does not matter, and a long text by its beginning', async () => {
  await server.client.lPush('session:list:spent', 'x');
  await server.client.set('session:long:spent', Buffer.from('\xff'.repeat(VALUE_LIMIT + 1), 'latin1'));
  await server.client.set('session:short:spent', 'y'.repeat(VALUE_LIMIT - 1));
  await server.client.set('anomaly:left:freeze_reason', 'why');
  expect(
    await make([
      repair('list', step(SPENT_KEYS, true, 'delete')),
      repair('long', step(SPENT_KEYS, '\xff'.repeat(VALUE_LIMIT), {end: HOUR})),
      repair('short', step(SPENT_KEYS, 'y'.repeat(VALUE_LIMIT - 1), 'delete')),
      repair('new', step(SPENT_KEYS, false, {text: '5', end: 'never'})),
      repair('any', step(SPENT_KEYS, null, {text: '6', end: 'never'})),
      repair('left', step(FREEZE_REASON_KEYS, 'why', 'delete'), step(FROZEN_UNTIL_KEYS, false, 'stay')),
    ]),
  ).toEqual(['list', 'long', 'short', 'new', 'any', 'left'].map((id) => `${id} done`));
  expect(await server.client.dbSize()).toBe(3);
  expect(await server.client.strLen('session:long:spent')).toBe(VALUE_LIMIT + 1);
  expect(await server.client.mGet(['session:new:spent', 'session:any:spent'])).toEqual(['5', '6']);
});

test('no repair is asked for: nothing is done', async () => {
  expect(await make([])).toEqual([]);
});

test('what another repair deletes is done with it, and is repaired on its own where that one is not made', async () => {
  for (const id of ['a', 'b']) {
    await server.client.mSet({[`anomaly:${id}:frozen_until`]: 'then', [`anomaly:${id}:freeze_reason`]: 'why'});
  }
  await server.client.set('anomaly:c:freeze_reason', 'other');
  const ends = (id: string): {repair: Repair} => repair(id, step(FREEZE_REASON_KEYS, 'why', {end: HOUR}));
  const deletes = (id: string, expected: string): {repair: Repair} =>
    repair(id, step(FROZEN_UNTIL_KEYS, expected, 'delete'), step(FREEZE_REASON_KEYS, null, 'delete'));
  expect(await make([ends('a'), ends('b'), ends('c'), deletes('a', 'then'), deletes('b', 'now')])).toEqual([
    'c unchanged',
    'a done',
    'b unchanged',
    'a done',
    'b done',
  ]);
  expect((await server.client.keys('*')).sort()).toEqual([
    'anomaly:b:freeze_reason',
    'anomaly:b:frozen_until',
    'anomaly:c:freeze_reason',
  ]);
  expect(await server.client.pTTL('anomaly:b:freeze_reason')).toBeGreaterThan(0.9 * HOUR);
});

test('an end that another repair gives is recorded once', async () => {
  await server.client.mSet({'anomaly:a:frozen_until': 'then', 'anomaly:a:freeze_reason': 'why'});
  const journal = {change: 'c', command: 'check-store', actor: 'a', reason: '', version: '1', limit: 10};
  const findings = [
    repair('a', step(FREEZE_REASON_KEYS, 'why', {end: HOUR})),
    repair('a', step(FROZEN_UNTIL_KEYS, 'then', {end: HOUR}), step(FREEZE_REASON_KEYS, null, {end: HOUR})),
  ];
  expect(await make(findings, {...running(), journal})).toEqual(['a done', 'a done']);
  expect(await server.client.xLen('tokengate:journal')).toBe(1);
  expect(await server.client.pTTL('anomaly:a:freeze_reason')).toBeGreaterThan(0.9 * HOUR);
});

test('an end without a text is given to a text alone', async () => {
  await server.client.set('anomaly:text:freeze_reason', 'why');
  await server.client.lPush('anomaly:list:freeze_reason', 'why');
  const ids = ['text', 'list', 'none'];
  await server.client.mSet(ids.map((id): [string, string] => [`anomaly:${id}:frozen_until`, 'then']));
  const findings = ids.map((id) =>
    repair(id, step(FROZEN_UNTIL_KEYS, 'then', {text: 'now', end: HOUR}), step(FREEZE_REASON_KEYS, null, {end: HOUR})),
  );
  expect(await make(findings)).toEqual(ids.map((id) => `${id} done`));
  expect(await server.client.mGet(ids.map((id) => `anomaly:${id}:frozen_until`))).toEqual(['now', 'now', 'now']);
  expect(await server.client.pTTL('anomaly:text:freeze_reason')).toBeGreaterThan(0.9 * HOUR);
  expect(await server.client.pTTL('anomaly:list:freeze_reason')).toBe(-1);
  expect(await server.client.exists('anomaly:none:freeze_reason')).toBe(0);
});

test('those that are stopped before they begin are not done', async () => {
  await server.client.set('session:a:spent', '1');
  const findings = [
    repair('a', step(SPENT_KEYS, '1', 'delete')),
    repair('a', step(REQUEST_COUNT_KEYS, null, 'delete')),
  ];
  expect(await make(findings, {...running(), stop: AbortSignal.abort()})).toEqual(['a not_done', 'a not_done']);
  expect(await server.client.dbSize()).toBe(1);
});

test('when no answer comes it is told what was there and what is there, and no other begins', async () => {
  const long = 'x'.repeat(61);
  await server.client.set('anomaly:a:frozen_until', long);
  await server.client.lPush('anomaly:a:freeze_reason', 'x');
  await server.client.set('session:b:spent', '1');
  const proxy = await startProxy(server, (request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
  const through = await connect({url: proxy.url});
  try {
    const findings = [
      repair('a', step(FROZEN_UNTIL_KEYS, long, 'delete'), step(FREEZE_REASON_KEYS, true, 'stay')),
      repair('b', step(SPENT_KEYS, '1', 'delete')),
      repair('c', step(SPENT_KEYS, '1', 'delete')),
    ];
    const outcomes = [];
    for await (const {finding, outcome} of makeRepairs(through, findings, running())) {
      expect(findings).toContain(finding);
      outcomes.push(outcome);
    }
    expect(outcomes).toEqual([
      {id: 'a', state: 'unknown', look: expect.any(String) as string, cause: expect.any(Error) as Error},
      {id: 'b', state: 'not_done', cause: undefined},
      {id: 'c', state: 'not_done', cause: undefined},
    ]);
    const before = `'${'x'.repeat(60)}…' and none`;
    // What is no text is not read before a change, but after it.
    expect(outcomes[0]).toMatchObject({look: `Before: ${before}. Now: none and of a wrong Redis type.`});
    expect(await server.client.exists('session:b:spent')).toBe(1);
  } finally {
    through.close();
    await proxy.stop();
  }
});
