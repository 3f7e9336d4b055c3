import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {openTerminal} from '../support/program/pty.js';
import {BIN, NODE, runBinary, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const ANSWER = 'session_id,budget,spent,remaining,percentage_used\na,20,0,20,0\n';

let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.set('session:a:budget', '20');
  folder = await mkdtemp(join(tmpdir(), 'tokengate-environment-'));
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

test.each([
  ['NODE_ENV=development', {NODE_ENV: 'development'}],
  ['NODE_ENV=test', {NODE_ENV: 'test'}],
  ['a HOME that does not exist', {HOME: '/nowhere'}],
  ['an empty HOME', {HOME: ''}],
  ['a HOME that cannot be', {HOME: '/dev/null/home'}],
])('%s changes nothing', async (_, env) => {
  expect(await runBinary(['list-sessions', '--format', 'csv'], {...redis, env})).toEqual({
    code: 0,
    stdout: ANSWER,
    stderr: '',
  });
});

test('an environment of nothing but the URL is enough', async () => {
  const argv = ['-i', `TOKENGATE_REDIS_URL=${redis.url}`, NODE, BIN, 'list-sessions', '--format', 'csv'];
  expect(await runProcess('env', argv)).toEqual({code: 0, stdout: ANSWER, stderr: ''});
});

test('the folder it is started in does not matter', async () => {
  expect(await runBinary(['list-sessions', '--format', 'csv'], {...redis, cwd: folder})).toEqual({
    code: 0,
    stdout: ANSWER,
    stderr: '',
  });
});

test('an empty TOKENGATE_REDIS_URL does not stand for localhost', async () => {
  expect(await runBinary(['list-sessions'], {env: {TOKENGATE_REDIS_URL: ''}})).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'Error: TOKENGATE_REDIS_URL is set, but empty.\nUnset it for redis://localhost:6379, or give --redis-url.\n',
  });
  const argv = ['list-sessions', '--format', 'csv', '--redis-url', redis.url];
  expect(await runBinary(argv, {env: {TOKENGATE_REDIS_URL: ''}})).toMatchObject({code: 0, stdout: ANSWER});
});

test('the flag wins over TOKENGATE_REDIS_URL', async () => {
  const argv = ['list-sessions', '--format', 'csv', '--redis-url', redis.url];
  expect(await runBinary(argv, {url: 'redis://127.0.0.1:1'})).toEqual({code: 0, stdout: ANSWER, stderr: ''});
});

describe('a user whom the system does not know, without a home and a shell', () => {
  const UNKNOWN = 54_321;
  const runUnknown = (argv: string[], url = 'redis://127.0.0.1:1') =>
    runProcess('env', ['-i', `TOKENGATE_REDIS_URL=${url}`, NODE, BIN, ...argv], {uid: UNKNOWN});

  test.runIf(process.getuid?.() === 0).each([
    [['--version'], 0],
    [['help'], 0],
    [['get-budget', '--help'], 0],
    [['health'], 1],
    [['set-budget', 'a', '5'], 1],
    [['autocomplete'], 0],
  ])('runs %j', async (argv, code) => {
    const end = await runUnknown(argv);
    expect(end.stderr).not.toContain('Unexpected error');
    expect(end.code).toBe(code);
  });

  test.runIf(process.getuid?.() === 0)('gets an answer', async () => {
    const own = await startRedis({tcp: true});
    try {
      expect(await runUnknown(['set-budget', 'a', '5'], own.url)).toMatchObject({
        code: 0,
        stderr: "Warning: New session 'a'.\n",
      });
    } finally {
      await own.stop();
    }
  });
});

describe('memory that is limited', () => {
  const limited = (words: string) => `bash -c 'ulimit -v 4000000; "$@"' bash ${words}`;

  test('is enough for a webhook', async () => {
    const file = join(folder, 'webhook');
    await writeFile(file, 'http://127.0.0.1:1/hook', {mode: 0o600});
    await redis.client.set('session:a:spent', '19.9');
    const argv = [NODE, BIN, 'check-sessions', '--new-only', '--webhook-file', file];
    const {code, stdout, stderr} = await runProcess('bash', ['-c', 'ulimit -v 4000000; "$@"', 'bash', ...argv], redis);
    await redis.client.del('session:a:spent');
    expect(code).toBe(1);
    expect(stdout).toContain('CRITICAL - 1 critical');
    expect(stderr).toMatch(/^Error: The webhook refused the connection\.\n/);
  });

  test('is said to be too little for the live view', async () => {
    const {code, screen} = await openTerminal(['watch-sessions'], {...redis, line: limited}).ended;
    expect(code).toBe(1);
    expect(screen).toContain('The live view needs more memory than a process may have here.');
  });
});

