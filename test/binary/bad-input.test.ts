import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {freePort} from '../support/ports.js';
import {BIN, NODE, runBinary, runProcess} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
let before: Record<string, string>;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.mSet({'session:a:budget': '20', 'session:a:spent': '0.02643664999999999982'});
  before = await dumpKeyspace(redis);
});
afterAll(() => redis.stop());

/** Both forms of an error; nothing on stdout, nothing changed. */
async function expectRefusal(
  argv: string[],
  {code, message, hint}: {code: string; message: string; hint: string | null},
): Promise<void> {
  const lines = [`Error: ${message}`, ...(hint === null ? [] : [hint])];
  expect(await runBinary(argv, redis)).toEqual({code: 1, stdout: '', stderr: `${lines.join('\n')}\n`});
  const {stderr, ...rest} = await runBinary(['--json', ...argv], redis);
  expect(rest).toEqual({code: 1, stdout: ''});
  expect(JSON.parse(stderr)).toEqual({error: {code, message, hint}});
  expect(await dumpKeyspace(redis)).toEqual(before);
}

describe.concurrent('an amount that is not plain digits', () => {
  test.each([
    ['nan', 'it is not a plain decimal number'],
    ['inf', 'it is not a plain decimal number'],
    ['-5', 'it is negative'],
    ['1_000', 'leave out thousands separators'],
    ['1,000', 'leave out thousands separators'],
    ['0x10', 'it is not a plain decimal number'],
    ['$5', 'leave out the currency sign'],
    ['', 'it is empty'],
    ['1e5', 'leave out the exponent'],
    ['٣', 'it is not a plain decimal number'],
    ['1234567890123456789012345678901234567890', 'at most 18 digits before the point and 28 in all'],
  ])("'%s' is refused", (amount, why) =>
    expectRefusal(['set-budget', 'a', amount], {
      code: 'INVALID_AMOUNT',
      message: `Invalid amount '${amount}': ${why}.`,
      hint: 'Write US dollars as plain digits, for example 25.50.',
    }),
  );
});

describe.concurrent('a session ID', () => {
  test.each([
    [['set-budget', '', '5']],
    [['get-budget', '']],
    [['reset-session', '', '--yes']],
    [['freeze-session', '']],
    [['unfreeze-session', '']],
    [['anomaly-stats', '']],
  ])('that is empty is refused: %j', (argv) =>
    expectRefusal(argv, {code: 'INVALID_SESSION_ID', message: 'The session ID is empty.', hint: null}),
  );

  test.each([
    [['get-budget', 'A'], "Did you mean 'a'? "],
    [['reset-session', 'A', '--yes'], "Did you mean 'a'? "],
    [['get-budget', 'B'], ''],
    [['reset-session', 'B', '--yes'], ''],
  ])('that is unknown is an error: %j', (argv, guess) =>
    expectRefusal(argv, {
      code: 'SESSION_NOT_FOUND',
      message: `Session '${argv[1]}' not found.`,
      hint: `${guess}IDs are compared exactly. See them all with: tokengate list-sessions`,
    }),
  );

  test('with a star is not a pattern', () =>
    expectRefusal(['reset-session', '*', '--yes'], {
      code: 'SESSION_NOT_FOUND',
      message: "Session '*' not found.",
      hint: 'IDs are compared exactly. See them all with: tokengate list-sessions',
    }));
});

