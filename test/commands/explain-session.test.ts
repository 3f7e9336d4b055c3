import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import ExplainSession from '../../src/commands/explain-session.js';
import {type Output, runBinary, runCommand} from '../support/program/run.js';
import {makeShell, type Shell} from '../support/program/shell.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
let shell: Shell;
beforeAll(async () => {
  redis = await startRedis();
  shell = await makeShell();
});
beforeEach(() => redis.client.flushDb());
afterAll(async () => {
  await redis.stop();
  await shell.remove();
});

const inOneHour = (): string => new Date(Date.now() + 3_600_000).toISOString().slice(0, -1);
const explain = (...argv: string[]): Promise<Output> => runCommand(ExplainSession, argv, redis);
const neutral = (text: string): string =>
  text.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, 'TIME').replaceAll(/\b(\d+[hms])+ more/g, 'LENGTH more');

describe('explain-session', () => {
  test('says of each rule what it makes of the next request', async () => {
    await redis.client.mSet({
      'session:x:budget': '5',
      'session:x:spent': '7',
      'anomaly:x:freeze_reason': 'Loop detected\u001b[31m',
      'anomaly:x:requests:1min': '87',
      'anomaly:x:last_hash': 'abc',
      'anomaly:x:identical_count': '3',
    });
    await redis.client.set('anomaly:x:frozen_until', inOneHour(), {PX: 3_600_000});
    const {code, stdout, stderr} = await explain('x', '--cost', '0.12');
    expect({code, stderr}).toEqual({code: 2, stderr: ''});
    expect(neutral(stdout)).toMatchInlineSnapshot(`
      "Session:      x
      Freeze:       refuses with HTTP 429, frozen until TIME, for LENGTH more (Loop detected\\x1b[31m)
      Request rate: close, 87 requests without a minute of rest (limit 100)
      Loop:         close, 3 identical in a row after the first (limit 3); the same request again freezes the session for 5 minutes
      Velocity:     not recorded by this gateway
      Budget:       refuses with HTTP 429, $0.00 left of $5.00, $7.00 spent; $2.12 short of $0.12
      ✗ The next request is refused with HTTP 429 (freeze)
      To let it pass:
        tokengate unfreeze-session x
        tokengate add-budget x 2.12
      Note: Embeddings and legacy completions count as the same request when model and max_tokens are the same, whatever their input.
      "
    `);
  });

  test.each([
    ['2', true],
    ['3', true],
    ['0', false],
  ])('says of %s identical requests what counts as one, where it matters: %s', async (count, isSaid) => {
    await redis.client.mSet({
      'session:x:budget': '5',
      'anomaly:x:last_hash': 'abc',
      'anomaly:x:identical_count': count,
    });
    const {stdout} = await explain('x');
    expect(stdout.includes('Note: Embeddings and legacy completions count as the same request')).toBe(isSaid);
  });

  test.each([
    ['0', true],
    ['0.00', true],
    ['0.01', false],
  ])('says that only a freeze blocks for certain, of a budget of %s: %s', async (budget, isSaid) => {
    await redis.client.set('session:x:budget', budget);
    expect((await explain('x')).stdout.includes('only a freeze blocks a session for certain')).toBe(isSaid);
  });

  test('of a request that passes', async () => {
    await redis.client.mSet({'session:x:budget': '10.0', 'session:x:spent': '0.02643664999999999982'});
    const {code, stdout, stderr} = await explain('x');
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatchInlineSnapshot(`
      "Session:      x
      Freeze:       passes, not frozen
      Request rate: passes, 0 requests without a minute of rest (limit 100)
      Loop:         passes, the last request is not remembered
      Velocity:     not recorded by this gateway
      Budget:       passes, $9.97356335000000000018 left of $10.00, $0.02643664999999999982 spent
      ✓ The next request passes if it costs no more than $9.97356335000000000018
      "
    `);
    expect((await explain('x', '--cost', '9.97')).stdout).toContain('enough for $9.97\n✓ The next request passes\n');
  });

  test('of a session that is not known', async () => {
    const {code, stdout, stderr} = await explain('typo');
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: Nothing is known of session 'typo'. Is the ID right?\n",
    });
    expect(stdout).toContain("$10.00 left of the gateway's default of $10.00, since it has none of its own");
    expect(await redis.client.dbSize()).toBe(0);
    const other = await explain('typo', '--default-budget', '0.1', '--cost', '0.12');
    expect(other.code).toBe(2);
    expect(other.stdout).toContain('  tokengate set-budget typo 0.12\n');
  });

  test.each([
    ['session:x:budget', 'nan', 503, "the budget is 'nan', which is not an amount"],
    ['session:x:spent', 'much', 503, "what is spent is 'much', which is not an amount"],
    [
      'anomaly:x:frozen_until',
      '2026-11-22T16:33:12Z',
      500,
      "the end of the freeze is '2026-11-22T16:33:12Z', with an offset",
    ],
    ['anomaly:x:frozen_until', 'soon', 500, "the end of the freeze is 'soon'"],
    ['anomaly:x:requests:1min', '1.0', 500, "the request count is '1.0', which is not a count"],
    ['anomaly:x:velocity', '0', 500, 'the record of spending is a Redis string'],
    ['anomaly:x:history', '[]', 500, 'the history is a Redis string'],
  ])('explains that %s is %s', async (key, value, status, problem) => {
    await redis.client.set(key, value);
    const {code, stdout} = await explain('x');
    expect(code).toBe(2);
    expect(stdout).toContain(`refuses with HTTP ${status}, because ${problem}\n`);
    expect(stdout).toContain(`✗ The next request fails with HTTP ${status} (`);
  });

  test('a budget without a limit is one', async () => {
    await redis.client.mSet({'session:x:budget': 'inf', 'session:x:spent': '3'});
    const {code, stdout} = await explain('x', '--cost', '1000000');
    expect(code).toBe(0);
    expect(stdout).toContain('Budget:       passes, there is no limit\n✓ The next request passes\n');
  });

  test('tells of a loop that the next request may complete', async () => {
    await redis.client.mSet({'anomaly:x:last_hash': 'abc', 'anomaly:x:identical_count': '2', 'session:x:budget': '1'});
    const {code, stdout} = await explain('x');
    expect(code).toBe(0);
    expect(stdout).toContain(
      'Loop:         close, 2 identical in a row after the first (limit 3); the same request again',
    );
    expect(stdout).toContain('The same request as the last one would be refused (HTTP 429).\n');
    const same = await explain('x', '--identical');
    expect(same.code).toBe(2);
    expect(same.stdout).toContain('✗ The next request is refused with HTTP 429 (loop)\n');
  });

  test('gives the same facts as JSON, exactly', async () => {
    await redis.client.mSet({'session:x:budget': '0.05', 'session:x:spent': '0.02643664999999999982'});
    const {code, stdout, stderr} = await explain('x', '--cost', '0.12', '--json');
    expect({code, stderr}).toEqual({code: 2, stderr: ''});
    expect(stdout).toContain('"missing": 0.09643664999999999982\n');
    const facts = JSON.parse(stdout) as {rules: Record<string, unknown>[]};
    expect(facts).toEqual({
      session_id: 'x',
      is_known: true,
      checked_at: expect.stringMatching(/^\d{4}-.*Z$/),
      cost: 0.12,
      identical: false,
      passes: false,
      http_status: 429,
      refused_by: 'budget',
      until: null,
      passes_if_identical: false,
      rules: expect.any(Array),
      commands: ['tokengate add-budget x 0.1'],
      notes: [],
      next_renewal: null,
      grant_commands: [],
    });
    expect(facts.rules.map(({rule, verdict}) => [rule, verdict])).toEqual([
      ['freeze', 'passes'],
      ['request_rate', 'passes'],
      ['loop', 'passes'],
      ['velocity', 'not_recorded'],
      ['budget', 'refuses'],
    ]);
  });

  test.each([['-1'], ['nan'], ['$1'], ['1e3']])('a cost of %s is refused', async (cost) => {
    expect(await explain('x', `--cost=${cost}`)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Error: Invalid amount '.*': .*\.\nWrite US dollars as plain digits.*\n$/),
    });
  });

  test.each(["it's", 'user 42', '-dash', 'a*[b]?\\', 'évil\u001b[31m\u202e', 'two\nlines\n', '$(id) "x"'])(
    'the commands that it names let %j pass when they are pasted into a shell',
    async (id) => {
      await redis.client.mSet({
        [`session:${id}:budget`]: '5',
        [`session:${id}:spent`]: '7',
        [`anomaly:${id}:frozen_until`]: 'soon',
        'session:other:budget': 'nan',
      });
      const before = await runBinary(['explain-session', '--cost', '0.12', '--json', '--', id], redis);
      expect(before.code).toBe(2);
      const {commands} = JSON.parse(before.stdout) as {commands: string[]};
      expect(commands).toHaveLength(2);
      for (const command of commands) {
        expect(await shell.run(command, {url: redis.url})).toMatchObject({code: 0});
      }
      const after = await runBinary(['explain-session', '--cost', '0.12', '--', id], redis);
      expect(after).toMatchObject({code: 0, stderr: ''});
      expect(await redis.client.get('session:other:budget')).toBe('nan');
    },
  );

  test('the commands name the server when it was named, and no password', async () => {
    await redis.client.set('session:x:budget', '0');
    await redis.client.sendCommand(['ACL', 'SETUSER', 'operator', 'on', '>p@ss', '~*', '+@all']);
    const url = redis.url.replace('unix://', 'unix://operator:p%40ss@');
    const {stdout} = await runBinary(['explain-session', 'x', '--redis-url', url]);
    expect(stdout).toContain(`  tokengate add-budget --redis-url unix://USER:PASSWORD@${redis.url.slice(7)} x 1\n`);
    expect(stdout).not.toContain('p%40ss');
    const plain = await runBinary(['explain-session', 'x', '--redis-url', redis.url, '--json']);
    const [command] = (JSON.parse(plain.stdout) as {commands: [string]}).commands;
    expect(await shell.run(command, {})).toMatchObject({code: 0});
  });
});

test.each(['--cost', '--default-budget'])('%s that is no amount is said as elsewhere', async (flag) => {
  const elsewhere = await runBinary(['check-sessions', '--min-left', 'nope'], redis);
  expect(elsewhere.stderr).toMatch(/^Error: Invalid amount 'nope'/);
  expect(await runBinary(['explain-session', 'x', flag, 'nope'], redis)).toEqual(elsewhere);
});

test('a freeze that is over is said to be, and when', async () => {
  await redis.client.mSet({'session:x:budget': '10', 'anomaly:x:frozen_until': '2020-01-01T00:00:00'});
  expect((await explain('x')).stdout).toContain(
    'passes, frozen until 2020-01-01 00:00:00 UTC, which is over: the gateway clears that at the next request\n',
  );
});

test('one command that repairs two keys is shown once', async () => {
  await redis.client.mSet({'session:x:budget': '10', 'anomaly:x:history': 'x', 'anomaly:x:velocity': 'x'});
  const {stdout} = await explain('x');
  expect(stdout.match(/check-store/g)).toHaveLength(1);
  expect(JSON.parse((await runBinary(['explain-session', 'x', '--json'], redis)).stdout)).toMatchObject({
    commands: ["tokengate check-store --fix '--match=x'"],
  });
});
