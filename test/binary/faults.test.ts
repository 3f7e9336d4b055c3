import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type Proxy, startProxy, type Verdict} from '../support/impostors/proxy.js';
import {runBinary} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

const addressOf = ({url}: {url: string}): string => url.slice('redis://'.length);

const SILENT = 'did not answer within 3 s.';
const QUICK = ['--timeout', '3'];

// Which failures there are, and what a command of each kind makes of them, is in test/faults.
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

  test('reset-session says that the outcome is unknown, what was there before, and what is now', () =>
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
      expect(await runBinary(['reset-session', 'swallowed', '--yes', ...QUICK], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: Redis at ${addressOf(proxy)} ${SILENT} It is unknown whether session 'swallowed' was reset.\n` +
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
      expect(await runBinary(['reset-session', 'a', '--yes', '--no-journal', ...QUICK], proxy)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: Redis at ${addressOf(proxy)} ${SILENT} It is unknown whether session 'a' was reset.\n` +
          `Before: budget $20.00, spent none. A second look failed: Redis at ${addressOf(proxy)} ${SILENT}\n`,
      });
    } finally {
      await Promise.all([proxy.stop(), own.stop()]);
    }
  });
});
