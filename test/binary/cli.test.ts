import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {runBinary} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

/** Nothing listens there: a command that used it in place of the flag would fail. */
const NOWHERE = 'redis://127.0.0.1:1';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

async function seed(): Promise<void> {
  await redis.client.flushDb();
  await redis.client.set('session:a:budget', '20');
}

describe('global flags', () => {
  beforeEach(seed);

  test.each([
    ['before the command, with a space', ['--redis-url', 'URL', 'set-budget', 's', '1.5']],
    ['before the command, with =', ['--redis-url=URL', 'set-budget', 's', '1.5']],
    ['after the command, with a space', ['set-budget', '--redis-url', 'URL', 's', '1.5']],
    ['after the command, with =', ['set-budget', '--redis-url=URL', 's', '1.5']],
    ['after the arguments', ['set-budget', 's', '1.5', '--redis-url', 'URL']],
    ['after -y', ['-y', '--redis-url', 'URL', 'set-budget', 's', '1.5']],
    ['on both sides', ['--yes', 'set-budget', 's', '1.5', '--redis-url', 'URL']],
  ])('work %s', async (_, argv) => {
    const words = argv.map((word) => word.replace('URL', redis.url));
    expect(await runBinary(words, {url: NOWHERE})).toEqual({
      code: 0,
      stdout: "✓ Budget set for 's': $1.50\n",
      stderr: "Warning: New session 's'.\n",
    });
    expect(await redis.client.get('session:s:budget')).toBe('1.5');
  });

  test.each([
    ['--redis-url', 'URL', 'set-budget', '--', '-weird', '5'],
    ['-y', '--redis-url=URL', 'set-budget', '--', '-weird', '5'],
    ['set-budget', '--redis-url', 'URL', '--', '-weird', '5'],
  ])('stay in front of --: %s %s %s %s %s %s', async (...argv) => {
    const words = argv.map((word) => word.replace('URL', redis.url));
    expect(await runBinary(words, {url: NOWHERE})).toEqual({
      code: 0,
      stdout: "✓ Budget set for '-weird': $5.00\n",
      stderr: "Warning: New session '-weird'.\n",
    });
  });

  test('are arguments after --', async () => {
    expect(await runBinary(['set-budget', '--', '--json', '5'], redis)).toMatchObject({
      code: 0,
      stdout: "✓ Budget set for '--json': $5.00\n",
    });
  });

  test('--json before the command makes the answer JSON', async () => {
    const {code, stdout, stderr} = await runBinary(['--json', 'get-budget', 'a'], redis);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(JSON.parse(stdout)).toEqual({
      session_id: 'a',
      budget: 20,
      spent: 0,
      remaining: 20,
      percentage_used: 0,
    });
  });

  test('a session may have the name of a command or of a flag', async () => {
    await redis.client.set('session:health:budget', '3');
    expect((await runBinary(['get-budget', 'health'], redis)).stdout).toContain(
      'Session: health\nBudget:    $3.0000\n',
    );
  });
});

describe('help and version', () => {
  const ROOT_HELP = 'USAGE\n  tokengate COMMAND [ARGUMENTS] [FLAGS]\n';
  const SET_BUDGET_HELP = 'Set the budget of a session\n\nUSAGE\n  $ tokengate set-budget SESSION_ID AMOUNT ';
  test.each([
    ['no words at all', [], ROOT_HELP],
    ['--help', ['--help'], ROOT_HELP],
    ['-h', ['-h'], ROOT_HELP],
    ['help', ['help'], ROOT_HELP],
    ['a URL and nothing else', ['--redis-url', NOWHERE], ROOT_HELP],
    ['a URL and --help', ['--redis-url', NOWHERE, '--help'], ROOT_HELP],
    ['a URL and --version', ['--redis-url', NOWHERE, '--version'], 'tokengate/'],
    ['a URL and -v', ['--redis-url', NOWHERE, '-v'], 'tokengate/'],
    ['--version', ['--version'], 'tokengate/'],
    ['-v', ['-v'], 'tokengate/'],
    ['--version and other words', ['--version', 'health'], 'tokengate/'],
    ['help set-budget', ['help', 'set-budget'], SET_BUDGET_HELP],
    ['set-budget --help', ['set-budget', '--help'], SET_BUDGET_HELP],
    ['a URL and help set-budget', ['--redis-url', NOWHERE, 'help', 'set-budget'], SET_BUDGET_HELP],
    ['a URL and set-budget -h', [`--redis-url=${NOWHERE}`, 'set-budget', '-h'], SET_BUDGET_HELP],
  ])('%s: exit 0 without a connection', async (_, argv, expected) => {
    const {code, stdout, stderr} = await runBinary(argv, {url: NOWHERE});
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toContain(expected);
  });

  test.each(['--version', '-v'])('%s says what oclif would', async (flag) => {
    const ofOclif = await runBinary(['--redis-url', NOWHERE, flag]);
    expect(await runBinary([flag])).toEqual(ofOclif);
    expect(ofOclif.stdout).toMatch(/^tokengate\/\d+\.\d+\.\d+ \S+-\S+ node-v\d+\.\d+\.\d+\n$/);
  });
});

