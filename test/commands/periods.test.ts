import {beforeEach, describe, expect, test} from 'vitest';

import {promtool} from '../support/program/promtool.js';
import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const PERIOD = 'tokengate:period:a';

interface PeriodJson {
  renewed: string;
  [field: string]: unknown;
}

async function load(sessions: Record<string, [budget: string, spent?: string]>): Promise<void> {
  for (const [id, [budget, spent]] of Object.entries(sessions)) {
    await redis.client.set(`session:${id}:budget`, budget);
    if (spent !== undefined) await redis.client.set(`session:${id}:spent`, spent);
  }
}

/** As if the last renewal had been so many days before. */
async function backdate(id: string, days: number): Promise<void> {
  const key = `tokengate:period:${id}`;
  const period = JSON.parse((await redis.client.get(key)) ?? '') as PeriodJson;
  const renewed = new Date(Date.parse(period.renewed) - days * 86_400_000).toISOString();
  await redis.client.set(key, JSON.stringify({...period, renewed}));
}

const amounts = (id: string): Promise<(string | null)[]> =>
  redis.client.mGet([`session:${id}:budget`, `session:${id}:spent`]);

describe('set-period', () => {
  test('sets the budget, keeps what is spent, and says when it renews', async () => {
    await load({a: ['10.0', '4.2']});
    const {code, stdout, stderr} = await run(
      'set-period a --every year --amount 50.00 --timezone europe/berlin',
      redis,
    );
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatch(
      /^✓ Budget of 'a' renews every year Europe\/Berlin \$50\.00\nNext renewal: \d{4}-01-01T00:00:00\+01:00\n$/,
    );
    expect(await amounts('a')).toEqual(['50', '4.2']);
  });

  test('warns where what is spent blocks the session, and --start-fresh clears it in the same step', async () => {
    await load({a: ['100', '60']});
    const {stderr} = await run('set-period a --every month --amount 50', redis);
    expect(stderr).toContain("Session 'a' has spent $60.00 of $50.00: the gateway refuses its requests");
    expect((await run('set-period a --every month --amount 50 --start-fresh', redis)).stderr).toBe('');
    expect(await amounts('a')).toEqual(['50', null]);
    expect((await run('undo-change --last --yes', redis)).code).toBe(0);
    expect(await amounts('a')).toEqual(['50', '60']);
  });

  test('--every none ends it and leaves the budget', async () => {
    await load({a: ['10', '4']});
    await run('set-period a --every day --amount 5', redis);
    expect((await run('set-period a --every none', redis)).stdout).toContain("✓ Budget of 'a' no longer renews");
    expect(await redis.client.exists(PERIOD)).toBe(0);
    expect(await amounts('a')).toEqual(['5', '4']);
    expect((await run('set-period a --every none', redis)).stdout).toBe("The budget of 'a' does not renew\n");
  });

  test('a batch sets those that are selected, and --dry-run nothing', async () => {
    await load({'team:x': ['1'], 'team:y': ['2', '1'], other: ['3']});
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
    expect(await amounts('other')).toEqual(['3', null]);
  });

  test.each([
    ['--every month', 'INVALID_USAGE'],
    ['--every none --amount 5', 'INVALID_USAGE'],
    ['--every month --amount 5 --max-rollover 5 --rollover none', 'INVALID_USAGE'],
    ['--every month --amount 5 --on 32', 'INVALID_USAGE'],
    ['--every month --amount 5 --on monday', 'INVALID_USAGE'],
    ['--every week --amount 5 --on 3', 'INVALID_USAGE'],
    ['--every day --amount 5 --on 3', 'INVALID_USAGE'],
    ['--every day --amount 5 --at 24:00', 'INVALID_USAGE'],
    ['--every day --amount -5', 'INVALID_AMOUNT'],
    ['--every day --amount 5 --timezone Europe/Berlim', 'INVALID_TIMEZONE'],
  ])('%s is refused before anything is changed', async (flags, code) => {
    await load({a: ['10']});
    const output = await run(`set-period a ${flags} --json`, redis);
    expect(output.code).toBe(1);
    expect(JSON.parse(output.stderr)).toMatchObject({error: {code}});
    expect(await redis.client.dbSize()).toBe(1);
  });

  test('a wrong zone gets a guess', async () => {
    const {stderr} = await run('set-period a --every day --amount 5 --timezone Europe/Berlim', redis);
    expect(stderr).toContain('Did you mean Europe/Berlin?');
  });
});

