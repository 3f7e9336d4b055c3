import type {ChildProcess} from 'node:child_process';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {startProxy} from '../../support/impostors/proxy.js';
import {silent, startServer} from '../../support/impostors/servers.js';
import {openTerminal} from '../../support/program/pty.js';
import {BIN, NODE, runBinary, runProcess} from '../../support/program/run.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.mSet({'session:a:budget': '20', 'session:a:spent': '1.5'});
});
afterAll(() => redis.stop());

/** Runs a command and sends it signals, each when its time has come. */
function runAndSignal(
  argv: string[],
  options: {url: string; signals: {signal: NodeJS.Signals; when: Promise<unknown>}[]},
) {
  return runBinary(argv, {
    url: options.url,
    onStart(child) {
      for (const {signal, when} of options.signals) void when.then(() => child.kill(signal));
    },
  });
}

describe('while the server is silent', () => {
  test.each([
    ['SIGINT', 'get-budget', 130],
    ['SIGTERM', 'get-budget', 143],
    ['SIGINT', 'list-sessions', 130],
  ] as const)('%s ends %s at once, without a word', async (signal, command, code) => {
    const server = await startServer(silent);
    try {
      const argv = command === 'get-budget' ? [command, 'a'] : [command];
      const signals = [{signal, when: server.connected}];
      expect(await runAndSignal(argv, {...server, signals})).toEqual({code, stdout: '', stderr: ''});
    } finally {
      await server.stop();
    }
  });

  test('Ctrl-C on a terminal does too', async () => {
    const server = await startServer(silent);
    try {
      const terminal = openTerminal(['get-budget', 'a'], server);
      await server.connected;
      terminal.type('\x03');
      const {code, screen} = await terminal.ended;
      expect({code, screen: screen.replace('^C', '')}).toEqual({code: 130, screen: ''});
    } finally {
      await server.stop();
    }
  });

  test('SIGINT before a change is sent ends with 130', async () => {
    const server = await startServer(silent);
    try {
      const signals = [{signal: 'SIGINT' as const, when: server.connected}];
      expect(await runAndSignal(['set-budget', 'a', '5'], {...server, signals})).toEqual({
        code: 130,
        stdout: '',
        stderr: 'Error: Interrupted.\n',
      });
    } finally {
      await server.stop();
    }
  });
});

describe('while a change is under way', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s: reset-session looks again and says what it does not know', async (signal, code) => {
    const proxy = await startProxy(redis, (request) => (request.includes('\r\nEVAL\r\n') ? 'swallow' : 'pass'));
    try {
      const signals = [{signal, when: proxy.struck}];
      expect(await runAndSignal(['reset-session', 'a', '--yes'], {...proxy, signals})).toEqual({
        code,
        stdout: '',
        stderr:
          "Error: Interrupted. It is unknown whether session 'a' was reset.\n" +
          'Before: budget $20.00, spent $1.50. Now: budget $20.00, spent $1.50. The journal has no such change.\n',
      });
    } finally {
      await proxy.stop();
    }
  });

  test('SIGINT with --json: the error has the code INTERRUPTED', async () => {
    const proxy = await startProxy(redis, (request) => (request.includes('\r\nEVAL\r\n') ? 'swallow' : 'pass'));
    try {
      const signals = [{signal: 'SIGINT' as const, when: proxy.struck}];
      const {stderr, ...rest} = await runAndSignal(['set-budget', 'a', '5', '--json'], {...proxy, signals});
      expect(rest).toEqual({code: 130, stdout: ''});
      expect(JSON.parse(stderr)).toEqual({
        error: {
          code: 'INTERRUPTED',
          message: "Interrupted. It is unknown whether the budget of session 'a' was set.",
          hint: 'Before: budget $20.00, spent $1.50. Now: budget $20.00, spent $1.50. The journal has no such change.',
        },
      });
    } finally {
      await proxy.stop();
    }
  });
});

