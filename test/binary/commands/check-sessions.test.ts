import type {ChildProcess} from 'node:child_process';
import {chmod, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {type Receiver, startReceiver, TOKEN} from '../../support/impostors/receiver.js';
import {portOf} from '../../support/impostors/servers.js';
import {freePort} from '../../support/ports.js';
import {untilEnded} from '../../support/program/processes.js';
import {type Output, runBinary} from '../../support/program/run.js';
import {loadSessions, makeShell} from '../../support/program/shell.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

let redis: TestRedis;
let receiver: Receiver;
let folder: string;
let file: string;
beforeAll(async () => {
  redis = await startRedis({tcp: true});
});
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSessions(redis, {calm: ['100', '1'], high: ['50.00', '47.10'], over: ['10', '11']});
  receiver = await startReceiver();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-check-'));
  file = join(folder, 'webhook');
  await writeFile(file, `${receiver.url}\n`, {mode: 0o600});
});
afterEach(async () => {
  await receiver.stop();
  await rm(folder, {recursive: true});
});
afterAll(() => redis.stop());

const check = (argv: string[], env: Record<string, string> = {}, onStart?: (pid: number) => void): Promise<Output> =>
  runBinary(['check-sessions', ...argv], {url: redis.url, env, onStart: ({pid = 0}) => onStart?.(pid)});
const fresh = (...argv: string[]): Promise<Output> => check(['--new-only', ...argv]);
const post = (...argv: string[]): Promise<Output> => fresh('--webhook-file', file, ...argv);
const claims = async (): Promise<string[]> => (await redis.client.hKeys('tokengate:alerts')).sort();
const ALL = ['used:80:high', 'used:80:over', 'used:95:over'];

