import type {ChildProcess} from 'node:child_process';

import {beforeEach, describe, expect, test} from 'vitest';

import WatchSessions from '../../src/commands/watch-sessions.js';
import {runBinary, runCommand} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(async () => {
  await loadSessions(redis, {a: ['20', '5'], b: ['10.0', '0.02643664999999999982'], 'team:c': ['2', '2.5']});
});

describe('--once', () => {
  test('one frame, as wide as it has to be', async () => {
    await redis.client.set('anomaly:a:frozen_until', '2099-01-01T00:00:00');
    await redis.client.set('anomaly:a:freeze_reason', 'Sold');
    const {code, stdout, stderr} = await runCommand(WatchSessions, ['--once', '--sort', 'spent'], redis);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout.split('\n').slice(1).join('\n')).toMatchInlineSnapshot(`
      " Sessions 3  frozen 1  invalid 0  empty 1  low 0  ok 1
       Budget $32.0000  Spent $7.5264 ━━━───────── 23.5%  Left $24.9736  $/min …
       STATUS  SESSION    BUDGET    SPENT▼     LEFT  USED                             $/MIN  EMPTY IN  REQ/MIN  FREEZE
       frozen  a        $20.0000  $5.0000  $15.0000  ━━━━━━──────────────────  25.0%      …         -        0  >99d  Sold
       empty   team:c    $2.0000  $2.5000   $0.0000  ━━━━━━━━━━━━━━━━━━━━━━━━ 125.0%      …       now        0
       ok      b        $10.0000  $0.0264   $9.9736  ────────────────────────   0.3%      …         …        0
      "
    `);
  });

  test('groups: their sums, as a table and in JSON; not as lines of sessions', async () => {
    await redis.client.set('anomaly:a:frozen_until', '2099-01-01T00:00:00');
    await redis.client.mSet({'session:team:d:budget': '4', 'session:team:d:spent': '0.0000000000000000001'});
    const argv = ['--once', '--sort', 'id', '--group', 'ab=[ab]', '--group-by', '1'];
    const {stdout} = await runCommand(WatchSessions, argv, redis);
    expect(
      stdout
        .split('\n')
        .slice(3)
        .join('\n')
        .replaceAll(/[━╸─]+/g, ''),
    ).toMatchInlineSnapshot(`
      " FROZEN  GROUP▼   BUDGET    SPENT      LEFT  USED                             $/MIN  EMPTY IN  REQ/MIN  STATUS
       1 of 2  ab     $30.0000  $5.0264  $24.9736    16.8%      …         …        0  1 ok
       0 of 2  team    $6.0000  $2.5000   $4.0000    41.7%      …         …        0  1 empty, 1 ok
      "
    `);
    const json = await runCommand(WatchSessions, [...argv, '--json'], redis);
    expect(json.stdout).toContain('"spent": 2.5000000000000000001,');
    const {groups, sessions} = JSON.parse(json.stdout) as {groups: object[]; sessions: object[]};
    expect(sessions).toHaveLength(4);
    expect(groups).toMatchObject([
      {group: 'ab', count: 2, budget: 30, spent_per_minute: null},
      {group: 'team', count: 2, budget: 6, statuses: {frozen: 0, invalid: 0, empty: 1, low: 0, ok: 1}},
    ]);
    const lines = await runCommand(WatchSessions, [...argv, '--format', 'ndjson'], redis);
    expect(lines).toMatchObject({code: 1, stdout: ''});
    expect(lines.stderr).toContain('Groups go without --format ndjson');
  });

  test('says that sums leave out what is not an amount', async () => {
    await redis.client.set('session:b:budget', 'inf');
    const stderr = 'Warning: The sums leave out values of one session that are not amounts.\n';
    const argv = ['--once', '--match', '[ab]'];
    const text = await runCommand(WatchSessions, argv, redis);
    expect(text).toMatchObject({code: 0, stderr});
    expect(text.stdout).toMatch(/^ Budget \$20\.0000 {2}Spent \$5\.0264 .* 25\.0% {2}Left \$15\.0000/m);
    const json = await runCommand(WatchSessions, [...argv, '--json'], redis);
    expect(json).toMatchObject({stderr, result: {totals: {count: 2}}});
    expect(json.stdout).toContain('"percentage_used": 25,');
  });

  test('with --json, exactly, with totals', async () => {
    const {code, result, stdout} = await runCommand(WatchSessions, ['--once', '--json', '--match', '[ab]'], redis);
    expect(code).toBe(0);
    expect(stdout).toContain('"spent": 0.02643664999999999982');
    const {time, ...rest} = JSON.parse(stdout);
    expect(time).toMatch(/^\d{4}-.*Z$/);
    expect(rest).toEqual({
      sessions: [
        {
          session_id: 'a',
          budget: 20,
          spent: 5,
          remaining: 15,
          percentage_used: 25,
          is_frozen: false,
          frozen_until: null,
          freeze_reason: null,
          requests_last_minute: 0,
          spent_per_minute: null,
          seconds_until_empty: null,
          next_renewal: null,
        },
        expect.objectContaining({session_id: 'b'}),
      ],
      totals: expect.objectContaining({
        count: 2,
        budget: 30,
        statuses: {frozen: 0, invalid: 0, empty: 0, low: 0, ok: 2},
      }),
    });
    expect(result).toMatchObject({sessions: [{session_id: 'a'}, {session_id: 'b'}]});
  });
});

