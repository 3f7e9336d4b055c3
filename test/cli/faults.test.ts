import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type Proxy, startProxy, type Verdict} from '../support/proxy.js';
import {startRedis, type TestRedis} from '../support/redis-server.js';
import {runBinary} from '../support/run.js';
import {answering, closing, greeting, resetting, silent, startServer} from '../support/servers.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

const addressOf = ({url}: {url: string}): string => url.slice('redis://'.length);

const SILENT = {
  code: 'REDIS_TIMEOUT',
  message: (address: string) => `Redis at ${address} did not answer within 5 s.`,
  hint: 'The server may be overloaded, stopped, or behind a firewall.',
};
const PROTOCOL = {
  code: 'REDIS_PROTOCOL',
  message: (address: string) => `The server at ${address} does not speak the Redis protocol.`,
  hint: 'Check --redis-url or TOKENGATE_REDIS_URL.',
};
const CLOSED = {
  code: 'REDIS_CONNECTION_LOST',
  message: (address: string) =>
    `The server at ${address} closed the connection at once (does it expect TLS? then use rediss://).`,
  hint: null,
};

// They mostly wait for a time limit, so they do it side by side. Each has sessions of its own.
describe.concurrent('what is no working Redis ends with its reason', () => {
  test.each([
    ['a server that never answers', silent, SILENT],
    ['a server that stops in the middle of an answer', answering('*14\r\n$6\r\nser'), SILENT],
    ['an SSH server', greeting('SSH-2.0-OpenSSH_9.2p1\r\n'), PROTOCOL],
    ['an HTTP server', answering('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'), PROTOCOL],
    ['bytes of no meaning', greeting(Buffer.from([0, 255, 254, 13, 10, 128, 7, 0])), PROTOCOL],
    ['a server that closes at once', closing, CLOSED],
    ['a server that resets at once', resetting, CLOSED],
  ])('%s', async (_, onConnection, {code, message, hint}) => {
    const server = await startServer(onConnection);
    try {
      const expected = {code, message: message(addressOf(server)), hint};
      const lines = [`Error: ${expected.message}`, ...(hint === null ? [] : [hint])];
      expect(await runBinary(['health'], server)).toEqual({code: 1, stdout: '', stderr: `${lines.join('\n')}\n`});
      const {stderr, ...rest} = await runBinary(['set-budget', 'a', '5', '--json'], server);
      expect(rest).toEqual({code: 1, stdout: ''});
      expect(JSON.parse(stderr)).toEqual({error: expected});
    } finally {
      await server.stop();
    }
  });

  test('a Redis that is stopped', async () => {
    const stopped = await startRedis({tcp: true});
    stopped.process.kill('SIGSTOP');
    try {
      expect(await runBinary(['list-sessions'], stopped)).toEqual({
        code: 1,
        stdout: '',
        stderr: `Error: ${SILENT.message(addressOf(stopped))}\n${SILENT.hint}\n`,
      });
    } finally {
      await stopped.stop();
    }
  });

  test('a Redis that falls silent after the first answer', async () => {
    const proxy = await startProxy(redis, (request) => (request.includes('SCAN') ? 'swallow' : 'pass'));
    try {
      expect(await runBinary(['list-sessions'], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr: `Error: ${SILENT.message(addressOf(proxy))}\n${SILENT.hint}\n`,
      });
    } finally {
      await proxy.stop();
    }
  });

  test('a Redis that goes away after the first answer', async () => {
    const proxy = await startProxy(redis, (request) => (request.includes('SCAN') ? 'lose-reply' : 'pass'));
    try {
      expect(await runBinary(['list-sessions'], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr: `Error: Lost the connection to Redis at ${addressOf(proxy)}.\n`,
      });
    } finally {
      await proxy.stop();
    }
  });
});

const RECORDED = / The journal has it, as change [0-9a-z]{10}: it was done\./;

