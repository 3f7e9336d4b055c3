import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

describe('revoke-grant', () => {
  test('takes off one grant, or all, exactly', async () => {
    await loadSessions(redis, {a: ['10.25', '4']});
    const {stdout} = await run('grant-budget a 5 --for 2d --json', redis);
    const {grant_id: grant} = JSON.parse(stdout) as {grant_id: string};
    await run('grant-budget a 1 --for 1d', redis);
    expect((await run(`revoke-grant a ${grant}`, redis)).stdout).toContain(
      "✓ Session 'a': $5.00 revoked\nBudget: $11.25",
    );
    expect((await run('revoke-grant a', redis)).stdout).toContain('Budget: $10.25');
    expect((await run('list-grants', redis)).stdout).toBe('There are no grants.\n');
    expect((await run('revoke-grant a --json', redis)).stderr).toContain('GRANT_NOT_FOUND');
  });
});
