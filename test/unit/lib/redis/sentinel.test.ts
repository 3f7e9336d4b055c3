import type {ChildProcess} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';

import {connect} from '../../../../src/lib/redis/connect.js';
import {openPrimary} from '../../../../src/lib/redis/sentinel.js';
import type {Endpoint} from '../../../../src/lib/redis/url.js';
import type {TokengateError} from '../../../../src/lib/values/errors.js';
import {
  type AnsweringServer,
  type Answers,
  EMPTY_REDIS,
  startAnswering,
} from '../../../support/impostors/resp-server.js';
import {closing, silent, startServer} from '../../../support/impostors/servers.js';
import {freePort} from '../../../support/ports.js';
import {portOf, startRedis, type TestRedis} from '../../../support/redis/redis-server.js';
import {startSentinel} from '../../../support/redis/sentinels.js';

const SOON = 300;

let primary: TestRedis;
let replica: TestRedis;
let folder: string;
/** Watches `main` (the primary), `stale` (a replica by now) and `gone` (nothing). */
let sentinel: Endpoint;
/** Watches nothing. */
let idle: Endpoint;
/** Has no Redis behind it. */
let nobody: Endpoint;
const processes: ChildProcess[] = [];
beforeAll(async () => {
  primary = await startRedis({tcp: true});
  replica = await startRedis({tcp: true, args: ['--replicaof', '127.0.0.1', portOf(primary)]});
  folder = await mkdtemp(join(tmpdir(), 'tokengate-sentinel-'));
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const [watching, idling, gone] = ports;
  const monitor = (name: string, port: number | string): string => `sentinel monitor ${name} 127.0.0.1 ${port} 9`;
  processes.push(
    await startSentinel(folder, watching, [
      monitor('main', portOf(primary)),
      monitor('stale', portOf(replica)),
      monitor('gone', gone),
    ]),
    await startSentinel(folder, idling, ['requirepass secret']),
  );
  sentinel = {host: '127.0.0.1', port: watching};
  idle = {host: '127.0.0.1', port: idling};
  nobody = {host: '127.0.0.1', port: gone};
});
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(async () => {
  for (const one of processes) one.kill('SIGKILL');
  await Promise.all([replica.stop(), primary.stop()]);
  await rm(folder, {recursive: true, force: true});
});

interface Asked {
  isPatient?: boolean;
  signal?: AbortSignal;
  timeoutMs?: number;
  password?: string;
}