describe.concurrent('a change whose answer is lost', () => {
  /** Breaks the connection at the change itself; the second look passes. */
  const breakAtChange =
    (verdict: Verdict) =>
    (request: string): Verdict =>
      request.includes('\r\nEVAL\r\n') ? verdict : 'pass';

  async function withProxy(verdict: Verdict, use: (proxy: Proxy) => Promise<void>): Promise<void> {
    const proxy = await startProxy(redis, breakAtChange(verdict));
    try {
      await use(proxy);
    } finally {
      await proxy.stop();
    }
  }

  test('set-budget says that the outcome is unknown, what was there before and what is there now', () =>
    withProxy('lose-reply', async (proxy) => {
      await redis.client.set('session:set:budget', '20');
      const {stderr, ...rest} = await runBinary(['set-budget', 'set', '5'], proxy);
      expect(rest).toEqual({code: 1, stdout: ''});
      expect(stderr).toMatch(RECORDED);
      expect(stderr.replace(RECORDED, '')).toBe(
        `Error: Lost the connection to Redis at ${addressOf(proxy)}. ` +
          "It is unknown whether the budget of session 'set' was set.\n" +
          'Before: budget $20.00, spent none. Now: budget $5.00, spent none.\n',
      );
    }));

  test('reset-session says so too, and what was there before', () =>
    withProxy('lose-reply', async (proxy) => {
      await redis.client.mSet({'session:reset:budget': '20', 'session:reset:spent': '0.02643664999999999982'});
      const {stderr, ...rest} = await runBinary(['reset-session', 'reset', '--yes'], proxy);
      expect(rest).toEqual({code: 1, stdout: ''});
      expect(stderr).toMatch(RECORDED);
      expect(stderr.replace(RECORDED, '')).toBe(
        `Error: Lost the connection to Redis at ${addressOf(proxy)}. ` +
          "It is unknown whether session 'reset' was reset.\n" +
          'Before: budget $20.00, spent $0.02643664999999999982. Now: budget none, spent none.\n',
      );
    }));

  test('with --json it has a code of its own', () =>
    withProxy('lose-reply', async (proxy) => {
      await redis.client.set('session:json:budget', '20');
      const {stderr, ...rest} = await runBinary(['reset-session', 'json', '--yes', '--json', '--no-journal'], proxy);
      expect(rest).toEqual({code: 1, stdout: ''});
      expect(JSON.parse(stderr)).toEqual({
        error: {
          code: 'OUTCOME_UNKNOWN',
          message:
            `Lost the connection to Redis at ${addressOf(proxy)}. ` + "It is unknown whether session 'json' was reset.",
          hint: 'Before: budget $20.00, spent none. Now: budget none, spent none.',
        },
      });
    }));

  test('freeze-session says what the freeze is now', () =>
    withProxy('lose-reply', async (proxy) => {
      const {stderr, ...rest} = await runBinary(['freeze-session', 'freeze', '--reason', 'Bot'], proxy);
      expect(rest).toEqual({code: 1, stdout: ''});
      const until = await redis.client.get('anomaly:freeze:frozen_until');
      expect(stderr.replace(RECORDED, '')).toBe(
        `Error: Lost the connection to Redis at ${addressOf(proxy)}. ` +
          "It is unknown whether session 'freeze' was frozen.\n" +
          `Before: not frozen. Now: frozen until ${until!.slice(0, 19).replace('T', ' ')} UTC (Bot).\n`,
      );
    }));

  test('unfreeze-session says that nothing is frozen now', () =>
    withProxy('lose-reply', async (proxy) => {
      await redis.client.set('anomaly:unfreeze:frozen_until', '2999-01-01T00:00:00');
      expect(await runBinary(['unfreeze-session', 'unfreeze', '--no-journal'], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: Lost the connection to Redis at ${addressOf(proxy)}. ` +
          "It is unknown whether session 'unfreeze' was unfrozen.\n" +
          'Before: frozen until 2999-01-01 00:00:00 UTC (no reason). Now: not frozen.\n',
      });
    }));

  test('a change that never arrived shows the old values', () =>
    withProxy('swallow', async (proxy) => {
      await redis.client.set('session:swallowed:budget', '20');
      expect(await runBinary(['reset-session', 'swallowed', '--yes'], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: ${SILENT.message(addressOf(proxy))} It is unknown whether session 'swallowed' was reset.\n` +
          'Before: budget $20.00, spent none. Now: budget $20.00, spent none. The journal has no such change.\n',
      });
    }));

  test('a Redis that stays away is named', async () => {
    const own = await startRedis({tcp: true});
    await own.client.set('session:a:budget', '20');
    const proxy = await startProxy(own, (request) => {
      if (!request.includes('\r\nEVAL\r\n')) return 'pass';
      own.process.kill('SIGSTOP');
      return 'swallow';
    });
    try {
      expect(await runBinary(['reset-session', 'a', '--yes', '--no-journal'], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: ${SILENT.message(addressOf(proxy))} It is unknown whether session 'a' was reset.\n` +
          `Before: budget $20.00, spent none. A second look failed: ${SILENT.message(addressOf(proxy))}\n`,
      });
    } finally {
      await Promise.all([proxy.stop(), own.stop()]);
    }
  });
});