describe('renew-budgets', () => {
  test('renews what is due, once, and is undone as a whole', async () => {
    await load({a: ['10', '4'], b: ['10', '9.99'], c: ['10', '5']});
    await run('set-period a b --every day --amount 10 --yes', redis);
    await run('set-period c --every day --amount 10', redis);
    await backdate('a', 1);
    await backdate('b', 40);
    expect((await run('list-periods --overdue --grace 1m --format ndjson', redis)).code).toBe(2);
    const {code, stdout} = await run('renew-budgets', redis);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout:
        "Session 'a' renewed: spent $4.00 removed, budget $10.00\nSession 'b' renewed: spent $9.99 removed, budget $10.00\n✓ Renewed 2\n",
    });
    expect(await amounts('a')).toEqual(['10', null]);
    expect(await amounts('c')).toEqual(['10', '5']);
    expect(await run('renew-budgets --quiet', redis)).toMatchObject({code: 0, stdout: '', stderr: ''});
    expect((await run('list-periods --overdue', redis)).code).toBe(0);
    await run('undo-change --last --yes', redis);
    expect(await amounts('b')).toEqual(['10', '9.99']);
    expect((await run('list-periods --overdue --grace 1m', redis)).code).toBe(2);
  });

  test('leaves freezes, carries over what was left, and keeps grants that go on', async () => {
    await load({a: ['10', '4']});
    await run('set-period a --every day --amount 10 --rollover unused --max-rollover 5', redis);
    await run('grant-budget a 3 --for 3d', redis);
    await run('grant-budget a 2 --this-period', redis);
    await run('freeze-session a --for 1h', redis);
    await backdate('a', 2);
    const {stdout} = await run('renew-budgets --json', redis);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [{session_id: 'a', budget: 18, previous_budget: 15, removed_spent: 4, carried_over: 5}],
    });
    expect(await amounts('a')).toEqual(['18', null]);
    expect(await redis.client.exists('anomaly:a:frozen_until')).toBe(1);
    expect(JSON.parse((await run('list-grants --json', redis)).stdout)).toMatchObject([{session_id: 'a', amount: 3}]);
  });

  test('a period that cannot be read is an error, and the others are renewed', async () => {
    await load({a: ['10', '4'], b: ['10', '4']});
    await run('set-period a b --every day --amount 10 --yes', redis);
    await backdate('b', 2);
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

describe('grants', () => {
  test('are added at once, listed, and revoked exactly', async () => {
    await load({a: ['10.25', '4']});
    const {stdout} = await run("grant-budget a 5 --until 2099-12-24T00:00Z --note 'a b' --json", redis);
    const grant = JSON.parse(stdout) as {grant_id: string};
    expect(grant).toMatchObject({
      session_id: 'a',
      amount: 5,
      until: '2099-12-24T00:00:00.000Z',
      note: 'a b',
      budget: 15.25,
    });
    await run('grant-budget a 1 --for 1d', redis);
    expect((await run('list-grants', redis)).stdout).toContain('2099-12-24 00:00:00 UTC');
    expect((await run(`revoke-grant a ${grant.grant_id}`, redis)).stdout).toContain(
      "✓ Session 'a': $5.00 revoked\nBudget: $11.25",
    );
    expect((await run('revoke-grant a', redis)).stdout).toContain('Budget: $10.25');
    expect((await run('list-grants', redis)).stdout).toBe('There are no grants.\n');
    expect((await run('revoke-grant a --json', redis)).stderr).toContain('GRANT_NOT_FOUND');
  });

  test.each([
    ['grant-budget a 5', 'INVALID_USAGE'],
    ['grant-budget a 5 --for 1d --this-period', 'INVALID_USAGE'],
    ['grant-budget a 0 --for 1d', 'INVALID_AMOUNT'],
    ['grant-budget a 5 --until 2001-01-01', 'INVALID_TIME'],
    ['grant-budget a 5 --this-period', 'NO_PERIOD'],
    ['grant-budget nobody 5 --for 1d', 'SESSION_NOT_FOUND'],
  ])('%s is refused', async (line, code) => {
    await load({a: ['10']});
    const output = await run(`${line} --json`, redis);
    expect(output.code).toBe(1);
    expect(JSON.parse(output.stderr)).toMatchObject({error: {code}});
    expect(await amounts('a')).toEqual(['10', null]);
  });
});

test('IDs with any characters are listed safely, and exactly in JSON', async () => {
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

describe('how a budget renews is shown', () => {
  beforeEach(async () => {
    await load({a: ['10', '50'], b: ['10', '4'], c: ['3']});
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
    await backdate('a', 40);
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
    await load({a: ['10', '4'], b: ['10', '4']});
    await run('set-period a b --every day --amount 10 --yes', redis);
  });

  test('is found by check-sessions, whether or not the session has a budget', async () => {
    expect(await check()).toMatchObject({code: 0, stdout: 'OK - nothing found; 2 sessions checked\n'});
    await backdate('a', 2);
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
    await backdate('a', 2);
    const text = await metrics();
    expect(text).toContain('\ntokengate_periods_overdue 1\n');
    const [, next = ''] = /^tokengate_session_period_next_timestamp_seconds\{session_id="a"\} (\d+)$/m.exec(text) ?? [];
    const tomorrow = new Date(Number(next) * 1000);
    expect([tomorrow.getTime() > Date.now(), tomorrow.toISOString().slice(11)]).toEqual([true, '00:00:00.000Z']);
    expect(await promtool(['check', 'metrics'], text)).toMatchObject({code: 0, stdout: '', stderr: ''});
  });
});

test('a threshold is reported once a period, though nobody has seen the session fall back', async () => {
  await load({a: ['10', '9'], b: ['10', '9']});
  await run('set-period a --every day --amount 10', redis);
  const report = async (): Promise<string[]> => {
    const {stdout} = await run('check-sessions --new-only --json', redis);
    return (JSON.parse(stdout) as {findings: {session_id: string}[]}).findings.map(({session_id: id}) => id);
  };
  expect(await report()).toEqual(['a', 'b']);
  expect(await report()).toEqual([]);
  await backdate('a', 1);
  await run('renew-budgets', redis);
  await redis.client.set('session:a:spent', '9.1');
  expect(await report()).toEqual(['a']);
  expect(await report()).toEqual([]);
  expect(await redis.client.hLen('tokengate:alerts')).toBe(2);
});
