import {describe, expect, test} from 'vitest';

import SetBudget from '../../src/commands/set-budget.js';
import {run, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

describe('set-budget', () => {
  test('keeps the amount as typed and says so', async () => {
    const {code, stdout, stderr} = await run('set-budget my-workflow 25.50', redis);
    expect({code, stdout, stderr}).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "Warning: New session 'my-workflow'.
      ",
        "stdout": "✓ Budget set for 'my-workflow': $25.50
      ",
      }
    `);
    expect(await redis.client.get('session:my-workflow:budget')).toBe('25.50');
  });

  test('says what it replaced', async () => {
    await redis.client.set('session:a:budget', '1e-05');
    const {stdout} = await run('set-budget a 0.5', redis);
    expect(stdout).toBe("✓ Budget set for 'a': $0.50\nPrevious budget: $0.00001\n");
  });

  test('warns when the amount is not above what is spent', async () => {
    await redis.client.set('session:a:spent', '7.5');
    const {code, stderr} = await run('set-budget a 7.50', redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: Session 'a' has spent $7.50: the gateway refuses its requests.\n",
    });
    expect((await run('set-budget a 7.51', redis)).stderr).toBe('');
  });

  test.each(['nan', 'inf', '-5', '1_000', '0x10', '$5', '', '1e5'])(
    'refuses %j and changes nothing',
    async (amount) => {
      const {code, stdout, stderr} = await runCommand(SetBudget, ['--', 'a', amount], redis);
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toContain('Invalid amount');
      expect(await redis.client.dbSize()).toBe(0);
    },
  );

  test('replaces a budget of a wrong type, and says so', async () => {
    await redis.client.lPush('session:a:budget', 'x');
    const {code, stderr} = await run('set-budget a 5', redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: The budget of session 'a' was of a wrong Redis type; it is replaced.\n",
    });
    expect(await redis.client.get('session:a:budget')).toBe('5');
  });

  test('prints what run() returns as JSON', async () => {
    await redis.client.set('session:a:budget', '1e-05');
    await redis.client.set('session:a:spent', '0.02643664999999999982');
    const {stdout, stderr} = await run('set-budget a 0.05 --json --no-journal', redis);
    expect(stdout).toMatchInlineSnapshot(`
      "{
        "session_id": "a",
        "budget": 0.05,
        "previous_budget": 0.00001,
        "spent": 0.02643664999999999982,
        "second_look": null,
        "change_id": null
      }
      "
    `);
    expect(stderr).toBe('');
  });
});
