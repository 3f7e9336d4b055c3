import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {NOT_FROZEN} from '../../../../src/lib/gateway/freeze.js';
import {findSession, percentageOf, toSession} from '../../../../src/lib/gateway/session.js';

import {toAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {addBudget, setBudget} from '../../../../src/lib/operations/budget.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {type Money, parseAmount, parseStoredMoney, toPlainDigits} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const money = (text: string): Money => parseStoredMoney(text)!;

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));
/** May not run scripts. */
let plain: Redis;
/** May read all, and write nothing. */
let reader: Redis;
beforeAll(async () => {
  await server.client.aclSetUser('plain', ['on', '>p', '~*', '+@all', '-eval', '-evalsha']);
  await server.client.aclSetUser('reader', ['on', '>p', '~*', '+@all', '-eval', '-evalsha', '-set']);
  [plain, reader] = await Promise.all([
    connect({url: server.url.replace('unix://', 'unix://plain:p@')}),
    connect({url: server.url.replace('unix://', 'unix://reader:p@')}),
  ]);
});
afterAll(() => {
  for (const one of [plain, reader]) one.close();
});

const budget = (): Promise<string | null> => server.client.get('session:x:budget');

describe.each([
  ['in a script', () => redis],
  ['for a user who may not run scripts', () => plain],
])('a budget that is set %s', (_, as) => {
  test('gives what it replaced, exactly', async () => {
    await server.client.mSet({'session:x:budget': '0.02643664999999999982', 'session:x:spent': '1e-05'});
    const {session, previousBudget, problems} = await setBudget(as(), x, parseAmount('25.50'), undefined);
    expect(await budget()).toBe('25.50');
    expect(toPlainDigits(previousBudget!)).toBe('0.02643664999999999982');
    expect([session.budget, session.spent, session.remaining].map((amount) => toPlainDigits(amount!))).toEqual([
      ...['25.50', '0.00001', '25.49999'].map((text) => toPlainDigits(money(text))),
    ]);
    expect({problems, id: session.id}).toEqual({problems: [], id: 'x'});
  });

  test('is the first', async () => {
    expect(await setBudget(as(), x, parseAmount('1'), undefined)).toMatchObject({previousBudget: null, problems: []});
  });

  test.each([
    ['nan', async () => server.client.set('session:x:budget', 'nan'), "'nan', which is not an amount"],
    ['a list', async () => server.client.lPush('session:x:budget', 'a'), 'of a wrong Redis type'],
  ])('replaces %s, and says so', async (_, prepare, what) => {
    await prepare();
    expect(await setBudget(as(), x, parseAmount('1'), undefined)).toMatchObject({
      previousBudget: null,
      problems: [`The budget of session 'x' was ${what}; it is replaced.`],
    });
    expect(await budget()).toBe('1');
  });
});

describe('an addition', () => {
  test.each([
    ['0.1', '0.2', '0.3'],
    ['5', '-5', '0'],
    ['1e16', '0.0001', '10000000000000000.0001'],
  ])('to %s of %s is %s', async (before, amount, after) => {
    await server.client.set('session:x:budget', before);
    const {session, previousBudget} = await addBudget(redis, x, money(amount), undefined);
    expect(money((await budget())!)).toEqual(money(after));
    expect(session.budget).toEqual(money(after));
    expect(previousBudget).toEqual(money(before));
  });

  test.each([
    ['SESSION_NOT_FOUND', undefined, '1', "Session 'x' not found."],
    ['INVALID_BUDGET', 'nan', '1', "The budget of session 'x' is 'nan', which is not an amount."],
    ['BUDGET_BELOW_ZERO', '5', '-5.01', "The budget of session 'x' is $5.00: it would fall below zero."],
    ['BUDGET_BELOW_ZERO', '-10', '5', "The budget of session 'x' is -$10.00: it would still be below zero."],
    ['BUDGET_BELOW_ZERO', '-10', '-5', "The budget of session 'x' is -$10.00: it would still be below zero."],
  ])('is refused with %s', async (code, before, amount, message) => {
    if (before !== undefined) await server.client.set('session:x:budget', before);
    await expect(addBudget(redis, x, money(amount), undefined)).rejects.toMatchObject({code, message});
    expect(await budget()).toBe(before ?? null);
  });

  test.each([() => plain, () => reader])('needs scripts, without which it could lose what others write', async (as) => {
    await server.client.set('session:x:budget', '5');
    await expect(addBudget(as(), x, money('1'), undefined)).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
    expect(await budget()).toBe('5');
  });

  test('to a budget that somebody else changes at each try ends, and adds nothing', async () => {
    await server.client.set('session:x:budget', '0');
    let tries = 0;
    const contended: Redis = {
      ...redis,
      async pipelineBytes(commands) {
        const replies = await redis.pipelineBytes(commands);
        await server.client.incr('session:x:budget');
        tries++;
        return replies;
      },
    };
    await expect(addBudget(contended, x, money('1000'), undefined)).rejects.toMatchObject({
      code: 'BUDGET_CONTENDED',
      message: "The budget of session 'x' keeps changing; nothing was added.",
    });
    // One of them is for what was there before.
    expect(tries).toBe(101);
    expect(await budget()).toBe('101');
  });
});