const SEE = (command = ''): string => `See: tokengate ${command === '' ? '' : `${command} `}--help`;
const SEE_ALL = 'See them all with: tokengate help';
const AFTER_DASHES = 'An ID that begins with a dash goes after --. ';
const BAD_USAGE: [argv: string[], message: string, hint: string, code?: string][] = [
  [['--redis-url'], 'Flag --redis-url expects a value.', SEE()],
  [
    ['--redis-url', 'list-sessions'],
    "Flag --redis-url expects a value (the next word, 'list-sessions', is a command).",
    SEE(),
  ],
  [
    ['--redis-url', 'reset-session', '--yes'],
    "Flag --redis-url expects a value (the next word, 'reset-session', is a command).",
    SEE(),
  ],
  [['health', '--redis-url'], 'Flag --redis-url expects a value.', SEE('health')],
  [['--redis-url', '--yes', 'health'], 'Flag --redis-url expects a value.', SEE('health')],
  [
    ['--redis-url', NOWHERE, 'health', '--redis-url', NOWHERE],
    'Flag --redis-url can only be specified once.',
    SEE('health'),
  ],
  [['reset-session', 'a', '--yes=false'], 'Flag --yes takes no value.', SEE('reset-session')],
  [['--yes=false', 'reset-session', 'a'], 'Flag --yes takes no value.', SEE('reset-session')],
  [['reset-session', '-y=false', 'a'], 'Flag -y takes no value.', SEE('reset-session')],
  [['-y=false', 'reset-session', 'a'], 'Flag -y takes no value.', SEE('reset-session')],
  [['get-budget', 'a', '--json=true'], 'Flag --json takes no value.', SEE('get-budget')],
  [['get-budget', 'a', '--toString'], "Unknown flag '--toString'.", SEE('get-budget')],
  [['get-budget', 'a', '--constructor'], "Unknown flag '--constructor'.", SEE('get-budget')],
  [['get-budget', 'a', '--hasOwnProperty'], "Unknown flag '--hasOwnProperty'.", SEE('get-budget')],
  [['get-budget', 'a', '--__proto__'], "Unknown flag '--__proto__'.", SEE('get-budget')],
  [['get-budget', 'a', '--bogus'], "Unknown flag '--bogus'.", SEE('get-budget')],
  [['get-budget', '-x'], "Unknown flag '-x'.", `${AFTER_DASHES}${SEE('get-budget')}`],
  [['set-budget', '-leading', '5'], "Unknown flag '-leading'.", `${AFTER_DASHES}${SEE('set-budget')}`],
  [['freeze-session', '-a', '-b'], "Unknown flags '-a', '-b'.", `${AFTER_DASHES}${SEE('freeze-session')}`],
  [['--bogus'], "Unknown flag '--bogus'.", SEE_ALL],
  [['--toString', 'get-budget', 'a'], "Unknown flag '--toString'.", SEE_ALL],
  [['help', 'helth'], "Unknown command 'helth'.", `Did you mean health? ${SEE_ALL}`, 'UNKNOWN_COMMAND'],
  [['bogus'], "Unknown command 'bogus'.", SEE_ALL, 'UNKNOWN_COMMAND'],
  [['--yes', 'bogus', 'a'], "Unknown command 'bogus'.", SEE_ALL, 'UNKNOWN_COMMAND'],
  [
    ['reset-session:a', '--yes'],
    "Unknown command 'reset-session:a'.",
    `Did you mean reset-session? ${SEE_ALL}`,
    'UNKNOWN_COMMAND',
  ],
  [['list-session'], "Unknown command 'list-session'.", `Did you mean list-sessions? ${SEE_ALL}`, 'UNKNOWN_COMMAND'],
  [['ehalth'], "Unknown command 'ehalth'.", `Did you mean health? ${SEE_ALL}`, 'UNKNOWN_COMMAND'],
  [
    ['budget', 'a'],
    "Unknown command 'budget'.",
    `Did you mean add-budget, get-budget, grant-budget or set-budget? ${SEE_ALL}`,
    'UNKNOWN_COMMAND',
  ],
  [['--redis-ulr', 'x', 'health'], "Unknown flag '--redis-ulr'.", `Did you mean --redis-url? ${SEE_ALL}`],
  [['list-sessions', '--fromat=csv'], "Unknown flag '--fromat=csv'.", `Did you mean --format? ${SEE('list-sessions')}`],
  [['list-sessions', 'extra'], 'Unexpected argument: extra.', SEE('list-sessions')],
  [['list-sessions', 'user:1'], 'Unexpected argument: user:1.', SEE('list-sessions')],
  [['health', 'x', 'y'], 'Unexpected arguments: x, y.', SEE('health')],
  [['get-budget', 'a', 'b'], 'Unexpected argument: b.', `Quote an ID that has spaces: 'a b'. ${SEE('get-budget')}`],
  [
    ['set-budget', 'my', 'workflow', '40'],
    "Invalid amount 'workflow': it is not a plain decimal number.",
    "Quote an ID that has spaces: 'my workflow'.",
    'INVALID_AMOUNT',
  ],
  [['get-budget'], 'Missing argument: SESSION_ID.', SEE('get-budget')],
  [['set-budget'], 'Missing arguments: SESSION_ID, AMOUNT.', SEE('set-budget')],
  [['set-budget', 'a'], 'Missing argument: AMOUNT.', SEE('set-budget')],
  [
    ['list-sessions', '--format', 'xml'],
    'Expected --format=xml to be one of: table, json, ndjson, csv, ids.',
    SEE('list-sessions'),
  ],
  [
    ['list-sessions', '--format'],
    'Flag --format expects one of these values: table, json, ndjson, csv, ids.',
    SEE('list-sessions'),
  ],
];

