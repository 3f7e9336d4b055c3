import {afterEach, beforeEach, expect, test} from 'vitest';

import CheckSessions from '../../../src/commands/check-sessions.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import WatchSessions from '../../../src/commands/watch-sessions.js';
import {runCommand} from '../../support/program/run.js';
import {loadSessions} from '../../support/program/shell.js';
import {spendSteadily} from '../../support/redis/gateway.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
let stopSpending: () => Promise<void>;
beforeEach(async () => {
  await loadSessions(redis, {a: ['20', '5'], burner: ['100', '10'], calm: ['50', '1'], idle: ['5']});
  stopSpending = spendSteadily(redis, {burner: 60, calm: 3});
});
afterEach(() => stopSpending());

const run = (command: Parameters<typeof runCommand>[0], ...argv: string[]): ReturnType<typeof runCommand> =>
  runCommand(command, argv, redis);

/** As spent steadily, but for the moments of the two readings. */
function isAbout(rate: unknown, wanted: number): boolean {
  return Math.abs(Number(rate) / wanted - 1) < 0.3;
}

test('watch-sessions --once --sample has rates, the fastest first, in the frame and in JSON', async () => {
  const {code, stdout} = await run(WatchSessions, '--once', '--sample', '1s', '--json');
  expect(code).toBe(0);
  const {sessions} = JSON.parse(stdout) as {sessions: Record<string, unknown>[]};
  expect(sessions.map(({session_id: id}) => id)).toEqual(['burner', 'calm', 'a', 'idle']);
  expect(sessions.map(({spent_per_minute: rate}) => rate).slice(2)).toEqual([0, 0]);
  expect(isAbout(sessions[0]?.['spent_per_minute'], 60)).toBe(true);
  expect(isAbout(sessions[0]?.['seconds_until_empty'], 89)).toBe(true);
  const text = await run(WatchSessions, '--once', '--sample', '1s');
  expect(text.stdout).toMatch(/^ ok +burner .* \d\d\.\d{4} +1m\d\ds +\d+/m);
});

test('list-sessions --sort rate lists what burns first, with its rate', async () => {
  const {code, stdout} = await run(ListSessions, '--sort', 'rate', '--sample', '1s', '--limit', '2', '--json');
  expect(code).toBe(0);
  const sessions = JSON.parse(stdout) as Record<string, unknown>[];
  expect(sessions.map(({session_id: id}) => id)).toEqual(['burner', 'calm']);
  expect(isAbout(sessions[0]?.['spent_per_minute'], 60)).toBe(true);
  const ids = await run(
    ListSessions,
    '--sort',
    'rate',
    '--sample',
    '1s',
    '--reverse',
    '--format',
    'ids',
    '--match',
    '[bc]*',
  );
  expect(ids.stdout).toBe('calm\nburner\n');
  const columns = await run(
    ListSessions,
    '--sort',
    'rate',
    '--sample',
    '1s',
    '--columns',
    'id,rate',
    '--format',
    'csv',
  );
  expect(columns.stdout).toMatch(/^session_id,spent_per_minute\nburner,\d+.*\ncalm,.*\na,0\nidle,0\n$/);
});

test('check-sessions --max-rate finds what spends more, and that alone', async () => {
  const argv = ['--warn', 'off', '--crit', 'off', '--sample', '1s'];
  const found = await run(CheckSessions, ...argv, '--max-rate', '5/m');
  expect(found.code).toBe(2);
  expect(found.stdout).toMatch(
    /^WARNING - 1 warning; 4 sessions checked\nWARNING 'burner': spends \$\d+\.\d{4}\/min, more than \$5\.0000\/min \(.*\n$/,
  );
  const json = await run(CheckSessions, ...argv, '--max-rate', '0.01/s', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({
    findings: [
      {session_id: 'burner', check: 'rate', threshold: 0.6, spent_per_minute: expect.any(Number)},
      {session_id: 'calm'},
    ],
  });
  const none = await run(CheckSessions, ...argv, '--max-rate', '6000/h');
  expect(none).toMatchObject({code: 0, stdout: 'OK - nothing found; 4 sessions checked\n'});
});

test.each<[Parameters<typeof runCommand>[0], string[], string]>([
  [WatchSessions, ['--format', 'ndjson', '--sample', '3s'], '--sample goes with --once.'],
  [WatchSessions, ['--once', '--sample', '1h2h'], "Invalid length of time '1h2h'."],
  [ListSessions, ['--sample', '3s'], '--sample goes with --sort rate.'],
  [ListSessions, ['--sort', 'rate', '--sample', '3'], "Invalid length of time '3'."],
  [CheckSessions, ['--sample', '3s'], '--sample goes with --max-rate.'],
  [CheckSessions, ['--max-rate', '5'], "Invalid rate '5'."],
  [CheckSessions, ['--max-rate', '0/m'], "Invalid rate '0/m'."],
  [CheckSessions, ['--max-rate', '-1/m'], "Invalid rate '-1/m'."],
  [CheckSessions, ['--max-rate', '5/toString'], "Invalid rate '5/toString'."],
])('%o %j is refused before anything is connected', async (command, argv, message) => {
  const {code, stdout, stderr} = await runCommand(command, argv, {url: 'redis://127.0.0.1:1'});
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain(message);
});