test('a budget that may not be written is not said to be', async () => {
  await expect(setBudget(reader, x, parseAmount('1'), undefined)).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
});

test.each([
  ['set', (through: Redis) => setBudget(through, x, parseAmount('7'), undefined)],
  ['changed', (through: Redis) => addBudget(through, x, money('2'), undefined)],
])('without an answer it is unknown whether the budget was %s, and what was there is told', async (what, change) => {
  await server.client.mSet({'session:x:budget': '5', 'session:x:spent': '1'});
  const proxy = await startProxy(server, (request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
  const through = await connect({url: proxy.url});
  try {
    await expect(change(through)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringContaining(`It is unknown whether the budget of session 'x' was ${what}.`),
      hint: 'Before: budget $5.00, spent $1.00. Now: budget $7.00, spent $1.00.',
    });
  } finally {
    through.close();
    await proxy.stop();
  }
});

describe('a session', () => {
  test('is found by its budget alone', async () => {
    await server.client.set('session:x:budget', '5');
    expect(await findSession(redis, x)).toEqual({
      id: 'x',
      key: 'x',
      budget: money('5'),
      spent: money('0'),
      remaining: money('5'),
      percentageUsed: expect.toSatisfy((used: Money) => used.eq(0)),
      freeze: null,
      problems: [],
    });
  });

  test.each([
    [undefined, "Session 'x' not found."],
    ['1.25', "Session 'x' not found. It has spent $1.25 nevertheless, and gets a budget at its next request."],
  ])('without a budget is not found; spent: %s', async (spent, message) => {
    if (spent !== undefined) await server.client.set('session:x:spent', spent);
    await expect(findSession(redis, x)).rejects.toMatchObject({code: 'SESSION_NOT_FOUND', message});
  });

  test('tells the problems of its freeze before those of its amounts', () => {
    const amount = {state: 'invalid', why: 'odd', effect: 'it fails'} as const;
    const freeze = {...NOT_FROZEN, problems: ['The freeze is odd.']};
    const session = toSession(x, {budget: amount, spent: amount}, freeze);
    expect(session).toMatchObject({budget: null, spent: null, remaining: null, percentageUsed: null, freeze});
    expect(session.problems).toEqual([
      'The freeze is odd.',
      "The budget of session 'x' is odd: it fails.",
      "The spent of session 'x' is odd: it fails.",
    ]);
    expect(freeze.problems).toHaveLength(1);
  });

  test.each([
    ['budget', {budget: null, spent: money('0')}],
    ['spent', {budget: money('0'), spent: null}],
  ])('has nothing that remains and has used nothing when its %s is no money', (field, known) => {
    const zero = toAmount('0');
    const amounts = {budget: zero, spent: zero, [field]: toAmount('nan')};
    expect(toSession(x, amounts)).toMatchObject({...known, remaining: null, percentageUsed: null});
  });

  test.each([
    ['10', '2.5', '25'],
    ['10', '25', '250'],
    ['0', '0', '0'],
    ['0', '0.01', '100'],
  ])('with %s of budget that has spent %s has used %s %%', (limit, spent, percentage) => {
    expect(percentageOf(money(limit), money(spent)).toString()).toBe(percentage);
  });
});
