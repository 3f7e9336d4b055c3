import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

describe('list-periods', () => {
  test('lists IDs with any characters safely, and exactly in JSON', async () => {
    const id = 'evil\u001b[31m\nü:x';
    await redis.client.set(`session:${id}:budget`, '5');
    await run('set-period --all --every day --amount 5 --yes', redis);
    const {stdout} = await run('list-periods', redis);
    expect(stdout).toContain('evil\\x1b[31m\\nü:x');
    expect(JSON.parse((await run('list-periods --json', redis)).stdout)).toMatchObject([{session_id: id}]);
    expect((await run('list-periods --format csv', redis)).stdout.split('\n')[0]).toBe(
      'session_id,every,amount,timezone,at,on,rollover,max_rollover,last_renewal,next_renewal,carried_over,budget,spent,grants,is_overdue',
    );
  });

  test('says that nothing is overdue, or nothing at all with --quiet, while budgets renew', async () => {
    await redis.client.set('session:a:budget', '5');
    await run('set-period a --every day --amount 5', redis);
    const none = {code: 0, stderr: ''};
    expect(await run('list-periods --overdue', redis)).toMatchObject({...none, stdout: 'Nothing is overdue.\n'});
    expect(await run('list-periods --overdue --quiet', redis)).toMatchObject({...none, stdout: ''});
    expect(await run('list-periods --match b', redis)).toMatchObject({
      ...none,
      stdout: 'No period and no grant matches.\n',
      stderr: "Warning: No session was found for --match 'b'. There is 1.\n",
    });
    await redis.client.set('tokengate:period:a', 'x');
    expect(await run('list-periods --overdue --quiet', redis)).toMatchObject({
      code: 2,
      stdout: expect.stringContaining('║ a ') as string,
    });
  });

  test('tells grants of a wrong Redis type beside a period at once', async () => {
    await redis.client.set('session:a:budget', '5');
    await run('set-period a --every day --amount 5', redis);
    await redis.client.lPush('tokengate:grants:a', 'x');
    for (const line of ['list-periods', 'list-grants', 'list-periods --overdue']) {
      const {stderr} = await run(line, redis);
      expect(stderr, line).toContain("The period or the grants of session 'a' cannot be read");
    }
    expect((await run('list-periods --overdue', redis)).code).toBe(2);
  });

  test('says that there are none', async () => {
    expect(await run('list-periods', redis)).toMatchObject({
      code: 0,
      stdout: 'No budget renews, and there are no grants.\n',
      stderr: '',
    });
  });
});
