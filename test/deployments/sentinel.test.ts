import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {silent, startServer} from '../support/impostors/servers.js';
import {freePort} from '../support/ports.js';
import {runBinary} from '../support/program/run.js';
import {portOf, startRedis} from '../support/redis/redis-server.js';
import {type Sentinels, startSentinels} from '../support/redis/sentinels.js';
import {until} from '../support/until.js';

describe('Sentinels', () => {
  let watched: Sentinels;
  let primary: string;
  beforeAll(async () => {
    watched = await startSentinels();
    primary = `127.0.0.1:${portOf(watched.primary)}`;
  });
  afterAll(() => watched.stop());

  const urlOf = (hosts: string[]): string => `redis+sentinel://${hosts.join(',')}/mymaster`;
  const first = (): string => `127.0.0.1:${watched.ports[0]}`;

  test('lead to the primary', async () => {
    const stderr = "Warning: New session 'a'.\n";
    expect(await runBinary(['set-budget', 'a', '5'], watched)).toMatchObject({code: 0, stderr});
    expect(await watched.primary.client.get('session:a:budget')).toBe('5');
    const {stdout} = await runBinary(['health'], watched);
    expect(stdout).toMatch(`\nAddress: ${primary}\n`);
    expect((await runBinary(['health'], {url: `${watched.url}/2`})).stdout).toMatch(`\nAddress: ${primary} db 2\n`);
  });

  test('lead there when all but one are gone or silent', async () => {
    const mute = await startServer(silent);
    try {
      const url = urlOf([`127.0.0.1:${await freePort()}`, new URL(mute.url).host, first()]);
      expect(await runBinary(['list-sessions', '--format', 'ids'], {url})).toMatchObject({code: 0, stderr: ''});
    } finally {
      await mute.stop();
    }
  });

  test('that are all silent are waited for as long as one', async () => {
    const mute = await Promise.all([startServer(silent), startServer(silent)]);
    try {
      const hosts = mute.map(({url}) => new URL(url).host);
      const {code, stdout, stderr} = await runBinary(['health', '--timeout', '0.5'], {url: urlOf(hosts)});
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toMatch(
        /^Error: None of the 2 Sentinels can be used\. The first to fail: Sentinel at 127\.0\.0\.1:\d+ did not answer within 0\.5 s\.\nThe server may be/,
      );
    } finally {
      await Promise.all(mute.map((server) => server.stop()));
    }
  });

  test.each<[name: string, url: () => string, lines: () => string[]]>([
    [
      'a name that they do not know',
      () => watched.url.replace('mymaster', 'other'),
      () => [`Error: Sentinel at 127.0.0.1:PORT knows no primary 'other'.`, 'It watches: mymaster.'],
    ],
    [
      'a server that is none',
      () => urlOf([primary]),
      () => [
        `Error: The server at ${primary} is not a Sentinel.`,
        'A redis+sentinel URL names the Sentinels, which mostly listen on port 26379.',
      ],
    ],
    [
      'a port with nothing behind it',
      () => urlOf(['127.0.0.1:1']),
      () => [
        'Error: Cannot connect to Sentinel at 127.0.0.1:1: connection refused (is Redis running?).',
        'Check --redis-url or TOKENGATE_REDIS_URL.',
      ],
    ],
    [
      'several of these',
      () => urlOf(['127.0.0.1:1', '127.0.0.1:2']),
      () => [
        'Error: None of the 2 Sentinels can be used. The first to fail: ' +
          'Cannot connect to Sentinel at 127.0.0.1:PORT: connection refused (is Redis running?).',
        'Check --redis-url or TOKENGATE_REDIS_URL.',
      ],
    ],
    [
      'a URL that is not one of Sentinels',
      () => `redis://${first()}/3`,
      () => [
        `Error: ${first()} is a Redis Sentinel.`,
        `For the primary that it watches, write redis+sentinel://${first()}/mymaster.`,
      ],
    ],
  ])('explain %s', async (_, url, lines) => {
    const {code, stdout, stderr} = await runBinary(['get-budget', 'a'], {url: url()});
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    const expected = `${lines().join('\n')}\n`;
    expect(expected.includes('PORT') ? stderr.replace(/(?<=Sentinel at 127\.0\.0\.1:)\d+/, 'PORT') : stderr).toBe(
      expected,
    );
  });

  test('that still name a server which has become a replica are not followed there', async () => {
    const other = await startRedis({tcp: true, args: ['--replicaof', '127.0.0.1', portOf(watched.primary)]});
    const stale = await startServer((socket) => {
      const words = ['mode', 'sentinel', 'role', 'sentinel'];
      const bulk = (list: string[]): string =>
        `*${list.length}\r\n${list.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
      socket.on('data', (data) => {
        for (const [command] of data.toString().matchAll(/HELLO|GET-MASTER/g)) {
          socket.write(bulk(command === 'HELLO' ? words : ['127.0.0.1', portOf(other)]));
        }
      });
    });
    try {
      const host = new URL(stale.url).host;
      expect(await runBinary(['get-budget', 'a'], {url: urlOf([host])})).toEqual({
        code: 1,
        stdout: '',
        stderr:
          `Error: Redis at 127.0.0.1:${portOf(other)} is a replica, but the primary was expected.\n` +
          "The Sentinels name it as the primary 'mymaster'. In a failover, try again shortly.\n",
      });
      expect((await runBinary(['health'], {url: urlOf([host, first()])})).stdout).toMatch(`Address: ${primary}\n`);
    } finally {
      await Promise.all([stale.stop(), other.stop()]);
    }
  });
});

test('Sentinels and their primary may have passwords of their own', async () => {
  const args = ['--requirepass', 'of-redis-1', '--masterauth', 'of-redis-1'];
  const watched = await startSentinels({count: 1, password: 'of-sentinel-1', primaryPassword: 'of-redis-1', args});
  try {
    const {url} = watched;
    const withRedis = url.replace('//', '//:of-redis-1@');
    expect(await runBinary(['health'], {url: `${withRedis}?sentinel_password=of-sentinel-1`})).toMatchObject({code: 0});
    expect((await runBinary(['health'], {url: withRedis})).stderr).toBe(
      `Error: Sentinel at 127.0.0.1:${watched.ports[0]} requires a password.\n` +
        'Give it in the URL: ?sentinel_password=… (best in TOKENGATE_REDIS_URL or a --redis-url-file).\n',
    );
    const {stderr} = await runBinary(['health'], {url: `${url}?sentinel_password=of-sentinel-1`});
    expect(stderr).toContain(`Redis at 127.0.0.1:${portOf(watched.primary)} requires a password.`);
    const wrong = await runBinary(['health'], {
      url: `${withRedis}?sentinel_password=wrong-s3cret`,
      env: {DEBUG: '*', TOKENGATE_DEBUG: '1'},
    });
    expect(wrong.stderr).toContain('Sentinel at 127.0.0.1:');
    expect(wrong.stderr).not.toMatch(/wrong-s3cret|of-redis-1/);
  } finally {
    await watched.stop();
  }
});

test('a failover in the middle of a batch: the report is what the keys say, and the next run goes on', async () => {
  const watched = await startSentinels();
  try {
    const total = 20_000;
    const budgets = Array.from({length: total}, (_, index) => [`session:s-${index}:budget`, '20'] as const);
    await watched.primary.client.mSet(Object.fromEntries(budgets));
    await watched.primary.client.sendCommand(['WAIT', '1', '0']);

    const argv = ['reset-session', '--all', '--yes', '--format', 'ndjson', '--timeout', '30'];
    const batch = runBinary(argv, watched);
    // More than are under way at once: the command has been told of the first ones.
    await until(async () => (await watched.primary.client.dbSize()) < total - 2000);
    watched.primary.process.kill('SIGKILL');
    const {code, stdout, stderr} = await batch;
    const replica = await watched.failedOver();

    const outcomes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as {session_id: string; outcome: string; error?: {message: string}});
    expect(code).toBe(1);
    expect(outcomes.length).toBe(total);
    expect(stderr).toContain('Running it again finishes the work.');
    const left = new Set(await replica.sendCommand<string[]>(['KEYS', 'session:*']));
    for (const {session_id: id, outcome, error} of outcomes) {
      // What got no answer was looked at again, on the new primary.
      const isLeft = outcome === 'not_done' || (outcome === 'unknown' && error?.message.includes('Now: budget $20.00'));
      expect({id, outcome, error, isLeft}).toEqual({id, outcome, error, isLeft: left.has(`session:${id}:budget`)});
      if (outcome === 'unknown') expect(error?.message).toMatch(/Before: budget \$20\.00, spent none\. Now: budget /);
    }
    const counts = new Set(outcomes.map(({outcome}) => outcome));
    expect([...counts].sort()).toEqual(['not_done', 'reset', 'unknown']);

    expect(await runBinary(['reset-session', '--all', '--yes', '--quiet', '--timeout', '30'], watched)).toMatchObject({
      code: 0,
      stdout: `✓ Reset ${left.size.toLocaleString('en-US')}\n`,
    });
    expect(await replica.keys('session:*')).toEqual([]);
  } finally {
    await watched.stop();
  }
});
