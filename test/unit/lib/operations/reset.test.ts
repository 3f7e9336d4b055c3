import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {sendChanges} from '../../../../src/lib/change/apply.js';
import {describeRemoved, type Reset, resetSession, resetChange} from '../../../../src/lib/operations/reset.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const BOTH = {keepBudget: false};
const SPENT_ONLY = {keepBudget: true};

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));
/** May not run scripts. */
let plain: Redis;
beforeAll(async () => {
  await server.client.aclSetUser('plain', ['on', '>p', '~*', '+@all', '-eval', '-evalsha']);
  plain = await connect({url: server.url.replace('unix://', 'unix://plain:p@')});
});
afterAll(() => {
  plain.close();
});

const GRANTS = '[{"id":"g","amount":"5","until":null,"note":""}]';
const removed = (budget: string | null, spent: string | null, limit = budget): Reset => ({
  ...{id: 'x', key: x, budget, spent, grants: false, limit},
});
const setUp = async (budget?: string, spent?: string): Promise<void> => {
  if (budget !== undefined) await server.client.set('session:x:budget', budget);
  if (spent !== undefined) await server.client.set('session:x:spent', spent);
};
const left = (): Promise<(string | null)[]> => server.client.mGet(['session:x:budget', 'session:x:spent']);

describe.each([
  ['in a script', () => redis],
  ['for a user who may not run scripts', () => plain],
])('a reset %s', (_, as) => {
  test.each([
    ['both', BOTH, '10.0', '1e-05', removed('10.0', '1e-05'), [null, null]],
    ['a budget alone', BOTH, '10.0', undefined, removed('10.0', null), [null, null]],
    ['spending alone', BOTH, undefined, 'nan', removed(null, 'nan'), [null, null]],
    ['spending, and keeps the budget', SPENT_ONLY, '10.0', '2', removed(null, '2', '10.0'), ['10.0', null]],
    ['no spending where there is none', SPENT_ONLY, '10.0', undefined, removed(null, null, '10.0'), ['10.0', null]],
  ])('removes %s', async (_, options, budget, spent, result, remains) => {
    await setUp(budget, spent);
    expect(await resetSession(as(), x, options, undefined)).toEqual(result);
    expect(await left()).toEqual(remains);
  });

  test('removes the grants of a session with its budget, and keeps them with it', async () => {
    const ids = ['w', 'x', 'y', 'z'].map(rawId);
    for (const id of ids) await server.client.set(`session:${id}:budget`, '15');
    await server.client.mSet({'tokengate:grants:x': GRANTS, 'tokengate:grants:z': GRANTS, 'session:z:spent': '1'});
    await sendChanges(as(), ids, resetChange(SPENT_ONLY), undefined);
    expect(await server.client.exists(['tokengate:grants:x', 'tokengate:grants:z'])).toBe(2);
    expect(await sendChanges(as(), ids, resetChange(BOTH), undefined)).toMatchObject(
      ids.map((id) => ({id, state: 'done', result: {budget: '15', grants: id === 'x' || id === 'z' ? GRANTS : false}})),
    );
    expect(await server.client.dbSize()).toBe(0);
  });

  test.each<[string, typeof BOTH, string | undefined, string | undefined]>([
    ['done', BOTH, '1', '2'],
    ['done', BOTH, '1', undefined],
    ['done', SPENT_ONLY, '1', '2'],
    ['unchanged', SPENT_ONLY, '1', undefined],
    ['not_found', BOTH, undefined, undefined],
  ])('counts as %s: %j of budget %s and spent %s', async (state, options, budget, spent) => {
    await setUp(budget, spent);
    const change = resetChange(options);
    expect(await sendChanges(as(), [x], change, undefined)).toMatchObject([{id: 'x', state}]);
  });

  test('counts as failed where a key is of a wrong type', async () => {
    await server.client.lPush('session:x:spent', 'a');
    expect(await sendChanges(as(), [x], resetChange(BOTH), undefined)).toMatchObject([{id: 'x', state: 'failed'}]);
  });

  test.each([BOTH, SPENT_ONLY])('finds no session to reset: %j', async (options) => {
    await expect(resetSession(as(), x, options, undefined)).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
      message: "Session 'x' not found.",
    });
  });
});

