import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {amountsOf} from '../support/redis/periods.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const PERIOD = 'tokengate:period:a';

describe('set-period', () => {
  test('sets the budget, keeps what is spent, and says when it renews', async () => {
    await loadSessions(redis, {a: ['10.0', '4.2']});
    const {code, stdout, stderr} = await run(
      'set-period a --every year --amount 50.00 --timezone europe/berlin',
      redis,
    );
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatch(
      /^✓ Budget of 'a' renews every year Europe\/Berlin \$50\.00\nNext renewal: \d{4}-01-01 00:00 \+01:00\n$/,
    );
    expect(await amountsOf(redis, 'a')).toEqual(['50', '4.2']);
  });

  test('warns where what is spent blocks the session, and --start-fresh clears it in the same step', async () => {
    await loadSessions(redis, {a: ['100', '60']});
    const {stderr} = await run('set-period a --every month --amount 50', redis);
    expect(stderr).toContain("Session 'a' has spent $60.00 of $50.00: the gateway refuses its requests");
    expect((await run('set-period a --every month --amount 50 --start-fresh', redis)).stderr).toBe('');
    expect(await amountsOf(redis, 'a')).toEqual(['50', null]);
    expect((await run('undo-change --last --yes', redis)).code).toBe(0);
    expect(await amountsOf(redis, 'a')).toEqual(['50', '60']);
  });

  test('--every none ends it and leaves the budget', async () => {
    await loadSessions(redis, {a: ['10', '4']});
    await run('set-period a --every day --amount 5', redis);
    expect((await run('set-period a --every none', redis)).stdout).toContain("✓ Budget of 'a' no longer renews");
    expect(await redis.client.exists(PERIOD)).toBe(0);
    expect(await amountsOf(redis, 'a')).toEqual(['5', '4']);
    expect((await run('set-period a --every none', redis)).stdout).toBe("The budget of 'a' does not renew\n");
  });

  test('a batch sets those that are selected, and --dry-run nothing', async () => {
    await loadSessions(redis, {'team:x': ['1'], 'team:y': ['2', '1'], other: ['3']});
    const line = 'set-period --match team:* --every week --on tuesday --at 09:30 --amount 7 --rollover unused';
    const preview = await run(`${line} --dry-run --json`, redis);
    expect(JSON.parse(preview.stdout)).toMatchObject({
      results: [
        {session_id: 'team:x', now: 'budget $1.00, spent none'},
        {session_id: 'team:y', then: 'budget $7.00, spent $1.00, every week from Tuesday at 09:30 $7.00'},
      ],
    });
    expect(await redis.client.keys('tokengate:*')).toEqual([]);
    const {stdout} = await run(`${line} --max-rollover 20 --yes --json`, redis);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [
        {session_id: 'team:x', every: 'week', on: 2, at: '09:30', amount: 7, rollover: 'unused', max_rollover: 20},
        {session_id: 'team:y', budget: 7, spent: 1, grants: 0, carried_over: 0},
      ],
      summary: {set: 2},
    });
    expect(await amountsOf(redis, 'other')).toEqual(['3', null]);
  });

  test.each([
    ['--every month', 'INVALID_USAGE'],
    ['--every none --amount 5', 'INVALID_USAGE'],
    ['--every none --start-fresh', 'INVALID_USAGE'],
    ['--every month --amount 5 --max-rollover 5 --rollover none', 'INVALID_USAGE'],
    ['--every month --amount 5 --on 32', 'INVALID_USAGE'],
    ['--every month --amount 5 --on monday', 'INVALID_USAGE'],
    ['--every week --amount 5 --on 3', 'INVALID_USAGE'],
    ['--every day --amount 5 --on 3', 'INVALID_USAGE'],
    ['--every day --amount 5 --at 24:00', 'INVALID_USAGE'],
    ['--every day --amount -5', 'INVALID_AMOUNT'],
    ['--every day --amount 5 --timezone Europe/Berlim', 'INVALID_TIMEZONE'],
  ])('%s is refused before anything is changed', async (flags, code) => {
    await loadSessions(redis, {a: ['10']});
    const output = await run(`set-period a ${flags} --json`, redis);
    expect(output.code).toBe(1);
    expect(JSON.parse(output.stderr)).toMatchObject({error: {code}});
    expect(await redis.client.dbSize()).toBe(1);
  });

  test('a session that nobody knows is told, with a guess', async () => {
    await loadSessions(redis, {'my-workflow': ['10']});
    const {code, stderr} = await run('set-period my-workflw --every day --amount 5', redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: New session 'my-workflw'. Did you mean 'my-workflow'?\n",
    });
    expect((await run('set-period my-workflw --every day --amount 6', redis)).stderr).toBe('');
  });

  test('--every none tells of a grant that would have ended with the period', async () => {
    await loadSessions(redis, {a: ['10']});
    await run('set-period a --every day --amount 10', redis);
    await run('grant-budget a 2.5 --this-period', redis);
    const {code, stderr} = await run('set-period a --every none', redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr:
        "Warning: Session 'a' keeps $2.50 granted until the next renewal, which does not come now. revoke-grant takes it off.\n",
    });
    expect((await run('revoke-grant a', redis)).stdout).toContain('Budget: $10.00');
  });

  test('a wrong zone gets a guess', async () => {
    const {stderr} = await run('set-period a --every day --amount 5 --timezone Europe/Berlim', redis);
    expect(stderr).toContain('Did you mean Europe/Berlin?');
  });
});
