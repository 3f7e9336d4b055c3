import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const HOUR = 3_600_000;
const LIST = {list: 'x'};
const PERIOD = JSON.stringify({
  ...{every: 'day', timezone: 'UTC', at: '00:00', on: null, amount: '5', rollover: 'none', max_rollover: null},
  ...{renewed: new Date().toISOString(), carried: '0'},
});
const GRANTS = '[{"id":"k7","amount":"5","until":"2099-01-01T00:00:00.000Z","note":""}]';

interface Document {
  findings: {key: string; problem: string; fix: string | null; commands: string[]}[];
  repairs: {outcome: string; change_id: string | null}[];
}
async function check(flags = ''): Promise<Document & {code: number | null}> {
  const {code, stdout} = await run(`check-store --json ${flags}`, redis);
  return {...(JSON.parse(stdout) as Document), code};
}

/** Every key and what it holds. */
async function dump(): Promise<unknown[]> {
  const keys = (await redis.client.keys('*')).filter((key) => key !== 'tokengate:journal').sort();
  const hold = keys.map(async (key) => {
    const [value, ttl] = await Promise.all([redis.client.sendCommand<string>(['DUMP', key]), redis.client.ttl(key)]);
    return [key, value, ttl];
  });
  return Promise.all(hold);
}

async function write(key: string, value: string | typeof LIST, ttl?: number): Promise<void> {
  if (typeof value === 'string') await redis.client.set(key, value);
  else await redis.client.lPush(key, value.list);
  if (ttl !== undefined) await redis.client.pExpire(key, ttl);
}

