import {mkdtemp, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {beforeEach, describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {amountsOf, backdatePeriod} from '../support/redis/periods.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const PERIOD = 'tokengate:period:a';

describe('renew-budgets', () => {
  test('renews what is due, once, and is undone as a whole', async () => {
    await loadSessions(redis, {a: ['10', '4'], b: ['10', '9.99'], c: ['10', '5']});
    await run('set-period a b --every day --amount 10 --yes', redis);
    await run('set-period c --every day --amount 10', redis);
    await backdatePeriod(redis, 'a', 1);
    await backdatePeriod(redis, 'b', 40);
    expect((await run('list-periods --overdue --grace 1m --format ndjson', redis)).code).toBe(2);
    const {code, stdout} = await run('renew-budgets', redis);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout:
        "Session 'a' renewed: spent $4.00 removed, budget $10.00\nSession 'b' renewed: spent $9.99 removed, budget $10.00\n✓ Renewed 2\n",
    });
    expect(await amountsOf(redis, 'a')).toEqual(['10', null]);
    expect(await amountsOf(redis, 'c')).toEqual(['10', '5']);
    expect(await run('renew-budgets --quiet', redis)).toMatchObject({code: 0, stdout: '', stderr: ''});
    expect((await run('list-periods --overdue', redis)).code).toBe(0);
    await run('undo-change --last --yes', redis);
    expect(await amountsOf(redis, 'b')).toEqual(['10', '9.99']);
    expect((await run('list-periods --overdue --grace 1m', redis)).code).toBe(2);
  });

  test('leaves freezes, carries over what was left, and keeps grants that go on', async () => {
    await loadSessions(redis, {a: ['10', '4']});
    await run('set-period a --every day --amount 10 --rollover unused --max-rollover 5', redis);
    await run('grant-budget a 3 --for 3d', redis);
    await run('grant-budget a 2 --this-period', redis);
    await run('freeze-session a --for 1h', redis);
    await backdatePeriod(redis, 'a', 2);
    const {stdout} = await run('renew-budgets --json', redis);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [{session_id: 'a', budget: 18, previous_budget: 15, removed_spent: 4, carried_over: 5}],
    });
    expect(await amountsOf(redis, 'a')).toEqual(['18', null]);
    expect(await redis.client.exists('anomaly:a:frozen_until')).toBe(1);
    expect(JSON.parse((await run('list-grants --json', redis)).stdout)).toMatchObject([{session_id: 'a', amount: 3}]);
  });

  test('a period that cannot be read is an error, and the others are renewed', async () => {
    await loadSessions(redis, {a: ['10', '4'], b: ['10', '4']});
    await run('set-period a b --every day --amount 10 --yes', redis);
    await backdatePeriod(redis, 'b', 2);
    await redis.client.set(PERIOD, '{"every":"fortnight"}');
    const {code, stdout, stderr} = await run('renew-budgets', redis);
    expect(code).toBe(1);
    expect(stdout).toContain("Session 'b' renewed");
    expect(stderr).toContain("Session 'a': its period or its grants cannot be read.");
    expect((await run('list-periods', redis)).stderr).toContain(
      "The period or the grants of session 'a' cannot be read",
    );
  });
});

describe('renew-budgets when something is amiss', () => {
  beforeEach(async () => {
    await loadSessions(redis, {a: ['10', '4'], b: ['10', '4']});
    await run('set-period a b --every day --amount 10 --yes', redis);
    await backdatePeriod(redis, 'a', 2);
    await backdatePeriod(redis, 'b', 2);
  });
  const line = 'renew-budgets --no-second-look';

  test('with a budget or spending that cannot be read renews it, and carries nothing over', async () => {
    await run('set-period a b --every day --amount 10 --rollover unused --yes', redis);
    await backdatePeriod(redis, 'a', 2);
    await backdatePeriod(redis, 'b', 2);
    await loadSessions(redis, {a: ['ten', '4'], b: ['10', 'four']});
    const {code, stdout} = await run(`${line} --json`, redis);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [
        {session_id: 'a', budget: 10, previous_budget: null, carried_over: 0},
        {session_id: 'b', budget: 10, removed_spent: null, carried_over: 0},
      ],
    });
    expect([...(await amountsOf(redis, 'a')), ...(await amountsOf(redis, 'b'))]).toEqual(['10', null, '10', null]);
    expect((await run('undo-change --last --yes', redis)).code).toBe(0);
    expect([...(await amountsOf(redis, 'a')), ...(await amountsOf(redis, 'b'))]).toEqual(['ten', '4', '10', 'four']);
  });

  test.each(['budget', 'spent'])(
    'with a %s of a wrong Redis type renews the session, and undo puts it back',
    async (name: string) => {
      await redis.client.del(`session:a:${name}`);
      await redis.client.lPush(`session:a:${name}`, 'x');
      expect((await run(line, redis)).code).toBe(0);
      expect(await amountsOf(redis, 'a')).toEqual(['10', null]);
      expect((await run('undo-change --last --yes', redis)).code).toBe(0);
      expect(await redis.client.type(`session:a:${name}`)).toBe('list');
    },
  );

  test('without a journal renews all the same, once', async () => {
    expect((await run(`${line} --no-journal`, redis)).stdout).toContain('✓ Renewed 2\n');
    expect(await run(`${line} --quiet`, {url: redis.url, env: {TOKENGATE_JOURNAL: 'off'}})).toMatchObject({stdout: ''});
    expect((await run('list-periods --overdue', redis)).code).toBe(0);
  });

  test('of a session that was reset gives it the budget of its period, and keeps the period', async () => {
    await run('reset-session a --yes --no-second-look', redis);
    expect(await amountsOf(redis, 'a')).toEqual([null, null]);
    await loadSessions(redis, {a: ['10.0', '0.5']});
    expect((await run(line, redis)).stdout).toContain("Session 'a' renewed: spent $0.50 removed, budget $10.00\n");
    expect(await amountsOf(redis, 'a')).toEqual(['10', null]);
  });

  test('by a user who may not write one of the sessions renews the others, says so, and tries again', async () => {
    const rights = ['+@all', '%RW~tokengate:*', '%RW~session:b:*', '%R~session:a:*'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'some', 'reset', 'on', '>pw', ...rights]);
    const some = {url: redis.url.replace('unix://', 'unix://some:pw@')};
    const {code, stdout, stderr} = await run(line, some);
    expect(code).toBe(1);
    expect(stdout).toContain("Session 'b' renewed");
    expect(stderr).toContain("Error: Session 'a': ");
    expect(await amountsOf(redis, 'a')).toEqual(['10', '4']);
    expect((await run('list-periods --overdue', redis)).code).toBe(2);
    expect((await run(line, redis)).stdout).toContain('✓ Renewed 1\n');
  });

  test('on a read-only context changes nothing, and is an error', async () => {
    const config = join(await mkdtemp(join(tmpdir(), 'tokengate-')), 'config.yaml');
    await writeFile(config, JSON.stringify({contexts: {prod: {'redis-url': redis.url, 'read-only': true}}}), {
      mode: 0o600,
    });
    const env = {TOKENGATE_CONFIG: config};
    const {code, stderr} = await run(`${line} --context prod --json`, {env});
    expect({code, error: JSON.parse(stderr) as unknown}).toMatchObject({
      code: 1,
      error: {error: {code: 'CONTEXT_READ_ONLY'}},
    });
    expect((await run('list-periods --overdue --context prod', {env})).code).toBe(2);
    expect((await run(`${line} --dry-run --context prod`, {env})).code).toBe(0);
    expect(await amountsOf(redis, 'a')).toEqual(['10', '4']);
  });
});