test.each([['reset-session', 'a'], ['list-sessions']])(
  'NO_COLOR wins over FORCE_COLOR without a word: %s',
  async (...argv) => {
    const terminal = openTerminal(argv, {...redis, env: {NO_COLOR: '1', FORCE_COLOR: '1'}});
    if (argv[0] === 'reset-session') {
      await terminal.shows('(y/N)');
      terminal.type('n\r');
    }
    const {screen} = await terminal.ended;
    expect(screen).not.toContain('\x1b');
    expect(screen).not.toContain('Warning');
  },
);

test.each([
  [':/usr/share/zoneinfo/Europe/Berlin', 'is not known here'],
  [':/etc/localtime', 'is not known here'],
  ['CET-1CEST,M3.5.0,M10.5.0/3', 'is not known here'],
  ['Nowhere/City', 'is not known here'],
])('a local time in the time zone %s is refused', async (zone, why) => {
  for (const argv of [
    ['freeze-session', 'a', '--until', '2097-07-01T18:00'],
    ['grant-budget', 'a', '5', '--until', '2097-07-01T18:00'],
    ['list-changes', '--since', '2026-07-01'],
  ]) {
    const {code, stderr} = await runBinary(argv, {...redis, env: {TZ: zone}});
    expect({argv, code}).toEqual({argv, code: 1});
    expect(stderr).toContain(why);
    expect(stderr).toContain('Give Z or an offset');
  }
  expect(await redis.client.exists(['anomaly:a:frozen_until', 'tokengate:grants:a'])).toBe(0);
});

test.each([
  ['Europe/Berlin', '2097-07-01T18:00', '2097-07-01T16:00:00.000Z'],
  [':Europe/Berlin', '2097-07-01T18:00', '2097-07-01T16:00:00.000Z'],
  [':/etc/localtime', '2097-07-01T18:00Z', '2097-07-01T18:00:00.000Z'],
  ['CET-1CEST', '2097-07-01T18:00+02:00', '2097-07-01T16:00:00.000Z'],
  ['', '2097-07-01T18:00', '2097-07-01T18:00:00.000Z'],
])('with TZ=%s, %s is %s', async (zone, until, at) => {
  const argv = ['freeze-session', 'a', '--until', until, '--force', '--json'];
  const {stdout} = await runBinary(argv, {...redis, env: {TZ: zone}});
  expect(JSON.parse(stdout)).toMatchObject({frozen_until: at});
  await redis.client.del(['anomaly:a:frozen_until', 'anomaly:a:freeze_reason']);
});

test('a local time that daylight saving skips is refused', async () => {
  const argv = ['freeze-session', 'a', '--until', '2097-03-31T02:30'];
  const {code, stderr} = await runBinary(argv, {...redis, env: {TZ: 'Europe/Berlin'}});
  expect(code).toBe(1);
  expect(stderr).toContain("There is no local time '2097-03-31T02:30'");
});

test('a server without TIME freezes by the clock of this machine, and that is said', async () => {
  const own = await startRedis({args: ['--rename-command', 'TIME', '']});
  try {
    const {code, stderr} = await runBinary(['freeze-session', 'a', '--for', '1h'], own);
    expect(code).toBe(0);
    expect(stderr).toContain("does not tell the time: this machine's clock is used.");
    expect(await own.client.ttl('anomaly:a:frozen_until')).toBeGreaterThan(3500);
  } finally {
    await own.stop();
  }
});

describe('--stdin', () => {
  const reset = (redirect: string) =>
    runProcess('bash', ['-c', `"$@" ${redirect}`, 'bash', NODE, BIN, 'reset-session', '--stdin', '--yes'], redis);

  test.each([
    ['closed', '<&-', 'it is closed'],
    ['a folder', '< /', 'it is a folder'],
    ['open for writing', '0> /dev/null', 'it is open for writing'],
  ])('that is %s is an error', async (_, redirect, why) => {
    expect(await reset(redirect)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: Cannot read the IDs from stdin: ${why}.\n`,
    });
  });

  test('that is empty names no session', async () => {
    expect(await reset('< /dev/null')).toEqual({code: 0, stdout: '✓ Reset 0\n', stderr: ''});
  });
});

test('a file that is a mount of its own cannot be replaced, and is left as it was', async () => {
  const file = join(folder, 'metrics.prom');
  const other = join(folder, 'other.prom');
  await writeFile(file, 'before');
  await writeFile(other, 'other');
  const script = `mount --bind "$1" "$2" || exit 77; shift 2; "$@"`;
  const argv = ['-m', 'bash', '-c', script, 'bash', other, file, NODE, BIN, 'print-metrics', '--out', file];
  const {code, stderr} = await runProcess('unshare', argv, redis).catch(() => ({code: 77, stderr: ''}));
  // Not every machine lets its tests mount.
  if (code === 77 || stderr.startsWith('unshare:')) return;
  expect(code).toBe(1);
  expect(stderr).toContain(`Cannot write '${file}': it is a mount of its own`);
  expect(await readFile(other, 'utf8')).toBe('other');
});
