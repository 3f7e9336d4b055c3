import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {answering, echoing, type FakeServer, startServer} from '../support/impostors/servers.js';
import {freePort} from '../support/ports.js';
import {runBinary} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let locked: TestRedis;
let withoutHello: TestRedis;
let withoutAuth: TestRedis;
let echo: FakeServer;
let closedPort: number;
beforeAll(async () => {
  const password = 'the-real-one';
  locked = await startRedis({tcp: true, args: ['--requirepass', password], password});
  withoutHello = await startRedis({tcp: true, args: ['--rename-command', 'HELLO', 'x']});
  withoutAuth = await startRedis({tcp: true, args: ['--rename-command', 'AUTH', 'x']});
  echo = await startServer(echoing);
  closedPort = await freePort();
});
afterAll(() => Promise.all([locked.stop(), withoutHello.stop(), withoutAuth.stop(), echo.stop()]));

/** As typed in a URL, and the texts of which none may be seen. */
const PASSWORDS: [name: string, typed: string, secrets: string[]][] = [
  ['plain', 'hunter2', ['hunter2']],
  ['percent-encoded', 'hunt%40%2Fer2', ['hunt%40%2Fer2', 'hunt@/er2', 'hunt', 'er2']],
  ['with quotes and a backslash', String.raw`hunt'x"y\er2`, ['hunt', 'er2']],
];
const FORMS: [name: string, argv: string[], env: Record<string, string>][] = [
  ['the error', [], {}],
  ['--json', ['--json'], {}],
  ['DEBUG=* and TOKENGATE_DEBUG=1', [], {DEBUG: '*', TOKENGATE_DEBUG: '1'}],
];

const withPassword = (url: string, password: string): string => url.replace('://', `://someone:${password}@`);

interface Attempt {
  argv: string[];
  url?: string;
  env?: Record<string, string>;
}

async function expectSecret({argv, ...options}: Attempt, secrets: string[], reason: string): Promise<void> {
  const {code, stdout, stderr} = await runBinary(argv, options);
  for (const secret of secrets) {
    expect(stdout).not.toContain(secret);
    expect(stderr).not.toContain(secret);
  }
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain(reason);
}

describe.concurrent.each(FORMS)('no password is shown by %s', (_, flags, env) => {
  describe.each(PASSWORDS)('%s', (_name, password, secrets) => {
    test('when the connection is refused', () => {
      const url = withPassword(`redis://127.0.0.1:${closedPort}`, password);
      return expectSecret({argv: ['health', ...flags, '--redis-url', url], env}, secrets, 'connection refused');
    });

    test('when the password is wrong', () => {
      const url = withPassword(locked.url, password);
      return expectSecret({argv: ['health', ...flags], url, env}, secrets, 'rejected the user name or password');
    });

    test('when the server repeats it', () => {
      const url = withPassword(echo.url, password);
      return expectSecret({argv: [`--redis-url=${url}`, 'health', ...flags], env}, secrets, 'unknown command');
    });
  });

  test.each([
    ['in a URL without a scheme', ['health', '--redis-url', 'u:hunter2@h:6379'], 'it has no scheme'],
    ['alone before the host', ['health', '--redis-url', 'redis://hunter2@h'], 'without a password'],
    ['in a parameter', ['health', '--redis-url=redis://h?password=hunter2'], 'a parameter other than db'],
    [
      "in a Sentinel's parameter",
      ['health', '--redis-url=redis+sentinel://127.0.0.1:1/m?sentinel_password=hunter2'],
      'connection refused',
    ],
    ['with a wrong port', ['health', '--redis-url', 'redis://u:hunter2@h:99999'], 'its port is not'],
    ['in a flag with a mistyped name', ['health', '--redisurl=redis://u:hunter2@h'], 'Unknown flag'],
    ['in the place of a command', ['redis://u:hunter2@h', 'health'], 'Unknown command'],
    ['in the place of an argument', ['health', 'redis://u:hunter2@h'], 'Unexpected argument'],
    [
      'in a flag given twice',
      ['health', '--redis-url=redis://u:hunter2@h', '--redis-url=redis://u:hunter2@h'],
      'only be specified once',
    ],
  ])('%s', (_name, argv, reason) => expectSecret({argv: [...argv, ...flags], env}, ['hunter2'], reason));
});

describe.concurrent('a Redis that does not know a command', () => {
  test.each(['', '--json'])('AUTH: repeats the password, tokengate does not %s', async (flag) => {
    const url = withPassword(withoutAuth.url, 'hunter2');
    await expectSecret({argv: ['health', ...(flag === '' ? [] : [flag])], url}, ['hunter2'], "unknown command 'AUTH'");
  });

  test('HELLO: is asked by INFO', async () => {
    expect(await runBinary(['health'], withoutHello)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^✓ Redis connection healthy\n(.*\n)*Role: {4}primary\n/) as string,
      stderr: '',
    });
  });
});

test('the right password works, from the environment and from the flag', async () => {
  const url = locked.url.replace('://', '://:the-real-one@');
  expect(await runBinary(['list-sessions', '--json'], {url})).toEqual({code: 0, stdout: '[]\n', stderr: ''});
  expect(await runBinary(['--redis-url', url, 'list-sessions', '--json'])).toMatchObject({code: 0, stdout: '[]\n'});
});

test.each(['redis', 'a'])('the password %j, which stands in many a message, garbles none', async (password) => {
  const {stderr} = await runBinary(['health'], {url: withPassword(locked.url, password)});
  expect(stderr).toBe(
    `Error: Redis at ${new URL(locked.url).host} rejected the user name or password.\n` +
      'In a URL, percent-encode / ? # @ % in either.\n',
  );
  await expectSecret({argv: [`--x=redis://u:${password}@h`, 'health']}, [`:${password}@`], '://u:***@h');
});

test('a short password is hidden in what a server repeats, whatever its words are', async () => {
  const repeating = await startServer(answering('-ERR pw is no password, pwd\r\n'.repeat(2)));
  try {
    await expectSecret(
      {argv: ['health'], url: withPassword(repeating.url, 'pw')},
      [' pw '],
      'ERR *** is no password, pwd',
    );
  } finally {
    await repeating.stop();
  }
});

test('a password is asked for when none is given', async () => {
  expect(await runBinary(['list-sessions'], locked)).toEqual({
    code: 1,
    stdout: '',
    stderr:
      `Error: Redis at ${locked.url.slice('redis://'.length)} requires a password.\n` +
      'Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL or a --redis-url-file).\n',
  });
});
