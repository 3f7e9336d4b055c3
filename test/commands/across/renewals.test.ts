import {beforeEach, describe, expect, test} from 'vitest';

import {promtool} from '../../support/program/promtool.js';
import {run} from '../../support/program/run.js';
import {loadSessions} from '../../support/program/shell.js';
import {backdatePeriod} from '../../support/redis/periods.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
const PERIOD = 'tokengate:period:a';

describe('how a budget renews is shown', () => {
  beforeEach(async () => {
    await loadSessions(redis, {a: ['10', '50'], b: ['10', '4'], c: ['3']});
    await run('set-period a --every month --amount 50 --timezone Europe/Berlin', redis);
    await run('grant-budget b 2.5 --until 2099-12-24T00:00Z', redis);
  });

  test('by get-budget', async () => {
    const {stdout, stderr} = await run('get-budget a', redis);
    expect(stderr).toBe('');
    expect(stdout).toMatch(
      /\nPeriod: {4}every month Europe\/Berlin \$50\.00\nResets in: \d+\w+ \(\d{4}-\d\d-01 00:00 \+0[12]:00\)\n$/,
    );
    expect((await run('get-budget b', redis)).stdout).toContain(
      'Used:      32.0%\nGrants:    $2.50 until 2099-12-24 00:00:00 UTC\n',
    );
    expect(JSON.parse((await run('get-budget a --json', redis)).stdout)).toMatchObject({
      ...{session_id: 'a', every: 'month', timezone: 'Europe/Berlin', grants: 0},
      next_renewal: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00\+0[12]:00$/) as string,
    });
    await backdatePeriod(redis, 'a', 40);
    expect((await run('get-budget a', redis)).stderr).toBe(
      "Warning: A renewal of session 'a' is overdue: is renew-budgets still run?\n",
    );
  });

  test('by columns of list-sessions, and only by them', async () => {
    const {stdout} = await run('list-sessions --columns id,period,resets,grants --format csv', redis);
    expect(stdout).toMatch(
      /^session_id,every,next_renewal,grants\na,month,\d{4}-\d\d-01T00:00:00\+0[12]:00,0\nb,,,2\.5\nc,,,0\n$/,
    );
    expect((await run('list-sessions --columns id,period,grants', redis)).stdout).toMatch(
      /║ a +║ month Europe\/Berlin ║ - +║\n║ b +║ - +║ \$2\.50 /,
    );
    await redis.client.set(PERIOD, '{}');
    const unreadable = await run('list-sessions --columns id,period --json', redis);
    expect(JSON.parse(unreadable.stdout)).toContainEqual({session_id: 'a', every: null});
    expect(unreadable.stderr).toContain("The period or the grants of session 'a' cannot be read");
    const plain = await run('list-sessions --json', redis);
    expect(plain.stderr).toBe('');
    expect(plain.stdout).not.toContain('every');
  });

  test('by explain-session, which offers a grant for this period', async () => {
    const {code, stdout} = await run('explain-session a', redis);
    expect(code).toBe(2);
    expect(stdout).toMatch(/\nRenews: {7}every month Europe\/Berlin \$50\.00, next \S+ 00:00 \+0[12]:00 \(in \w+\)\n✗/);
    expect(stdout).toContain(
      'Or, in place of add-budget, until the budget renews:\n  tokengate grant-budget --this-period a 1\n',
    );
    expect(JSON.parse((await run('explain-session a --json', redis)).stdout)).toMatchObject({
      grant_commands: ['tokengate grant-budget --this-period a 1'],
    });
    expect(JSON.parse((await run('explain-session c --json', redis)).stdout)).toMatchObject({
      ...{next_renewal: null, grant_commands: []},
    });
    expect((await run('grant-budget --this-period a 1', redis)).code).toBe(0);
    expect((await run('explain-session a', redis)).code).toBe(0);
  });

  test('by watch-sessions, where a budget that renews before it is empty lasts', async () => {
    const {stdout} = await run('watch-sessions --once --sample 1s --json', redis);
    const {sessions} = JSON.parse(stdout) as {sessions: {session_id: string; next_renewal: string | null}[]};
    expect(sessions.map(({session_id: id, next_renewal: next}) => [id, next !== null])).toEqual(
      expect.arrayContaining([
        ['a', true],
        ['b', false],
      ]),
    );
    await redis.client.set('session:a:spent', '1');
    expect((await run('watch-sessions --once --sample 1s', redis)).stdout).toMatch(/a .* lasts /);
  });

  test('to a user who may read only what the gateway writes, as if it did not', async () => {
    const rights = ['~session:*', '~anomaly:*', '+@read', '+time', '+info', '+ping', '+hello', '+client'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'viewer', 'reset', 'on', '>pw', ...rights]);
    const viewer = {url: redis.url.replace('unix://', 'unix://viewer:pw@')};
    expect(await run('get-budget a', viewer)).toMatchObject({code: 0, stderr: ''});
    expect(await run('watch-sessions --once', viewer)).toMatchObject({code: 0, stderr: ''});
    const {code, stderr} = await run('list-sessions --columns id,period --json', viewer);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'REDIS_NO_PERMISSION'}});
  });
});

