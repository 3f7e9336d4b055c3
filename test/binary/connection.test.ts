import {chmod, link, mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type FakeServer, silent, startServer} from '../support/impostors/servers.js';
import {type Output, runBinary, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const PASSWORD = 's3cret-word';
const ANSWER = {code: 0, stdout: '[]\n', stderr: ''};

let redis: TestRedis;
let mute: FakeServer;
let folder: string;
/** With the password in it. */
let url: string;
beforeAll(async () => {
  redis = await startRedis({tcp: true, args: ['--requirepass', PASSWORD], password: PASSWORD});
  url = redis.url.replace('//', `//:${PASSWORD}@`);
  mute = await startServer(silent);
  folder = await mkdtemp(join(tmpdir(), 'tokengate-connection-'));
});
afterAll(async () => {
  await Promise.all([redis.stop(), mute.stop()]);
  await rm(folder, {recursive: true, force: true});
});

const failure = (message: string, hint?: string): Output => ({
  code: 1,
  stdout: '',
  stderr: `Error: ${message}\n${hint === undefined ? '' : `${hint}\n`}`,
});

describe.concurrent('--timeout', () => {
  test.each(['5', '0.5', '.5', '5.', '3600', '0.001', '007'])('%j is a time limit', async (seconds) => {
    const {code, stderr} = await runBinary([
      'list-sessions',
      '--timeout',
      seconds,
      '--redis-url',
      'redis://127.0.0.1:1',
    ]);
    expect({code, stderr}).toMatchObject({code: 1, stderr: expect.stringContaining('Cannot connect') as string});
  });

  const HINT = 'Write a number from 0.001 to 3600, such as 5 or 0.5.';
  test.each([
    '0',
    '0.0',
    '0.0001',
    '0.0004',
    '-1',
    '',
    ' 5',
    '5s',
    '1e3',
    '0x5',
    '1_0',
    '5,5',
    '.',
    'Infinity',
    'NaN',
    '3601',
  ])('%j is refused', async (seconds) => {
    expect(await runBinary(['list-sessions', `--timeout=${seconds}`], {url})).toEqual(
      failure(`'${seconds}' is not a time limit in seconds.`, HINT),
    );
  });

  test('TOKENGATE_TIMEOUT stands for it, and the flag wins', async () => {
    const argv = ['health', '--redis-url', mute.url];
    const env = {TOKENGATE_TIMEOUT: '0.2'};
    const answer = (seconds: string): Output =>
      failure(
        `Redis at ${new URL(mute.url).host} did not answer within ${seconds} s.`,
        'The server may be overloaded, stopped, or behind a firewall.',
      );
    expect(await runBinary(argv, {env})).toEqual(answer('0.2'));
    expect(await runBinary(['--timeout', '0.3', ...argv], {env})).toEqual(answer('0.3'));
    expect(await runBinary(argv, {env: {TOKENGATE_TIMEOUT: 'soon'}})).toEqual(
      failure("'soon' is not a time limit in seconds.", HINT),
    );
  });
});

describe.concurrent('a file with the URL', () => {
  const fileWith = async (name: string, text: string, mode = 0o600): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, text);
    await chmod(file, mode);
    return file;
  };

  test.each([
    ['a line', (text: string) => `${text}\n`],
    ['no line feed', (text: string) => text],
    ['a line of Windows', (text: string) => `${text}\r\n`],
    ['a byte order mark before it', (text: string) => `\ufeff${text}\n`],
  ])('of %s is read', async (name, write) => {
    const file = await fileWith(name, write(url));
    const argv = ['list-sessions', '--json'];
    expect(await runBinary([...argv, '--redis-url-file', file])).toEqual(ANSWER);
    expect(await runBinary(argv, {env: {TOKENGATE_REDIS_URL_FILE: file}})).toEqual(ANSWER);
  });

  test('that is a link counts as what it leads to', async () => {
    const file = await fileWith('target', url, 0o400);
    await symlink(file, join(folder, 'to-own'));
    expect(await runBinary(['list-sessions', '--json', '--redis-url-file', join(folder, 'to-own')])).toEqual(ANSWER);
    await symlink(await fileWith('open', url, 0o644), join(folder, 'to-open'));
    const path = join(folder, 'to-open');
    expect(await runBinary(['health', '--redis-url-file', path])).toEqual(
      failure(`The URL file '${path}' can be read by other users.`, `Make it your own: chmod 600 ${path}`),
    );
    await symlink('round', join(folder, 'round'));
    expect((await runBinary(['health', '--redis-url-file', join(folder, 'round')])).stderr).toContain(
      'leads to itself',
    );
  });

  test.each([0o640, 0o604, 0o620, 0o602, 0o644])('of mode %o is refused', async (mode) => {
    const file = await fileWith(`mode-${mode}`, url, mode);
    expect(await runBinary(['health', '--redis-url-file', file])).toEqual(
      failure(`The URL file '${file}' can be read by other users.`, `Make it your own: chmod 600 ${file}`),
    );
  });

  test('that is none is refused at once', async () => {
    const fifo = join(folder, 'fifo');
    await runProcess('mkfifo', ['-m', '600', fifo]);
    const own = join(folder, 'own');
    await mkdir(own, {mode: 0o700});
    for (const [file, why] of [
      [join(folder, 'missing'), 'does not exist'],
      [own, 'is a folder'],
      [fifo, 'is not an ordinary file'],
      [await fileWith('large', 'x'.repeat(65_537)), 'is larger than 64 KiB'],
      [await fileWith('two-lines', `${url}\n${url}\n`), 'holds more than one line'],
    ] as const) {
      expect(await runBinary(['health', '--redis-url-file', file])).toEqual(failure(`The URL file '${file}' ${why}.`));
    }
    const empty = await fileWith('empty', '\n');
    expect((await runBinary(['health', '--redis-url-file', empty])).stderr).toContain(
      'Invalid Redis URL: it is empty.',
    );
  });

  test('of another user is refused', async ({skip}) => {
    if (process.geteuid?.() !== 0) skip('needs root');
    const file = await fileWith('foreign', url);
    await runProcess('chown', ['12345', file]);
    expect(await runBinary(['health', '--redis-url-file', file])).toEqual(
      failure(`The URL file '${file}' belongs to another user.`, 'It has to belong to you or to root.'),
    );
  });

  test('gives away no password', async () => {
    const file = await fileWith('wrong', redis.url.replace('//', '//:other-s3cret@'));
    await link(file, join(folder, 'hard'));
    const env = {DEBUG: '*', TOKENGATE_DEBUG: '1'};
    const {code, stdout, stderr} = await runBinary(['health', '--redis-url-file', file], {env});
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain('rejected the user name or password');
    expect(stderr).not.toContain('other-s3cret');
    const malformed = await fileWith('malformed', 'redis://other-s3cret@h');
    expect((await runBinary(['health', '--redis-url-file', malformed], {env})).stderr).not.toContain('other-s3cret');
  });

  test('and a URL: a flag wins over a variable, and two of a kind contradict each other', async () => {
    const file = await fileWith('precedence', url);
    const wrong = 'redis://127.0.0.1:1';
    const argv = ['list-sessions', '--json'];
    expect(await runBinary([...argv, '--redis-url-file', file], {url: wrong})).toEqual(ANSWER);
    expect(await runBinary([...argv, '--redis-url-file', file], {url: ''})).toEqual(ANSWER);
    const env = {TOKENGATE_REDIS_URL_FILE: '/nowhere'};
    expect(await runBinary([...argv, '--redis-url', url], {env})).toMatchObject({code: 0, stdout: '[]\n'});
    expect(await runBinary(['health', '--redis-url', url, '--redis-url-file', file])).toEqual(
      failure('Both --redis-url and --redis-url-file are given.', 'Give one.'),
    );
    expect(await runBinary(['health'], {url, env})).toEqual(
      failure(
        'Both TOKENGATE_REDIS_URL and TOKENGATE_REDIS_URL_FILE are set.',
        'Unset one, or give --context, --redis-url or --redis-url-file.',
      ),
    );
    expect(await runBinary(['health'], {env: {TOKENGATE_REDIS_URL_FILE: ''}})).toEqual(
      failure(
        'TOKENGATE_REDIS_URL_FILE is set, but empty.',
        'Unset it for redis://localhost:6379, or give --redis-url.',
      ),
    );
  });
});

describe.concurrent('a password in --redis-url', () => {
  const WARNING =
    'Warning: Other users of this machine can see the password in --redis-url. ' +
    'Give the URL in TOKENGATE_REDIS_URL or in a --redis-url-file.\n';

  test('brings a warning on stderr, under --json and --quiet too', async () => {
    expect(await runBinary(['--redis-url', url, 'list-sessions'])).toEqual({
      code: 0,
      stdout: 'No active sessions found.\n',
      stderr: WARNING,
    });
    expect(await runBinary(['list-sessions', `--redis-url=${url}`, '--json'])).toEqual({...ANSWER, stderr: WARNING});
    expect(await runBinary(['reset-session', '--redis-url', url, '--all', '--yes', '--quiet'])).toMatchObject({
      stderr: WARNING,
    });
  });

  test('brings none before an error, which stands alone', async () => {
    const {code, stderr} = await runBinary(['get-budget', 'nobody', '--json', '--redis-url', url]);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'SESSION_NOT_FOUND'}});
  });

  test('in the variable brings none', async () => {
    expect(await runBinary(['list-sessions', '--json'], {url})).toEqual(ANSWER);
  });
});