describe.concurrent('a URL that cannot be meant is refused and not shown', () => {
  const HINT =
    'Write redis://[user:password@]host[:port][/db], rediss://… for TLS, unix:///path/to.sock[?db=N], ' +
    'or redis+sentinel://host[:port],…/primary[/db].';
  const SCHEME = 'its scheme is none of redis, rediss, unix, redis+sentinel, rediss+sentinel';
  const NO_SCHEME = 'it has no scheme (did you mean redis://…?)';
  const PARAMETER = 'it has a parameter other than db';
  const DATABASE = 'its database is not a whole number';
  const UNREADABLE = 'its host and port are not readable';
  test.each([
    ['redis+unix:///hunter2.sock', SCHEME],
    ['valkey://u:hunter2@h', SCHEME],
    ['http://u:hunter2@h', SCHEME],
    ['localhost:6379', NO_SCHEME],
    ['redis:6379', NO_SCHEME],
    ['u:hunter2@h:6379', NO_SCHEME],
    ['', 'it is empty'],
    ['redis://', 'the host is missing'],
    ['redis:///2', 'the host is missing'],
    ['redis://h?db=hunter2', DATABASE],
    ['redis://h?password=hunter2', PARAMETER],
    ['redis://h/hunter2', DATABASE],
    ['redis://h/0/1', DATABASE],
    ['redis://h/-1', DATABASE],
    ['redis://h/1.5', DATABASE],
    ['redis://u:hunter2@h:99999', 'its port is not between 1 and 65535'],
    ['redis://u:hunter2@h:port', UNREADABLE],
    ['redis://u:hunter2@[::1', UNREADABLE],
    ['redis://u:hunter2/x@h', UNREADABLE],
    ['redis://u:hunter2?x@h', PARAMETER],
    ['redis://u:hunter2#x@h', 'it has a # (percent-encode / ? # @ % in a user name or password)'],
    ['redis://u:hunter2%zz@h', 'it has a % that is not part of a percent-encoding such as %40'],
    ['redis://hunter2@h', 'it has a user name without a password'],
    ['unix://hunter2.sock', 'a socket needs an absolute path, with three slashes: unix:///path/to.sock'],
  ])('%s', async (url, why) => {
    const error = {
      code: 'INVALID_REDIS_URL',
      message: `Invalid Redis URL: ${why}.`,
      hint: HINT,
    };
    expect(await runBinary(['health', `--redis-url=${url}`])).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: ${error.message}\n${error.hint}\n`,
    });
  });

  test('as JSON, from the environment', async () => {
    const {stderr, ...rest} = await runBinary(['list-sessions', '--json'], {url: 'redis://u:hunter2@h:99999'});
    expect(rest).toEqual({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'INVALID_REDIS_URL',
        message: 'Invalid Redis URL: its port is not between 1 and 65535.',
        hint: HINT,
      },
    });
  });
});

describe.concurrent('Redis is away', () => {
  const COMMANDS = [
    ['set-budget', 'a', '5'],
    ['get-budget', 'a'],
    ['list-sessions'],
    ['reset-session', 'a', '--yes'],
    ['freeze-session', 'a'],
    ['unfreeze-session', 'a'],
    ['anomaly-stats', 'a'],
    ['health'],
  ];
  test.each(COMMANDS.map((argv) => ({argv})))('nothing listens on the port: $argv', async ({argv}) => {
    const port = await freePort();
    await expectRefusal(['--redis-url', `redis://127.0.0.1:${port}`, ...argv], {
      code: 'REDIS_UNREACHABLE',
      message: `Cannot connect to Redis at 127.0.0.1:${port}: connection refused (is Redis running?).`,
      hint: 'Check --redis-url or TOKENGATE_REDIS_URL.',
    });
  });

  test('there is no such socket', () =>
    expectRefusal(['--redis-url', 'unix:///nowhere/redis.sock?db=2', 'list-sessions'], {
      code: 'REDIS_UNREACHABLE',
      message: 'Cannot connect to Redis at /nowhere/redis.sock: no such socket file.',
      hint: 'Check --redis-url or TOKENGATE_REDIS_URL.',
    }));

  test('localhost is refused on each of its addresses', async () => {
    const port = await freePort();
    await expectRefusal(['--redis-url', `redis://localhost:${port}`, 'health'], {
      code: 'REDIS_UNREACHABLE',
      message: `Cannot connect to Redis at localhost:${port}: connection refused (is Redis running?).`,
      hint: 'Check --redis-url or TOKENGATE_REDIS_URL.',
    });
  });
});

test.runIf(process.platform === 'linux')('an ID that is no text is not taken for another', async () => {
  const script = `exec '${NODE}' '${BIN}' set-budget "$(printf 'caf\\351')" 5`;
  expect(await runProcess('sh', ['-c', script], {url: redis.url})).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'Error: An argument is not UTF-8 text.\n' +
      'Select a session whose ID is not UTF-8 with --match, --where or --stdin.\n',
  });
  expect(await dumpKeyspace(redis)).toEqual(before);
});
