import {afterAll, afterEach, beforeAll, expect, test} from 'vitest';

import {runBinary} from '../../support/program/run.js';
import {openScreen, type Screen} from '../../support/program/screen.js';
import {loadSessions} from '../../support/program/shell.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
let screen: Screen | undefined;
beforeAll(async () => {
  redis = await startRedis();
  await loadSessions(redis, {
    [`prod-${'search-'.repeat(20)}rerank`]: ['100', '5'],
    'prod:search': ['1000', '850.5'],
    over: ['2', '2.5'],
    broken: ['much'],
    ['日本語'.repeat(10)]: ['3'],
    stopped: ['3'],
  });
  await redis.client.set('anomaly:stopped:frozen_until', '2099-01-01T00:00:00');
  await redis.client.set('anomaly:stopped:freeze_reason', `Loop ${'of the agent '.repeat(20)}`);
});
afterEach(() => {
  screen?.kill();
  screen = undefined;
});
afterAll(() => redis.stop());

/** The lines of the table that a terminal of so many columns shows, and what was written. */
async function show(
  columns: number,
  argv: string[] = [],
  env: Record<string, string> = {},
): Promise<{lines: string[]; output: string}> {
  screen = openScreen(['list-sessions', ...argv], {url: redis.url, columns, env});
  await screen.ended;
  const lines = screen.lines().filter((line) => /^[╔║╠╚]/.test(line));
  return {lines, output: Buffer.from(screen.output, 'latin1').toString()};
}

test('fits a terminal of 80 columns, with the money aligned', async () => {
  expect((await show(80)).lines.join('\n')).toMatchInlineSnapshot(`
    "╔═════════════════════╦════════════╦═══════════╦═══════════╦═════════╦═════════╗
    ║ Session ID          ║     Budget ║     Spent ║ Remaining ║  Used % ║ Status  ║
    ╠═════════════════════╬════════════╬═══════════╬═══════════╬═════════╬═════════╣
    ║ broken              ║    invalid ║   $0.0000 ║   invalid ║ invalid ║ invalid ║
    ║ over                ║    $2.0000 ║   $2.5000 ║   $0.0000 ║  125.0% ║ empty   ║
    ║ prod-sear…ch-rerank ║  $100.0000 ║   $5.0000 ║  $95.0000 ║    5.0% ║ ok      ║
    ║ prod:search         ║ $1000.0000 ║ $850.5000 ║ $149.5000 ║   85.0% ║ low     ║
    ║ stopped             ║    $3.0000 ║   $0.0000 ║   $3.0000 ║    0.0% ║ frozen  ║
    ║ 日本語日本…語日本語 ║    $3.0000 ║   $0.0000 ║   $3.0000 ║    0.0% ║ ok      ║
    ╚═════════════════════╩════════════╩═══════════╩═══════════╩═════════╩═════════╝"
  `);
});

test.each([60, 100, 200])('fits %i columns', async (columns) => {
  const {lines} = await show(columns);
  // A line that does not fit would go on in the next.
  expect(lines).toHaveLength(10);
  expect(lines.filter((line) => !/[╗║╣╝]$/.test(line))).toEqual([]);
});

test('where even that does not fit, no amount is cut', async () => {
  const {output} = await show(30, ['--match', 'prod:*']);
  expect(output).toContain('║pr…h║$1000.0000║$850.5000║$149.5000║ 85.0%║');
});

test('a reason shares the room with the ID', async () => {
  const {lines} = await show(80, ['--columns', 'id,reason,status']);
  expect(lines).toHaveLength(10);
  expect(lines.find((line) => line.includes('Loop'))).toMatch(/Loop.*…/);
});

test('the statuses are coloured, unless NO_COLOR says otherwise', async () => {
  const {output} = await show(80);
  for (const status of ['\x1b[32mok', '\x1b[33mlow', '\x1b[31mempty', '\x1b[36mfrozen', '\x1b[35minvalid']) {
    expect(output).toContain(`${status}\x1b[39m`);
  }
  expect((await show(80, [], {NO_COLOR: '1'})).output).not.toMatch(/\x1b\[\d+m(?:ok|low|empty|frozen|invalid)/); // eslint-disable-line no-control-regex
});

test.each([
  ['list-sessions', '--format', 'csv', '--match', 'evil*'],
  ['list-sessions', '--format', 'csv', '--group-depth', '1'],
  ['report-spending', '--format', 'csv'],
  ['report-spending', '--format', 'focus', '--group-depth', '1'],
  ['report-spending', '--format', 'html'],
  ['report-spending', '--format', 'ndjson'],
  ['report-spending'],
  ['export-budgets'],
  ['export-budgets', '--format', 'json'],
])('no ID reaches a terminal raw: %s %s %s %s', async (...argv) => {
  await runBinary(['record-spending'], redis);
  await redis.client.mSet({'session:evil\u001b[2J:budget': '1', 'session:evil\u001b[2J:spent': '0.5'});
  await runBinary(['record-spending'], redis);
  screen = openScreen(argv, {url: redis.url, columns: 200, env: {NO_COLOR: '1', PAGER: ''}});
  expect((await screen.ended).code).toBe(0);
  const output = Buffer.from(screen.output, 'latin1').toString();
  expect(output).toContain('evil');
  expect(output).not.toContain('\u001b[2J');
  await redis.client.del(['session:evil\u001b[2J:budget', 'session:evil\u001b[2J:spent']);
});

test('in a pipe the table is the documented one', async () => {
  const {stdout} = await runBinary(['list-sessions', '--match', 'prod:*'], redis);
  expect(stdout).toBe(`╔═════════════╦════════════╦═══════════╦═══════════╦════════╗
║ Session ID  ║ Budget     ║ Spent     ║ Remaining ║ Used % ║
╠═════════════╬════════════╬═══════════╬═══════════╬════════╣
║ prod:search ║ $1000.0000 ║ $850.5000 ║ $149.5000 ║ 85.0%  ║
╚═════════════╩════════════╩═══════════╩═══════════╩════════╝
`);
});