test.each([
  [['--json'], 'One JSON document needs --once; --format ndjson prints changes as lines.'],
  [['--json', '--once', '--format', 'ndjson'], '--json and --format ndjson contradict each other.'],
  [['--interval', '2'], "Invalid length of time '2'."],
  [['--where', 'spend > 3'], "Invalid filter 'spend > 3': there is no field 'spend'."],
])('%j is refused', async (argv, message) => {
  const {code, stdout, stderr} = await runCommand(WatchSessions, argv, {url: 'redis://127.0.0.1:1'});
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain(message);
});

describe('--format ndjson', () => {
  /** Runs it until `done` is true of its lines, while `next` may change something after each. */
  async function follow(next: (lines: Record<string, unknown>[]) => Promise<boolean>, argv: string[] = []) {
    let child!: ChildProcess;
    const lines: Record<string, unknown>[] = [];
    let rest = '';
    const output = await runBinary(['watch-sessions', '--format', 'ndjson', '--interval', '1s', ...argv], {
      ...redis,
      onStart(started) {
        child = started;
        child.stdout?.on('data', (text: string) => {
          const parts = (rest + text).split('\n');
          rest = parts.pop() ?? '';
          lines.push(...parts.map((part) => JSON.parse(part) as Record<string, unknown>));
          void next(lines).then((isDone) => isDone && child.kill('SIGINT'));
        });
      },
    });
    return {...output, lines};
  }

  test('a line for each session, then one for each that has changed, until it is interrupted', async () => {
    const steps = [
      () => redis.client.set('session:a:spent', '6'),
      () => redis.client.set('anomaly:b:requests:1min', '7', {EX: 60}),
      () => redis.client.del('session:team:c:budget'),
      () => redis.client.set('session:team:c:budget', '3'),
    ];
    let done = 0;
    const {code, stderr, lines} = await follow(async (seen) => {
      if (seen.length !== 3 + done) return false;
      const step = steps[done++];
      await step?.();
      return step === undefined;
    });
    expect({code, stderr}).toEqual({code: 130, stderr: ''});
    expect(lines.map(({event, session_id}) => [event, session_id])).toEqual([
      ['added', 'a'],
      ['added', 'b'],
      ['added', 'team:c'],
      ['changed', 'a'],
      ['changed', 'b'],
      ['removed', 'team:c'],
      ['added', 'team:c'],
    ]);
    expect(lines[3]).toMatchObject({spent: 6, remaining: 14, percentage_used: 30});
    expect(lines[4]).toMatchObject({requests_last_minute: 7});
    expect(Object.keys(lines[5] ?? {})).toEqual(['event', 'time', 'session_id']);
  });

  test('a session that --where lets through no more is removed', async () => {
    const {lines} = await follow(
      async (seen) => {
        if (seen.length === 1) await redis.client.set('session:team:c:spent', '1');
        return seen.length === 2;
      },
      ['--where', 'used > 90'],
    );
    expect(lines.map(({event, session_id}) => [event, session_id])).toEqual([
      ['added', 'team:c'],
      ['removed', 'team:c'],
    ]);
  });

  test('ends quietly when nobody reads any more', async () => {
    const {code, stderr} = await runBinary(['watch-sessions', '--format', 'ndjson', '--interval', '1s'], {
      ...redis,
      onStart(child) {
        child.stdout?.once('data', () => {
          child.stdout?.destroy();
          void redis.client.set('session:a:spent', '7');
        });
      },
    });
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
  });
});