describe('a reset is refused', () => {
  test.each([
    ['budget', 'spent', BOTH],
    ['spent', 'budget', BOTH],
    ['spent', 'budget', SPENT_ONLY],
  ])('where the %s is of a wrong type, and leaves the %s', async (wrong, right, options) => {
    await server.client.lPush(`session:x:${wrong}`, 'a');
    await server.client.set(`session:x:${right}`, '1');
    await expect(resetSession(redis, x, options, undefined)).rejects.toMatchObject({
      code: 'WRONG_TYPE',
      message: expect.stringContaining(`its ${wrong} is of a wrong Redis type. Nothing was removed.`),
    });
    expect(await server.client.get(`session:x:${right}`)).toBe('1');
  });

  test.each([
    ['budget', 'spent', 'spent $2.00', BOTH],
    ['spent', 'budget', 'budget $2.00', BOTH],
    ['spent', 'budget', 'nothing', SPENT_ONLY],
  ])('without scripts in part: the %s is of a wrong type, the %s is told', async (wrong, right, told, options) => {
    await server.client.lPush(`session:x:${wrong}`, 'a');
    await server.client.set(`session:x:${right}`, '2');
    await expect(resetSession(plain, x, options, undefined)).rejects.toMatchObject({
      code: 'RESET_INCOMPLETE',
      message: expect.stringContaining(`removed ${told}, but not its ${wrong}: `),
    });
    expect(await server.client.exists(`session:x:${wrong}`)).toBe(1);
  });
});

describe('what a reset would do', () => {
  const wrong = (of: string): unknown => expect.objectContaining({message: expect.stringContaining(`its ${of} is`)});
  test.each([
    ['done', BOTH, '10.0', '1', {now: 'budget $10.00, spent $1.00', then: 'no budget, nothing spent'}],
    ['done', BOTH, '10.0', false, {now: 'budget $10.00, spent none', then: 'no budget, nothing spent'}],
    ['done', SPENT_ONLY, false, '1', {now: 'budget none, spent $1.00', then: 'nothing spent'}],
    ['unchanged', SPENT_ONLY, '10.0', false, {now: 'budget $10.00, spent none'}],
    ['not_found', BOTH, false, false, {now: 'budget none, spent none'}],
    ['not_found', SPENT_ONLY, false, false, {now: 'budget none, spent none'}],
    ['failed', BOTH, true, '1', {now: 'budget of a wrong Redis type, spent $1.00', error: wrong('budget')}],
    ['failed', SPENT_ONLY, '1', true, {now: 'budget $1.00, spent of a wrong Redis type', error: wrong('spent')}],
  ])('is %s: %j of %j and %j', (state, options, budget, spent, facts) => {
    expect(resetChange(options).preview(x, [budget, spent], [])).toEqual({id: 'x', state, ...facts});
  });

  test.each([
    [GRANTS, 'grants $5.00'],
    ['some', 'grants that cannot be read'],
    [true, 'grants that cannot be read'],
  ])('names grants: %j', (grants, told) => {
    expect(resetChange(BOTH).preview(x, ['15', false, grants], [])).toMatchObject({
      now: `budget $15.00, spent none, ${told}`,
      then: 'no budget, nothing spent, no grants',
    });
    expect(describeRemoved({...removed('15', null), grants})).toBe(`budget $15.00, ${told}`);
  });
});

test('without an answer it is unknown whether the session was reset, and what was there is told', async () => {
  await setUp('10.0', '7');
  const proxy = await startProxy(server, (request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
  const through = await connect({url: proxy.url});
  try {
    await expect(resetSession(through, x, BOTH, undefined)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringContaining("It is unknown whether session 'x' was reset."),
      hint: 'Before: budget $10.00, spent $7.00. Now: budget none, spent none.',
    });
  } finally {
    through.close();
    await proxy.stop();
  }
});

describe('what was removed', () => {
  test.each([
    [null, null, 'nothing'],
    ['10.0', null, 'budget $10.00'],
    [null, '0.026436', 'spent $0.026436'],
    ['25.50', '0.00', 'budget $25.50, spent $0.00'],
    ['7.5E-7', '1e+16', 'budget $0.00000075, spent $10000000000000000.00'],
    ['007.50', '-1.50', 'budget $7.50, spent -$1.50'],
    ['20.100', '0.000450000000000000100', 'budget $20.10, spent $0.0004500000000000001'],
    ['x1.50', '1.50x', "budget 'x1.50', spent '1.50x'"],
    ['1234567.25', '7', 'budget $1234567.25, spent $7.00'],
    ['12345678901234567890.25', '1.5', 'budget $12345678901234567890.25, spent $1.50'],
  ])('budget %j and spent %j are %s', (budget, spent, text) => {
    expect(describeRemoved(removed(budget, spent))).toBe(text);
  });
});