async function log(): Promise<string[]> {
  const text = await readFile(join(folder, 'log'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

test('hosts that check at the same time report each crossing once together', async () => {
  const ids = Array.from({length: 700}, (_, index) => `s${index}`);
  for (const spent of ['85', '97']) {
    await loadSessions(redis, Object.fromEntries(ids.map((id) => [id, ['100', spent]])));
    const outputs = await Promise.all(Array.from({length: 6}, () => fresh('--match', 's*', '--json')));
    const reports = outputs.map(({stdout}) => JSON.parse(stdout) as {findings: {session_id: string}[]});
    expect(reports.flatMap(({findings}) => findings.map(({session_id: id}) => id)).sort()).toEqual([...ids].sort());
    expect(outputs.map(({code}) => code)).toEqual(reports.map(({findings}) => (findings.length > 0 ? 2 : 0)));
    expect(outputs.map(({stderr}) => stderr).join('')).toBe('');
  }
});

describe('a webhook', () => {
  test('gets what is new, once', async () => {
    expect(await post()).toMatchObject({code: 2, stderr: ''});
    expect(receiver.posts).toEqual([
      {
        text: [
          `*TokenGate* on \`${new URL(redis.url).host}\`: 2 crossings`,
          '• *CRITICAL* `over` used 110.0% of its budget, at or above 95% ($11.00 of $10.00, $0.00 left)',
          '• *WARNING* `high` used 94.2% of its budget, at or above 80% ($47.10 of $50.00, $2.90 left)',
        ].join('\n'),
      },
    ]);
    expect(receiver.requests[0]).toMatchObject({method: 'POST', headers: {'content-type': 'application/json'}});
    expect(receiver.requests[0]?.url).toBe(`/hooks/${TOKEN}?key=also-a-secret-word`);

    expect(await post()).toMatchObject({code: 0, stdout: expect.stringContaining('OK - nothing new') as string});
    expect(receiver.posts).toHaveLength(1);
    await redis.client.set('session:high:spent', '49');
    expect(await post()).toMatchObject({code: 2});
    expect(receiver.posts).toHaveLength(2);
    expect(receiver.posts[1]?.text).toContain('1 crossing\n• *CRITICAL* `high`');
  });

  test('is found in the environment; without --new-only nothing is posted', async () => {
    const env = {TOKENGATE_WEBHOOK_URL: receiver.url};
    expect(await check([], env)).toMatchObject({code: 2});
    expect(receiver.posts).toHaveLength(0);
    expect(await check(['--new-only'], env)).toMatchObject({code: 2});
    expect(receiver.posts).toHaveLength(1);
  });

  test('gets a user name and a password as a header', async () => {
    await writeFile(file, receiver.url.replace('//', '//bot:p%40ss@'));
    expect(await post()).toMatchObject({code: 2, stderr: ''});
    expect(receiver.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('bot:p@ss').toString('base64')}`);
  });

  test('is told by --json', async () => {
    const {stdout} = await post('--json');
    expect(JSON.parse(stdout)).toMatchObject({
      reported_before: 0,
      notifications: [{via: 'webhook', delivered: 2, failed: 0, error: null}],
    });
  });

  test('calls nobody, links nowhere and formats nothing that an ID or a reason says', async () => {
    const evil = '<!channel> <https://evil.test|click> & *bold* `code` @here @all a@b.test\u202e\n> quote';
    await redis.client.flushDb();
    await redis.client.mSet({
      [`session:${evil}:budget`]: '1',
      [`session:${evil}:spent`]: '1',
      [`anomaly:${evil}:frozen_until`]: '2099-01-01T00:00:00',
      [`anomaly:${evil}:freeze_reason`]: evil,
    });
    expect(await post('--frozen')).toMatchObject({code: 2});
    const shown =
      '&lt;!channel&gt; &lt;https://evil.test|click&gt; &amp; *bold* ˋcodeˋ @\u200bhere @\u200ball a@b.test\\u202e\\n&gt; quote';
    const [, ...lines] = (receiver.posts[0]?.text ?? '').split('\n');
    expect(lines).toEqual([
      `• *CRITICAL* \`${shown}\` \`is frozen until 2099-01-01 00:00:00 UTC (${shown})\``,
      `• *CRITICAL* \`${shown}\` used 100.0% of its budget, at or above 95% ($1.00 of $1.00, $0.00 left)`,
    ]);
  });

  test('gets a text of a length that it takes, whatever there is', async () => {
    // The cut falls into the middle of a character.
    const ids = Array.from(
      {length: 40},
      (_, index) => `${index}-${'x'.repeat(index < 10 ? 297 : 296)}🙂${'x'.repeat(5000)}`,
    );
    await loadSessions(redis, Object.fromEntries(ids.map((id) => [id, ['1', '1']])));
    expect(await post()).toMatchObject({code: 2});
    const text = receiver.posts[0]?.text ?? '';
    expect(text.isWellFormed()).toBe(true);
    expect(text).toContain('\ufffd…`');
    expect(text.length).toBeLessThan(15_000);
    expect(text.split('\n').at(-1)).toBe('… and 22 more: tokengate check-sessions');
  });

  test.each([
    [500, 'The webhook answered with HTTP 500.'],
    [404, 'The webhook answered with HTTP 404.'],
    [302, 'The webhook answered with HTTP 302, a redirect, which is not followed.'],
  ])('that answers %d has failed, and the next check reports again', async (status, message) => {
    const other = await startReceiver();
    receiver.answer = (response) => response.writeHead(status, {location: other.url}).end();
    const {code, stdout, stderr} = await post();
    expect(code).toBe(1);
    expect(stdout).toContain('CRITICAL - 1 critical, 1 warning');
    expect(stderr).toBe(`Error: ${message}\n2 crossings will be reported again by the next check, in every way.\n`);
    expect(other.posts).toEqual([]);
    await other.stop();
    expect(await claims()).toEqual([]);
    receiver.answer = (response) => response.end();
    expect(await post()).toMatchObject({code: 2});
    expect(receiver.posts[1]).toEqual(receiver.posts[0]);
  });

  test('that cannot be reached, or says something else than HTTP, has failed', async () => {
    await writeFile(file, `http://127.0.0.1:${await freePort()}/${TOKEN}`);
    expect((await post()).stderr).toContain('Error: The webhook refused the connection.');
    const odd = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
    await new Promise<void>((ready) => odd.listen(0, '127.0.0.1', ready));
    await writeFile(file, `http://127.0.0.1:${portOf(odd)}/${TOKEN}`);
    expect((await post()).stderr).toMatch(/Error: The webhook (did not answer in HTTP|closed the connection)\./);
    odd.close();
    await writeFile(file, `https://127.0.0.1:${portOf(await listening())}/${TOKEN}`);
    expect((await post()).stderr).toMatch(/Error: The webhook could not be reached \([A-Z_0-9]+\)\./);
    expect(await claims()).toEqual([]);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s while it is waited for: the next check reports again', async (signal, code) => {
    receiver.answer = undefined;
    let pid = 0;
    const run = check(['--new-only', '--webhook-file', file], {}, (started) => (pid = started));
    await receiver.received(1);
    expect(await claims()).toEqual(ALL);
    process.kill(pid, signal);
    const output = await run;
    expect(output.code).toBe(code);
    expect(output.stderr).toContain('will be reported again');
    expect(await claims()).toEqual([]);
  });

  test('a process that is killed leaves what the next check takes over in time', async () => {
    receiver.answer = undefined;
    let pid = 0;
    const run = check(['--new-only', '--webhook-file', file], {}, (started) => (pid = started));
    await receiver.received(1);
    process.kill(pid, 'SIGKILL');
    await run;
    const held = await redis.client.hGetAll('tokengate:alerts');
    const [, end = '0'] = /^pending:(\d+):/.exec(held['used:80:high'] ?? '') ?? [];
    expect(Number(end)).toBeGreaterThan(Date.now());
    expect(Number(end)).toBeLessThan(Date.now() + 10 * 60_000);
    expect(await fresh()).toMatchObject({code: 0});
    const past = Object.fromEntries(Object.keys(held).map((field) => [field, `pending:${Date.now() - 1}:x`]));
    await redis.client.hSet('tokengate:alerts', past);
    expect(await fresh()).toMatchObject({code: 2});
  });
});

describe('the URL of a webhook', () => {
  const SECRETS = ['T00-secret-Xy7', 'Zq9-very-secret', 'also-a-secret-word', 'hunter2-of-mine'];
  const expectSecret = ({stdout, stderr}: Output): void => {
    for (const secret of SECRETS) expect(stdout + stderr).not.toContain(secret);
  };

  test.each([[{}], [{DEBUG: '*', TOKENGATE_DEBUG: '1', NODE_DEBUG: 'fetch,undici,http,net,tls,stream'}]])(
    'is never shown %j',
    async (debug) => {
      const withUser = receiver.url.replace('//', '//bot:hunter2-of-mine@');
      await writeFile(file, withUser);
      const env = {...debug, TOKENGATE_WEBHOOK_URL: withUser};
      expectSecret(await check(['--new-only', '--webhook-file', file], debug));
      expectSecret(await check(['--new-only', '--state', 'b'], env));
      expectSecret(await check(['--new-only', '--json', '--state', 'b', '--nope'], env));
      expect(receiver.posts).toHaveLength(2);
      await receiver.stop();
      for (const argv of [['--json'], []]) {
        const output = await check(['--new-only', '--state', 'c', ...argv], env);
        expect(output.code).toBe(1);
        expectSecret(output);
        expectSecret(await check(['--new-only', '--webhook-file', withUser, ...argv], debug));
        expectSecret(await check(['--new-only', `--webhook=${withUser}`, ...argv], debug));
      }
      for (const text of [`${withUser} ${withUser}`, `ftp${withUser.slice(4)}`, `http:/${TOKEN}`]) {
        await writeFile(file, text);
        const output = await check(['--new-only', '--webhook-file', file], debug);
        expect(output).toMatchObject({code: 1, stdout: ''});
        expectSecret(output);
        expectSecret(await check(['--new-only'], {...debug, TOKENGATE_WEBHOOK_URL: text}));
      }
      receiver = await startReceiver();
    },
  );

  test('is not given to a command', async () => {
    const {stderr} = await check(['--new-only', '--exec', 'env'], {TOKENGATE_WEBHOOK_URL: receiver.url});
    expect(stderr).toContain('TOKENGATE_ALERT_SESSION_ID=high');
    expect(stderr).not.toContain('TOKENGATE_WEBHOOK_URL');
    expectSecret({code: 0, stdout: '', stderr});
  });

  test.each([
    [0o644, 'can be read by other users'],
    [0o604, 'can be read by other users'],
    [0o620, 'can be read by other users'],
    [0o640, 'can be read by other users'],
    [0o600, undefined],
    [0o400, undefined],
  ])('stands in a file that others cannot read: mode %o', async (mode, refusal) => {
    await chmod(file, mode);
    const link = join(folder, 'link');
    await symlink(file, link);
    for (const path of [file, link]) {
      const {code, stderr} = await fresh('--webhook-file', path, '--state', path === file ? 'a' : 'b');
      expect({path, code}).toEqual({path, code: refusal === undefined ? 2 : 1});
      if (refusal !== undefined) expect(stderr).toContain(refusal);
      if (refusal !== undefined) expect(stderr).toContain(`Make it your own: chmod 600 ${path}`);
    }
  });

  test.each([
    ['', 'is empty'],
    ['https://a.test/x y', 'holds more than a URL'],
    ['not a url', 'holds more than a URL'],
    ['hooks.example.com/x', 'holds no https:// or http:// URL'],
    ['file:///etc/passwd', 'holds no https:// or http:// URL'],
    ['x'.repeat(9000), 'is larger than 8 KiB'],
  ])('is refused before anything is asked of Redis: %.20s', async (text, reason) => {
    await writeFile(file, text);
    const {code, stdout, stderr} = await post('--redis-url', `redis://127.0.0.1:${await freePort()}`);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain(`Error: The webhook file '${file}' ${reason}.`);
  });

  test('may have a byte order mark before it', async () => {
    await writeFile(file, `\ufeff${receiver.url}\n`);
    expect(await fresh('--webhook-file', file)).toMatchObject({code: 2, stderr: ''});
    expect(receiver.posts).toHaveLength(1);
  });

  test('an empty variable, a missing file, a folder and a URL in its place are errors', async () => {
    expect((await check(['--new-only'], {TOKENGATE_WEBHOOK_URL: ''})).stderr).toContain(
      'TOKENGATE_WEBHOOK_URL is empty.',
    );
    expect((await fresh('--webhook-file', join(folder, 'none'))).stderr).toContain("none' does not exist.");
    expect((await fresh('--webhook-file', folder)).stderr).toContain('is a folder.');
    expect((await fresh('--webhook-file', 'https://a.test')).stderr).toContain('takes the path of a file');
  });
});

describe('--exec', () => {
  const note =
    'printf "%s %s %s\\n" "$TOKENGATE_ALERT_SEVERITY" "$TOKENGATE_ALERT_SESSION_ID" "$TOKENGATE_ALERT_CHECK"';

  test('runs for each new crossing, with the facts in the environment', async () => {
    const output = await fresh('--exec', `${note} >> '${folder}/log'; env >> '${folder}/env'`);
    expect(output).toMatchObject({code: 2, stderr: ''});
    expect(await log()).toEqual(['critical over used', 'warning high used']);
    const env = await readFile(join(folder, 'env'), 'utf8');
    for (const line of [
      'TOKENGATE_ALERT_THRESHOLD=80',
      'TOKENGATE_ALERT_BUDGET=50',
      'TOKENGATE_ALERT_SPENT=47.1',
      'TOKENGATE_ALERT_REMAINING=2.9',
      'TOKENGATE_ALERT_PERCENTAGE_USED=94.2',
      'TOKENGATE_ALERT_FROZEN_UNTIL=',
      'TOKENGATE_ALERT_MESSAGE=used 94.2% of its budget, at or above 80% ($47.10 of $50.00, $2.90 left)',
      `TOKENGATE_ALERT_REDIS=${new URL(redis.url).host}`,
      `TOKENGATE_REDIS_URL=${redis.url}`,
    ]) {
      expect(env.split('\n')).toContain(line);
    }
    const json = /^TOKENGATE_ALERT_JSON=(.*)$/m.exec(env)?.[1] ?? '';
    expect(JSON.parse(json)).toMatchObject({session_id: 'over', severity: 'critical', threshold: 95});
    expect(await fresh('--exec', `${note} >> '${folder}/log'`)).toMatchObject({code: 0});
    expect(await log()).toHaveLength(2);
  });

  test.each([
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
    ['SIGTERM', 143],
  ] as const)('%s ends it too, and what it was to report is left to the next check', async (signal, code) => {
    let own: ChildProcess | undefined;
    const running = runBinary(
      ['check-sessions', '--new-only', '--exec', `echo $$ > '${folder}/pid'; exec sleep 1000`],
      {
        url: redis.url,
        onStart: (child) => (own = child),
      },
    );
    const pidOf = async (): Promise<number> => Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => ''));
    await until(async () => (await pidOf()) > 0);
    const pid = await pidOf();
    own?.kill(signal);
    expect((await running).code).toBe(code);
    await untilEnded(pid);
    expect(await redis.client.hGetAll('tokengate:alerts')).toEqual({});
    expect(await fresh('--exec', note)).toMatchObject({code: 2});
  });

  test('an ID is never a part of the command', async () => {
    await redis.client.flushDb();
    const evil = `"; touch '${folder}/pwned'; $(touch '${folder}/pwned') \`touch ${folder}/pwned\` \n-x`;
    await loadSessions(redis, {[evil]: ['1', '1']});
    const command = `printf '%s' "$TOKENGATE_ALERT_SESSION_ID" > '${folder}/id'`;
    expect(await fresh('--exec', command)).toMatchObject({code: 2});
    expect(await readFile(join(folder, 'id'), 'utf8')).toBe(evil);
    await expect(readFile(join(folder, 'pwned'))).rejects.toThrow();
  });

  test('an ID that a variable cannot hold is left empty, never cut', async () => {
    await redis.client.flushDb();
    await loadSessions(redis, {'nul\0x': ['1', '1'], [`long-${'x'.repeat(200_000)}`]: ['1', '1']});
    const command = `printf '<%s> <%s>\\n' "$TOKENGATE_ALERT_SESSION_ID" "$TOKENGATE_ALERT_JSON" >> '${folder}/log'`;
    expect(await fresh('--exec', command)).toMatchObject({code: 2, stderr: ''});
    const lines = await log();
    expect(lines[0]).toBe('<> <>');
    expect(lines[1]).toMatch(/^<> <\{"session_id":"nul\\u0000x",/);
  });

  test('what it prints is not the answer', async () => {
    const {stdout, stderr} = await fresh('--json', '--exec', 'echo out; echo err >&2');
    expect((JSON.parse(stdout) as {critical: number}).critical).toBe(1);
    expect(stderr).toBe('out\nerr\nout\nerr\n');
  });

  test('a failing command is an error, and only its crossing is reported again', async () => {
    const command = `${note} >> '${folder}/log'; test "$TOKENGATE_ALERT_SESSION_ID" != over || exit 7`;
    const {code, stdout, stderr} = await fresh('--exec', command);
    expect(code).toBe(1);
    expect(stdout).toContain("CRITICAL 'over'");
    expect(stderr).toBe(
      "Error: The command of --exec failed for 1 of 2 crossings, first for session 'over': exit code 7.\n" +
        '1 crossing will be reported again by the next check, in every way.\n',
    );
    expect(await claims()).toEqual(['used:80:high']);
    expect(await fresh('--exec', `${note} >> '${folder}/log'`)).toMatchObject({code: 2});
    expect(await log()).toEqual(['critical over used', 'warning high used', 'critical over used']);
  });

  test.each([
    ['exit 3', 'exit code 3'],
    ['no-such-program-here', 'exit code 127'],
    ['kill -KILL $$', 'ended by SIGKILL'],
  ])('%s: %s', async (command, why) => {
    const {code, stderr} = await fresh('--match', 'high', '--exec', `{ ${command}; } 2>/dev/null`);
    expect(code).toBe(1);
    expect(stderr).toContain(`Error: The command of --exec failed for session 'high': ${why}.`);
  });

  test('a command that is interrupted is ended, with all that it started', async () => {
    const command = `sh -c 'echo $$ >> "${folder}/log"; sleep 1000' & echo $$ >> '${folder}/log'; wait`;
    let pid = 0;
    const run = check(['--new-only', '--match', 'high', '--exec', command], {}, (started) => (pid = started));
    await until(async () => (await log()).length >= 2);
    process.kill(pid, 'SIGINT');
    expect((await run).code).toBe(130);
    for (const child of await log()) await untilEnded(Number(child));
    expect(await claims()).toEqual([]);
  });
});