/** One of each kind: those whose message begins with other words, and that do not end where a value should stand. */
const BAD_USAGE_KINDS = new Map(
  BAD_USAGE.filter(([argv]) => argv.at(-1) !== '--redis-url').map((row) => [
    row[1].split(' ').slice(0, 2).join(' '),
    row,
  ]),
);

// They change nothing, so they can run side by side.
describe.concurrent('wrong usage: exit 1, one message, nothing changed', () => {
  beforeAll(seed);

  test.each(BAD_USAGE)('%j', async (argv, message, hint) => {
    const before = await dumpKeyspace(redis);
    expect(await runBinary(argv, redis)).toEqual({code: 1, stdout: '', stderr: `Error: ${message}\n${hint}\n`});
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test.each([...BAD_USAGE_KINDS.values()])('%j with --json', async (argv, message, hint, code = 'INVALID_USAGE') => {
    const {stderr, ...rest} = await runBinary([...argv, '--json'], redis);
    expect(rest).toEqual({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toEqual({error: {code, message, hint}});
  });

  test('--json contradicts another format', async () => {
    const {stderr, ...rest} = await runBinary(['list-sessions', '--json', '--format', 'csv'], redis);
    expect(rest).toEqual({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toEqual({
      error: {code: 'INVALID_USAGE', message: '--json and --format csv contradict each other.', hint: null},
    });
  });

  test('a missing argument is not read from stdin', async () => {
    expect(await runBinary(['get-budget'], {...redis, input: 'a\n'})).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Error: Missing argument: SESSION_ID.\nSee: tokengate get-budget --help\n',
    });
  });
});
