import {describe, expect, test} from 'vitest';

import GetBudget from '../../src/commands/get-budget.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const get = (...argv: string[]): Promise<Output> => runCommand(GetBudget, argv, redis);

describe('get-budget', () => {
  test('prints the documented lines', async () => {
    await redis.client.set('session:my-workflow:budget', '25.5');
    await redis.client.set('session:my-workflow:spent', '12.3456');
    expect(await get('my-workflow')).toMatchObject({
      code: 0,
      stdout: 'Session: my-workflow\nBudget:    $25.5000\nSpent:     $12.3456\nRemaining: $13.1544\nUsed:      48.4%\n',
      stderr: '',
    });
  });

  test('gives every digit in JSON', async () => {
    await redis.client.set('session:a:budget', '3');
    await redis.client.set('session:a:spent', '1');
    expect((await get('a', '--json')).stdout).toMatchInlineSnapshot(`
      "{
        "session_id": "a",
        "budget": 3,
        "spent": 1,
        "remaining": 2,
        "percentage_used": 33.33333333333333333333
      }
      "
    `);
  });

  test('an unknown session is an error', async () => {
    expect(await get('nope')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        "Error: Session 'nope' not found.\nIDs are compared exactly. See them all with: tokengate list-sessions\n",
      result: undefined,
    });
    const {stdout, stderr} = await get('nope', '--json');
    expect(stdout).toBe('');
    expect(JSON.parse(stderr)).toMatchObject({
      error: {code: 'SESSION_NOT_FOUND', message: "Session 'nope' not found."},
    });
  });

  test('spending without a budget is not found, but is told', async () => {
    await redis.client.set('session:orphan:spent', '1.25');
    expect(await get('orphan')).toMatchObject({code: 1, stderr: expect.stringContaining('It has spent $1.25')});
  });

  test('a budget that is not money is invalid', async () => {
    await redis.client.set('session:bad:budget', 'nan');
    const {code, stdout, stderr} = await get('bad');
    expect(code).toBe(0);
    expect(stdout).toContain('Budget:    invalid\nSpent:     $0.0000\nRemaining: invalid\nUsed:      invalid\n');
    expect(stderr).toBe(
      "Warning: The budget of session 'bad' is 'nan', which is not an amount: the gateway answers its requests with HTTP 503.\n",
    );
  });

  test('more spent than budgeted leaves nothing, not less', async () => {
    await redis.client.set('session:over:budget', '0');
    await redis.client.set('session:over:spent', '5');
    expect((await get('over')).stdout).toContain('Remaining: $0.0000\nUsed:      100.0%\n');
  });

  test('an ID cannot write to the terminal', async () => {
    await redis.client.set('session:evil\u001b[31mred\u202e:budget', '1');
    expect((await get('evil\u001b[31mred\u202e')).stdout).toContain('Session: evil\\x1b[31mred\\u202e\n');
  });
});