describe.concurrent('what takes longer than an answer may:', () => {
  test('SIGINT while a change is under way, when Redis has stopped after the first answer: the second look fails, and that is said', async () => {
    const own = await startRedis({tcp: true});
    await own.client.set('session:a:budget', '20');
    const proxy = await startProxy(own, (request) => {
      if (!request.includes('\r\nEVAL\r\n')) return 'pass';
      own.process.kill('SIGSTOP');
      return 'swallow';
    });
    try {
      const signals = [{signal: 'SIGINT' as const, when: proxy.struck}];
      expect(await runAndSignal(['reset-session', 'a', '--yes', '--no-journal'], {...proxy, signals})).toEqual({
        code: 130,
        stdout: '',
        stderr:
          "Error: Interrupted. It is unknown whether session 'a' was reset.\n" +
          'Before: budget $20.00, spent none. A second look failed: ' +
          `Redis at ${proxy.url.slice('redis://'.length)} did not answer within 5 s.\n`,
      });
    } finally {
      await Promise.all([proxy.stop(), own.stop()]);
    }
  });

  test('time in which a change itself was stopped is not the silence of Redis', async ({onTestFinished}) => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    await redis.client.set('session:a:budget', '20');
    let own: ChildProcess | undefined;
    const change = runBinary(['set-budget', 'a', '5', '--timeout', '3', '--json'], {
      url: redis.url,
      onStart: (child) => (own = child),
    });
    await redis.client.sendCommand(['CLIENT', 'PAUSE', '60000', 'WRITE']);
    const reader = await redis.client.duplicate().connect();
    try {
      await until(async () => (await reader.sendCommand<string>(['CLIENT', 'LIST'])).includes(' cmd=eval '));
      own?.kill('SIGSTOP');
      const at = performance.now();
      await reader.sendCommand(['CLIENT', 'UNPAUSE']);
      // Longer than the time for an answer, which has arrived meanwhile.
      await until(() => Promise.resolve(performance.now() - at > 5000));
      own?.kill('SIGCONT');
      const {code, stdout, stderr} = await change;
      expect({code, stderr}).toEqual({code: 0, stderr: ''});
      expect(JSON.parse(stdout)).toMatchObject({session_id: 'a', budget: 5});
    } finally {
      own?.kill('SIGCONT');
      reader.destroy();
    }
  });

  test('time in which the terminal is stopped by Ctrl-S is not the silence of Redis', async ({onTestFinished}) => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const seed = `for i = 1, 5000 do redis.call('SET', 'session:s' .. i .. ':budget', '5') end`;
    await redis.client.sendCommand(['EVAL', seed, '0']);
    const terminal = openTerminal(['list-sessions', '--no-pager', '--timeout', '3'], redis);
    await terminal.shows('Session ID');
    terminal.type('\x13');
    const at = performance.now();
    // Longer than the time for an answer.
    await until(() => Promise.resolve(performance.now() - at > 5000));
    terminal.type('\x11');
    const {code, screen} = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).not.toContain('Error');
    expect(new Set(screen.match(/ s\d+ /g)).size).toBe(5000);
  });
});

describe('where the loss of the terminal is ignored', () => {
  const SESSIONS = 5000;

  test.each([
    ['nohup', 'nohup "$@" & echo $!; wait $!'],
    ['a shell that ignores it', `trap '' HUP; "$@" & echo $!; wait $!`],
  ])('by %s, a batch goes on to its end after SIGHUP', async (_, script) => {
    const seed = `for i = 1, ${SESSIONS} do redis.call('SET', 'session:s' .. i .. ':budget', '5') end`;
    await redis.client.sendCommand(['EVAL', seed, '0']);
    await redis.client.sendCommand(['CLIENT', 'PAUSE', '60000', 'WRITE']);
    const reader = await redis.client.duplicate().connect();
    try {
      let pid = 0;
      const argv = ['-c', script, 'bash', NODE, BIN, 'reset-session', '--match', 's*', '--yes', '--quiet'];
      const ended = runProcess('bash', argv, {
        ...redis,
        onStart: (child) => child.stdout?.once('data', (text: string) => (pid = Number(text))),
      });
      await until(async () => (await reader.sendCommand<string>(['CLIENT', 'LIST'])).includes(' cmd=eval '));
      process.kill(pid, 'SIGHUP');
      await reader.sendCommand(['CLIENT', 'UNPAUSE']);
      expect(await ended).toMatchObject({code: 0});
      expect(await redis.client.keys('session:s*')).toEqual([]);
    } finally {
      reader.destroy();
    }
  });
});