/** The address of the primary that is opened, or why none is. */
async function ask(name: string, sentinels: Endpoint[], asked: Asked = {}): Promise<string> {
  const {isPatient = false, signal, timeoutMs = 5000, password} = asked;
  const nobodysCredentials = {username: undefined, password: undefined};
  try {
    const node = await openPrimary(
      {sentinels, name, isPatient, sentinelCredentials: {username: undefined, password}},
      {credentials: nobodysCredentials, database: 0, tls: undefined, timeoutMs, signal},
    );
    node.close();
    return node.address;
  } catch (error) {
    const {code, message, hint} = error as TokengateError;
    return `${code} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
  }
}
const at = (endpoint: Endpoint): string => `127.0.0.1:${(endpoint as {port: number}).port}`;
const atReplica = (): string => `127.0.0.1:${portOf(replica)}`;

async function serving(onConnection: Parameters<typeof startServer>[0]): Promise<{host: string; port: number}> {
  const server = await startServer(onConnection);
  ends.push(() => server.stop());
  return {host: '127.0.0.1', port: Number(new URL(server.url).port)};
}
const mute = (): Promise<Endpoint> => serving(silent);

async function answering(answers: Answers = {}): Promise<AnsweringServer & {host: string}> {
  const server = await startAnswering({...EMPTY_REDIS, ...answers});
  ends.push(() => server.stop());
  return {host: '127.0.0.1', ...server};
}
/** A Sentinel that names the server as the primary, whatever it is asked for. */
const naming = (named: () => {port: number}): ReturnType<typeof answering> =>
  answering({HELLO: ['mode', 'sentinel'], SENTINEL: () => ['127.0.0.1', String(named().port)]});
const REPLICA: Answers = {HELLO: ['mode', 'standalone', 'role', 'replica']};

describe('the primary', () => {
  test('is the one that a Sentinel names, whichever of them answers', async () => {
    const address = `127.0.0.1:${portOf(primary)}`;
    expect(await ask('main', [sentinel])).toBe(address);
    expect(await ask('main', [nobody, await mute(), idle, sentinel], {timeoutMs: 5000})).toBe(address);
  });

  test('is none that is a replica by now', async () => {
    expect(await ask('stale', [sentinel, sentinel])).toBe(
      `REDIS_READONLY Redis at ${atReplica()} is a replica, but the primary was expected. | The Sentinels name it as the primary 'stale'. In a failover, try again shortly.`,
    );
  });

  test('is none that is gone', async () => {
    expect(await ask('gone', [nobody, sentinel])).toBe(
      `REDIS_UNREACHABLE Cannot connect to Redis at ${at(nobody)}: connection refused (is Redis running?). | The Sentinels name it as the primary 'gone'. In a failover, try again shortly.`,
    );
  });

  test('is none that they do not know', async () => {
    expect(await ask('other', [nobody, sentinel])).toMatch(
      new RegExp(
        `^UNKNOWN_PRIMARY Sentinel at ${at(sentinel)} knows no primary 'other'\\. \\| It watches: (?=.*main)(?=.*stale)(?=.*gone)\\w+, \\w+, \\w+\\.$`,
      ),
    );
    expect(await ask('other', [idle], {password: 'secret'})).toBe(
      `UNKNOWN_PRIMARY Sentinel at ${at(idle)} knows no primary 'other'. | It watches none.`,
    );
  });
});

describe('Sentinels', () => {
  test('that want a password say so', async () => {
    expect(await ask('main', [idle])).toMatch(
      new RegExp(
        `^REDIS_AUTH_FAILED Sentinel at ${at(idle)} requires a password\\. \\| Give it in the URL: \\?sentinel_`,
      ),
    );
  });

  test('that are none are told from those that are', async () => {
    const redis = {host: '127.0.0.1', port: Number(portOf(primary))};
    expect(await ask('main', [redis])).toBe(
      `NOT_A_SENTINEL The server at ${at(redis)} is not a Sentinel. | A redis+sentinel URL names the Sentinels, which mostly listen on port 26379.`,
    );
  });

  test('of which none can be used are told with the first to fail', async () => {
    expect(await ask('main', [nobody])).toBe(
      `REDIS_UNREACHABLE Cannot connect to Sentinel at ${at(nobody)}: connection refused (is Redis running?). | Check --redis-url or TOKENGATE_REDIS_URL.`,
    );
    expect(await ask('main', [nobody, await mute()], {timeoutMs: SOON})).toBe(
      `REDIS_UNREACHABLE None of the 2 Sentinels can be used. The first to fail: Cannot connect to Sentinel at ${at(nobody)}: connection refused (is Redis running?). | Check --redis-url or TOKENGATE_REDIS_URL.`,
    );
  });

  test('that are silent are waited for no longer than the time', async () => {
    expect(await ask('main', [await mute()], {timeoutMs: SOON})).toMatch(/^REDIS_TIMEOUT .* within 0\.3 s\./);
  });

  test('are asked no more when it is interrupted', async () => {
    const stop = new AbortController();
    const server = await startServer(silent);
    ends.push(() => server.stop());
    const asking = ask('main', [nobody, {host: '127.0.0.1', port: Number(new URL(server.url).port)}], {
      signal: stop.signal,
      isPatient: true,
    });
    await server.connected;
    stop.abort();
    expect(await asking).toBe('INTERRUPTED Interrupted.');
  });
});

describe('what Sentinels say', () => {
  test('is believed of the first, and the others are let go', async () => {
    const named = await answering();
    const [known, slow] = [await naming(() => named), await answering({HELLO: ['mode', 'sentinel']})];
    expect(await ask('main', [slow, known])).toBe(at(named));
    await expect.poll(() => [known.open(), slow.open(), named.open()]).toEqual([0, 0, 0]);
  });

  test('is tried once, however many of them say it', async () => {
    const replicas = await answering(REPLICA);
    const sentinels = await Promise.all([1, 2, 3].map(() => naming(() => replicas)));
    expect(await ask('main', sentinels)).toMatch(/^REDIS_READONLY /);
    expect(replicas.commands).toEqual(['HELLO 2']);
    await expect.poll(replicas.open).toBe(0);
  });

  test.each([
    ['is silent', silent, 'REDIS_TIMEOUT', 4 * SOON],
    ['closes the connection', closing, 'REDIS_CONNECTION_LOST', 60_000],
  ])('may be a primary that %s: a failover is likely', async (_, onConnection, code, timeoutMs) => {
    const gone = await serving(onConnection);
    const told = await ask('main', [await naming(() => gone)], {timeoutMs});
    expect(told).toMatch(new RegExp(`^${code} .*In a failover, try again shortly\\.$`));
  });

  test('may be a primary that refuses: no failover mends that', async () => {
    const closed = await answering({HELLO: new Error('NOAUTH Authentication required.')});
    expect(await ask('main', [await naming(() => closed)])).toMatch(/^REDIS_AUTH_FAILED (?!.*failover)/);
  });

  test('may be an error, or nothing', async () => {
    const [refusing, unanswered, idling] = [
      await answering({HELLO: ['mode', 'sentinel'], SENTINEL: new Error('NOPERM no permissions to run the command')}),
      await answering({HELLO: ['mode', 'sentinel']}),
      await answering({
        HELLO: ['mode', 'sentinel'],
        SENTINEL: ([, word]) => (word === 'MASTERS' ? new Error('NOPERM no permissions to run the command') : null),
      }),
    ];
    expect(await ask('main', [refusing])).toMatch(/^REDIS_NO_PERMISSION Sentinel at /);
    expect(await ask('main', [unanswered], {timeoutMs: SOON})).toMatch(/^REDIS_TIMEOUT Sentinel at /);
    expect(await ask('main', [idling])).toMatch(/^UNKNOWN_PRIMARY .* \| It watches none\.$/);
    await expect.poll(() => [refusing.open(), unanswered.open(), idling.open()]).toEqual([0, 0, 0]);
  });
});

describe('whoever is patient', () => {
  test('asks again until a primary is named', async () => {
    const [replicas, named] = [await answering(REPLICA), await answering()];
    let rounds = 0;
    const known = await naming(() => (rounds++ < 2 ? replicas : named));
    expect(await ask('main', [known])).toMatch(/^REDIS_READONLY /);
    expect(rounds).toBe(1);
    expect(await ask('main', [known], {isPatient: true})).toBe(at(named));
    expect(rounds).toBe(3);
  });

  test('stops when it is interrupted', async () => {
    const stop = new AbortController();
    const replicas = await answering(REPLICA);
    let rounds = 0;
    const known = await naming(() => {
      if (++rounds === 2) stop.abort();
      return replicas;
    });
    const asking = ask('main', [known], {isPatient: true, signal: stop.signal, timeoutMs: 60_000});
    expect(await asking).toBe('INTERRUPTED Interrupted.');
    expect(rounds).toBe(2);
  });
});

test('after a failover it is asked until the new primary is there, or the time is over', async () => {
  expect(await ask('stale', [sentinel], {isPatient: true, timeoutMs: 1500})).toMatch(/^REDIS_READONLY /);
  const asking = ask('stale', [sentinel], {isPatient: true, timeoutMs: 60_000});
  await replica.client.sendCommand(['REPLICAOF', 'NO', 'ONE']);
  ends.push(() => replica.client.sendCommand(['REPLICAOF', '127.0.0.1', portOf(primary)]));
  expect(await asking).toBe(atReplica());
});

test('a URL that names a Sentinel as if it were a Redis is told how to name it', async () => {
  await expect(connect({url: `redis://${at(sentinel)}`})).rejects.toMatchObject({
    code: 'REDIS_SENTINEL',
    message: `${at(sentinel)} is a Redis Sentinel.`,
    hint: expect.stringMatching(
      new RegExp(`^For the primary that it watches, write redis\\+sentinel://${at(sentinel)}/\\w+\\.$`),
    ),
  });
});
