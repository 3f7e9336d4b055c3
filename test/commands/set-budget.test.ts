import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import SetBudget from '../../src/commands/set-budget.js';
import {startRedis, type TestRedis} from '../support/redis-server.js';
import {runCommand} from '../support/run.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(() => redis.client.flushDb());
afterAll(() => redis.stop());

describe('set-budget', () => {
  test('keeps the amount as typed and says so', async () => {
    const {code, stdout, stderr} = await runCommand(SetBudget, ['my-workflow', '25.50'], redis);
    expect({code, stdout, stderr}).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "",
        "stdout": "✓ Budget set for 'my-workflow': $25.50
      ",
      }
    `);
    expect(await redis.client.get('session:my-workflow:budget')).toBe('25.50');
  });

  test('prints what run() returns as JSON', async () => {
    await redis.client.set('session:a:budget', '1e-05');
    await redis.client.set('session:a:spent', '0.02643664999999999982');
    const {stdout, stderr} = await runCommand(SetBudget, ['a', '0.05', '--json'], redis);
    expect(stdout).toMatchInlineSnapshot(`
      "{
        "session_id": "a",
        "budget": 0.05,
        "previous_budget": 0.00001,
        "spent": 0.02643664999999999982
      }
      "
    `);
    expect(stderr).toBe('');
  });
});