describe('a webhook and a command', () => {
  test('what has failed and what has not is said of each', async () => {
    receiver.answer = (response) => response.writeHead(503).end();
    const posted = await post('--exec', 'true');
    expect(posted.code).toBe(1);
    expect(posted.stderr).toBe(
      'Error: The webhook answered with HTTP 503. The command of --exec got 2 crossings.\n' +
        '2 crossings will be reported again by the next check, in every way.\n',
    );
    receiver.answer = (response) => response.end();
    const failed = await post('--exec', 'exit 1', '--json');
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({
      notifications: [
        {via: 'webhook', delivered: 2, failed: 0, error: null},
        {via: 'exec', delivered: 0, failed: 2, error: "for session 'over': exit code 1"},
      ],
    });
    expect(JSON.parse(failed.stderr)).toEqual({
      error: {
        code: 'NOTIFICATION_FAILED',
        message:
          "The webhook got 2 crossings. The command of --exec failed for 2 of 2 crossings, first for session 'over': exit code 1.",
        hint: '2 crossings will be reported again by the next check, in every way.',
      },
    });
    expect(await post('--exec', 'true')).toMatchObject({code: 2, stderr: ''});
  });
});

test('what could not be printed is reported again', async () => {
  const shell = await makeShell();
  const {code, stderr} = await shell.run('tokengate check-sessions --new-only > /dev/full', redis);
  await shell.remove();
  expect(code).toBe(1);
  expect(stderr).toContain('Cannot write the output: no space left on the device.');
  expect(await claims()).toEqual([]);
});

test.each([['--new-only'], ['--frozen']])('no Redis: %s could not be checked', async (flag) => {
  const {code, stdout, stderr} = await check([flag, '--redis-url', `redis://127.0.0.1:${await freePort()}`]);
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain('connection refused');
});

test('a Redis that is gone when all is told: an error that says what follows', async () => {
  const other = await startRedis({tcp: true});
  await loadSessions(other, {high: ['1', '1']});
  receiver.answer = (response) => void other.stop().then(() => response.end());
  const {code, stderr} = await runBinary(['check-sessions', '--new-only', '--webhook-file', file], {url: other.url});
  expect(code).toBe(1);
  expect(stderr).toContain('What was reported could not be recorded, so it is reported again in a few minutes.');
});

/** A server that says nothing in TLS. */
async function listening(): Promise<ReturnType<typeof createServer>> {
  const server = createServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n')));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  server.unref();
  return server;
}
