import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

describe('list-grants', () => {
  test('shows when each ends', async () => {
    await loadSessions(redis, {a: ['10']});
    await run('grant-budget a 5 --until 2099-12-24T00:00Z', redis);
    expect((await run('list-grants', redis)).stdout).toContain('2099-12-24 00:00:00 UTC');
  });

  test('says that there are none', async () => {
    expect(await run('list-grants', redis)).toMatchObject({code: 0, stdout: 'There are no grants.\n', stderr: ''});
    await loadSessions(redis, {a: ['10']});
    await run('grant-budget a 5 --for 1h', redis);
    expect((await run('list-grants --match b', redis)).stdout).toBe('No grant matches.\n');
  });
});