/** Of a session with a budget. `fix` is what `--fix` does, `ways` the commands that help. */
const WRONG: [
  problem: string,
  key: string,
  value: string | typeof LIST,
  ttl: number | undefined,
  fix: string | null,
][] = [
  ['period_wrong_type', 'period:x', LIST, undefined, null],
  ['period_unreadable', 'period:x', 'monthly', undefined, null],
  ['period_unreadable', 'period:x', PERIOD.replace('"day"', '"hour"'), undefined, null],
  ['period_unknown_timezone', 'period:x', PERIOD.replace('UTC', 'Mars/Olympus'), undefined, null],
  ['period_expires', 'period:x', PERIOD, HOUR, 'take its end away'],
  ['period_ahead', 'period:x', PERIOD.replace(/"renewed":"\d+/, '"renewed":"2099'), undefined, 'set it to now'],
  ['period_ahead', 'period:x', PERIOD.replace(/"renewed":"\d+/, '"renewed":"2099'), HOUR, 'set it to now'],
  ['grants_wrong_type', 'grants:x', LIST, undefined, null],
  ['grants_unreadable', 'grants:x', '[{}]', undefined, null],
  ['grants_empty', 'grants:x', '[]', undefined, 'delete it'],
  ['grants_expire', 'grants:x', GRANTS, HOUR, 'take its end away'],
  ['grants_without_period', 'grants:x', GRANTS.replace(/"2099.*Z"/, 'null'), undefined, null],
];

describe('of periods and grants check-store finds', () => {
  test.each(WRONG)('%s: %s %j with a TTL of %s', async (problem, name, value, ttl, fix) => {
    await write('session:x:budget', '10.0');
    await write(`tokengate:${name}`, value, ttl);
    const before = await dump();
    const {code, findings} = await check();
    expect({code, findings}).toMatchObject({code: 2, findings: [{key: `tokengate:${name}`, problem, fix}]});
    expect(findings[0]?.commands.length).toBe(fix === null ? 2 - Number(/grants_(w.*type|unr)/.test(problem)) : 0);
    const {code: fixed, repairs} = await check('--fix --yes');
    expect({fixed, outcomes: repairs.map(({outcome}) => outcome)}).toEqual(
      fix === null ? {fixed: 2, outcomes: []} : {fixed: 0, outcomes: ['fixed']},
    );
    if (fix === null) return;
    expect(await check()).toMatchObject({code: 0, findings: []});
    expect((await run(`undo-change ${repairs[0]?.change_id} --yes`, redis)).code).toBe(0);
    const ends = ([key, text, left]: [string, string, number]): unknown[] => [key, text, left > 0];
    expect(((await dump()) as [string, string, number][]).map(ends)).toEqual(
      (before as [string, string, number][]).map(ends),
    );
  });

  test.each([
    ['period_wrong_type', LIST],
    ['period_unreadable', 'monthly'],
    ['period_unknown_timezone', PERIOD.replace('UTC', 'Mars/Olympus')],
  ])(
    '%s, which renew-budgets and list-periods --overdue tell too, and the commands it names mend',
    async (_, value) => {
      for (const id of ['x', 'y', 'z']) await write(`session:${id}:budget`, '10.0');
      await write('session:x:spent', '1');
      await write('tokengate:period:x', value);
      await write('tokengate:period:y', PERIOD.replace(/"renewed":"\d+/, '"renewed":"2020'));
      const renewal = await run('renew-budgets', redis);
      expect(renewal.code).toBe(1);
      expect(renewal.stdout).toBe("Session 'y' renewed: budget $5.00\n");
      expect(renewal.stderr).toBe(
        "Error: Session 'x': its period or its grants cannot be read.\nError: Renewed 1, failed 1.\nTo see what is wrong with them, and what to do: tokengate check-store\n",
      );
      expect(await run('list-periods --overdue --format csv', redis)).toMatchObject({
        code: 2,
        stdout: expect.stringMatching(/^.*\nx,.*\n$/) as string,
      });
      for (const line of [
        'get-budget x',
        'list-sessions --columns id,period',
        'list-grants',
        'watch-sessions --once',
      ]) {
        expect((await run(line, redis)).code, line).toBe(0);
      }
      expect((await run('check-sessions --overdue', redis)).code).toBe(2);
      expect((await run('print-metrics', redis)).stdout).toContain('\ntokengate_periods_overdue 1\n');
      const before = await dump();
      const {findings} = await check();
      expect(findings[0]?.commands).toEqual([
        expect.stringContaining(' set-period x --every UNIT --amount AMOUNT'),
        expect.stringContaining(' set-period x --every none'),
      ]);
      expect((await run('set-period x --every none --dry-run --json', redis)).stdout).toContain(
        '"now": "budget $10.00, spent $1.00, a period that cannot be read"',
      );
      expect((await run('set-period x --every month --amount 7', redis)).code).toBe(0);
      expect(await redis.client.mGet(['session:x:budget', 'session:x:spent'])).toEqual(['7', '1']);
      expect((await run('undo-change --last --yes', redis)).code).toBe(0);
      expect(await dump()).toEqual(before);
      expect((await run('set-period x --every none', redis)).stdout).toBe("✓ Budget of 'x' no longer renews\n");
      expect(await check()).toMatchObject({code: 0});
    },
  );

  test('those without a budget', async () => {
    await write('tokengate:period:x', PERIOD);
    await write('tokengate:grants:y', GRANTS);
    const {findings} = await check();
    expect(findings.map(({problem, commands}) => [problem, commands.map((line) => line.split(' ').slice(-2))])).toEqual(
      expect.arrayContaining([
        [
          'period_without_budget',
          [
            ['x', 'AMOUNT'],
            ['--every', 'none'],
          ],
        ],
        [
          'grants_without_budget',
          [
            ['revoke-grant', 'y'],
            ['y', 'AMOUNT'],
          ],
        ],
      ]),
    );
    expect((await run('set-period x --every none', redis)).code).toBe(0);
    expect((await run('revoke-grant y', redis)).code).toBe(0);
    expect(await check()).toMatchObject({code: 0});
  });

  test('nothing in what this CLI writes', async () => {
    await write('session:x:budget', '10.0');
    await write('session:a:b:budget', '10.0');
    await run('set-period --all --every month --on 31 --amount 50 --timezone +05:45 --rollover unused --yes', redis);
    await run('grant-budget x 5 --this-period', redis);
    const note = 'ü'.repeat(3000);
    await run(`grant-budget x 5 --for 3d --note ${note}`, redis);
    expect(await check()).toMatchObject({code: 0, findings: []});
    expect(JSON.parse((await run('check-store --match a:b --json', redis)).stdout)).toMatchObject({summary: {keys: 2}});
  });

  test('a long list of grants whole, and leaves it whole', async () => {
    await write('session:x:budget', '10.0');
    const grants = JSON.stringify(
      Array.from({length: 100}, (_, index) => ({
        id: `k${index}`,
        amount: '5',
        until: '2099-01-01T00:00:00.000Z',
        note: '',
      })),
    );
    await write('tokengate:grants:x', grants, HOUR);
    expect(await check('--fix --yes')).toMatchObject({code: 0, findings: [{problem: 'grants_expire'}]});
    expect(await redis.client.get('tokengate:grants:x')).toBe(grants);
    expect(await redis.client.ttl('tokengate:grants:x')).toBe(-1);
  });

  test('nothing for a user who may read only the keys of the gateway, who is told', async () => {
    await write('session:x:budget', '10.0');
    await write('tokengate:period:x', 'monthly');
    const rights = ['~session:*', '~anomaly:*', '+@all'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'viewer', 'reset', 'on', '>pw', ...rights]);
    const viewer = {url: redis.url.replace('unix://', 'unix://viewer:pw@')};
    expect(await run('check-store', viewer)).toEqual({
      code: 0,
      stdout: '✓ Looked at 1 key: nothing\n',
      stderr: 'Warning: Periods and grants were not checked: this user may not read tokengate:*.\n',
    });
  });
});

test('a period ahead of the clock is an alarm until check-store --fix sets it to now', async () => {
  await write('session:x:budget', '10.0');
  await write('tokengate:period:x', PERIOD.replace(/"renewed":"\d+/, '"renewed":"2099'));
  expect((await run('renew-budgets --quiet', redis)).code).toBe(0);
  expect((await run('list-periods --overdue', redis)).code).toBe(2);
  expect((await run('get-budget x', redis)).stderr).toContain("The last renewal of session 'x' is in the future");
  expect((await check('--fix --yes')).code).toBe(0);
  expect((await run('list-periods --overdue', redis)).code).toBe(0);
  expect((await run('get-budget x', redis)).stderr).toBe('');
});
