import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import AddBudget from '../../src/commands/add-budget.js';
import {addBudget, setBudget} from '../../src/lib/operations/budget.js';
import {connect} from '../../src/lib/redis/connect.js';
import type {Redis} from '../../src/lib/redis/contract.js';
import {parseAmount} from '../../src/lib/values/money.js';
import {parseSessionId} from '../../src/lib/values/session-id.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const add = (...argv: string[]): Promise<Output> => runCommand(AddBudget, argv, redis);
const budgetOf = (id: string): Promise<string | null> => redis.client.get(`session:${id}:budget`);

describe('add-budget', () => {
  test.each([
    ['1e-05', '0.1', '0.10001'],
    ['10.0', '5', '15'],
    ['0.1', '0.2', '0.3'],
    ['1e+16', '0.0001', '10000000000000000.0001'],
    ['0.02643664999999999982', '0.00000000000000000018', '0.02643665'],
    ['25.50', '0', '25.5'],
  ])('%s plus %s is %s, exactly and without an exponent', async (budget, amount, sum) => {
    await redis.client.set('session:x:budget', budget);
    expect(await add('x', amount)).toMatchObject({code: 0, stderr: ''});
    expect(await budgetOf('x')).toBe(sum);
  });

  test('says what the budget is and what it was', async () => {
    await redis.client.set('session:x:budget', '10.0');
    expect(await add('x', '2.5')).toMatchObject({
      code: 0,
      stdout: "✓ Budget of 'x': $12.50\nPrevious budget: $10.00\n",
      stderr: '',
    });
  });

  test('gives the facts as JSON', async () => {
    await redis.client.mSet({'session:x:budget': '10.0', 'session:x:spent': '1e-05'});
    expect((await add('x', '2.5', '--json', '--no-journal')).stdout).toMatchInlineSnapshot(`
      "{
        "session_id": "x",
        "budget": 12.5,
        "previous_budget": 10,
        "spent": 0.00001,
        "change_id": null
      }
      "
    `);
  });

  test('a negative amount after -- lowers the budget, to 0 at most', async () => {
    await redis.client.set('session:x:budget', '10');
    expect(await add('x', '--', '-2.50')).toMatchObject({code: 0});
    expect(await budgetOf('x')).toBe('7.5');
    expect(await add('x', '--', '-7.5')).toMatchObject({code: 0});
    expect(await budgetOf('x')).toBe('0');
    expect(await add('x', '--', '-0.00000001')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: "Error: The budget of session 'x' is $0.00: it would fall below zero.\n",
    });
    expect(await budgetOf('x')).toBe('0');
  });

  test('warns when the budget is not above what is spent', async () => {
    await redis.client.mSet({'session:x:budget': '10', 'session:x:spent': '9'});
    expect(await add('x', '--', '-1')).toMatchObject({
      code: 0,
      stderr: "Warning: Session 'x' has spent $9.00: the gateway refuses its requests.\n",
    });
  });

  test.each([['unknown'], ['']])('an unknown session is refused: %j', async (id) => {
    expect(await add(id, '5')).toMatchObject({code: 1, stdout: ''});
    expect(await redis.client.dbSize()).toBe(0);
  });

  test('a session that has only spent is refused, and gets no budget', async () => {
    await redis.client.set('session:x:spent', '3');
    const {code, stdout, stderr} = await add('x', '5');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain("Session 'x' not found. It has spent $3.00 nevertheless");
    expect(await redis.client.keys('*')).toEqual(['session:x:spent']);
  });

  test.each(['nan', 'inf', 'ten', ''])('a budget that is not an amount is refused and kept: %j', async (budget) => {
    await redis.client.set('session:x:budget', budget);
    const {code, stdout, stderr} = await add('x', '5', '--json');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'INVALID_BUDGET'}});
    expect(await budgetOf('x')).toBe(budget);
  });

  test('a budget of a wrong type is refused and kept', async () => {
    await redis.client.lPush('session:x:budget', '5');
    expect(await add('x', '5')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('wrong Redis type'),
    });
    expect(await redis.client.lLen('session:x:budget')).toBe(1);
  });

  test.each(['', 'ten', '1e3', '$5', '1,000', '--5', 'nan'])('%j is no amount', async (amount) => {
    await redis.client.set('session:x:budget', '10');
    expect(await add('x', '--', amount)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('Invalid amount'),
    });
    expect(await budgetOf('x')).toBe('10');
  });
});

describe('at the same time', () => {
  const ID = parseSessionId('x');
  let connections: Redis[];
  beforeAll(async () => {
    connections = await Promise.all(Array.from({length: 21}, () => connect({url: redis.url})));
  });
  afterAll(() => {
    for (const connection of connections) connection.close();
  });

  test('20 additions are all in the sum', async () => {
    await redis.client.set('session:x:budget', '10.0');
    const adders = connections.slice(0, 20);
    const changes = await Promise.all(
      adders.map((connection, index) => addBudget(connection, ID, parseAmount(`0.${index + 1}1`).value, undefined)),
    );
    const expected = adders.reduce(
      (sum, _, index) => sum.plus(parseAmount(`0.${index + 1}1`).value),
      parseAmount('10').value,
    );
    expect(await budgetOf('x')).toBe(expected.toFixed());
    expect(new Set(changes.map(({previousBudget}) => previousBudget?.toFixed())).size).toBe(20);
  });

  test('an addition is on what a set-budget wrote, or is replaced by it, never lost in between', async () => {
    for (let round = 0; round < 20; round++) {
      await redis.client.set('session:x:budget', '10');
      const adders = connections.slice(0, 20);
      const [set, ...added] = await Promise.all([
        setBudget(connections[20]!, ID, parseAmount('1000'), undefined),
        ...adders.map((connection) => addBudget(connection, ID, parseAmount('1').value, undefined)),
      ]);
      const before = set.previousBudget!.minus(10);
      const after = added.filter(({previousBudget}) => previousBudget!.gte(1000));
      expect(before.plus(after.length).toFixed()).toBe('20');
      expect(await budgetOf('x')).toBe(String(1000 + after.length));
    }
  });
});