describe('a renewal that is overdue', () => {
  const check = (flags = ''): ReturnType<typeof run> => run(`check-sessions --overdue ${flags}`, redis);
  beforeEach(async () => {
    await loadSessions(redis, {a: ['10', '4'], b: ['10', '4']});
    await run('set-period a b --every day --amount 10 --yes', redis);
  });

  test('is found by check-sessions, whether or not the session has a budget', async () => {
    expect(await check()).toMatchObject({code: 0, stdout: 'OK - nothing found; 2 sessions checked\n'});
    await backdatePeriod(redis, 'a', 2);
    await redis.client.del('session:a:budget');
    const {code, stdout} = await check();
    expect(code).toBe(2);
    expect(stdout).toBe(
      "CRITICAL - 1 critical; 2 sessions checked\nCRITICAL 'a': has a renewal, or the end of a grant, that is overdue: renew-budgets has not carried it out\n",
    );
    expect((await check('--grace 4w')).code).toBe(0);
    expect((await run('check-sessions --grace 1h', redis)).code).toBe(1);
    expect(JSON.parse((await check('--new-only --json')).stdout)).toMatchObject({findings: [{check: 'overdue'}]});
    expect((await check('--new-only')).code).toBe(0);
    await run('renew-budgets', redis);
    expect((await check()).code).toBe(0);
    await redis.client.set(PERIOD, 'x');
    expect((await check()).stdout).toContain("'a': has a period or grants that cannot be read");
  });

  test('is counted by print-metrics, which tell when each budget renews', async () => {
    const metrics = async (): Promise<string> => (await run('print-metrics', redis)).stdout;
    expect(await metrics()).toContain('\ntokengate_periods_overdue 0\n');
    await backdatePeriod(redis, 'a', 2);
    const text = await metrics();
    expect(text).toContain('\ntokengate_periods_overdue 1\n');
    const [, next = ''] = /^tokengate_session_period_next_timestamp_seconds\{session_id="a"\} (\d+)$/m.exec(text) ?? [];
    const tomorrow = new Date(Number(next) * 1000);
    expect([tomorrow.getTime() > Date.now(), tomorrow.toISOString().slice(11)]).toEqual([true, '00:00:00.000Z']);
    expect(await promtool(['check', 'metrics'], text)).toMatchObject({code: 0, stdout: '', stderr: ''});
  });
});

test('a threshold is reported once a period, though nobody has seen the session fall back', async () => {
  await loadSessions(redis, {a: ['10', '9'], b: ['10', '9']});
  await run('set-period a --every day --amount 10', redis);
  const report = async (): Promise<string[]> => {
    const {stdout} = await run('check-sessions --new-only --json', redis);
    return (JSON.parse(stdout) as {findings: {session_id: string}[]}).findings.map(({session_id: id}) => id);
  };
  expect(await report()).toEqual(['a', 'b']);
  expect(await report()).toEqual([]);
  await backdatePeriod(redis, 'a', 1);
  await run('renew-budgets', redis);
  await redis.client.set('session:a:spent', '9.1');
  expect(await report()).toEqual(['a']);
  expect(await report()).toEqual([]);
  expect(await redis.client.hLen('tokengate:alerts')).toBe(2);
});
