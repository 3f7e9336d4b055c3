import {readFileSync} from 'node:fs';
import {setTimeout} from 'node:timers/promises';
import type {TlsOptions} from 'node:tls';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {connect, type ConnectOptions, refuseReplica} from '../../../../src/lib/redis/connect.js';
import {ErrorReply, NoReply, type Redis} from '../../../../src/lib/redis/contract.js';
import type {TokengateError} from '../../../../src/lib/values/errors.js';
import {makeCertificates} from '../../../support/certificates.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import {
  type Answer,
  type AnsweringServer,
  type Answers,
  EMPTY_REDIS,
  startAnswering,
} from '../../../support/impostors/resp-server.js';
import {
  closing,
  echoing,
  type FakeServer,
  greeting,
  resetting,
  silent,
  startServer,
} from '../../../support/impostors/servers.js';
import {freePort} from '../../../support/ports.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';

const SOON = 300;

let server: TestRedis;
/** Knows no HELLO. */
let old: TestRedis;
let replica: TestRedis;
let redis: Redis;
beforeAll(async () => {
  [server, old] = await Promise.all([
    startRedis({tcp: true}),
    startRedis({tcp: true, args: ['--rename-command', 'HELLO', '', '--databases', '4']}),
  ]);
  replica = await startRedis({args: ['--replicaof', '127.0.0.1', new URL(server.url).port]});
});
beforeEach(async () => {
  await server.client.flushDb();
  // Not once for all tests: where connecting does not work, they are to fail, not to be left out.
  redis = await open(server.url);
});
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(async () => {
  await Promise.all([replica, old, server].map((one) => one.stop()));
});

async function open(url: string, options: Partial<ConnectOptions> = {}): Promise<Redis> {
  const opened = await connect({url, ...options});
  ends.push(() => {
    opened.close();
  });
  return opened;
}

async function fake(onConnection: Parameters<typeof startServer>[0]): Promise<FakeServer> {
  const started = await startServer(onConnection);
  ends.push(() => started.stop());
  return started;
}

async function answering(answers: Answers, tls?: TlsOptions): Promise<AnsweringServer> {
  const started = await startAnswering({...EMPTY_REDIS, ...answers}, tls);
  ends.push(() => started.stop());
  return started;
}

const as = ({url}: TestRedis, credentials: string): string => url.replace('://', `://${credentials}@`);
const addressOf = ({url}: TestRedis): string => url.replace(/^[a-z]+:\/\//, '');

describe('a server', () => {
  test('says what it is', () => {
    expect(redis.server).toEqual({
      address: addressOf(server),
      database: 0,
      role: 'primary',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      primary: undefined,
    });
    expect(redis.cluster).toBeUndefined();
    refuseReplica(redis);
  });

  test('that knows no HELLO says the same by INFO', async () => {
    const {server: info} = await open(`${old.url}/3`);
    expect(info).toEqual({...redis.server, address: addressOf(old), database: 3});
  });

  test('that is a replica names its primary, and takes no writes', async () => {
    const opened = await open(replica.url);
    expect(opened.server).toMatchObject({role: 'replica', primary: addressOf(server)});
    expect(() => {
      refuseReplica(opened);
    }).toThrow(
      expect.objectContaining({
        code: 'REDIS_READONLY',
        message: `Redis at ${addressOf(replica)} is a read-only replica.`,
        hint: `Use the primary's address: ${addressOf(server)}.`,
      }),
    );
  });

  test('that is a replica need not name its primary', async () => {
    await replica.client.aclSetUser('few', ['reset', 'on', '>pw', '~*', '+@all', '-role']);
    const opened = await open(as(replica, 'few:pw'));
    expect(opened.server).toMatchObject({role: 'replica', primary: undefined});
    expect(() => {
      refuseReplica(opened);
    }).toThrow(expect.objectContaining({hint: "Use the primary's address."}));
  });

  test('that may not be asked what it is is used all the same', async () => {
    await old.client.aclSetUser('few', ['reset', 'on', '>pw', '~*', '+@all', '-info']);
    const opened = await open(as(old, 'few:pw'));
    expect(opened.server).toMatchObject({role: 'unknown', version: undefined});
    expect(await opened.send(['PING'])).toBe('PONG');
  });

  test('lets in a user into a database', async () => {
    await server.client.aclSetUser('ops', ['reset', 'on', '>pw', '~*', '+@all']);
    const opened = await open(`${as(server, 'ops:pw')}/5`);
    await opened.send(['SET', 'k', 'v']);
    expect(await opened.send(['ACL', 'WHOAMI'])).toBe('ops');
    expect(await server.client.exists('k')).toBe(0);
    await opened.send(['DEL', 'k']);
  });
});

describe('a replica', () => {
  const REPLICA: Answers = {HELLO: ['mode', 'standalone', 'role', 'replica']};

  test.each<[string, Answer]>([
    ['is one no more', ['master', 0, []]],
    ['may not say so', new Error('NOPERM this user has no permissions')],
    ['is asked in vain', null],
  ])('that %s names no primary', async (_, ROLE) => {
    const opened = await open((await answering({...REPLICA, ROLE})).url);
    expect(opened.server).toMatchObject({role: 'replica', primary: undefined});
  });

  test('names its primary as an address', async () => {
    const opened = await open((await answering({...REPLICA, ROLE: ['slave', '::1', 6380, 'connected', 1]})).url);
    expect(opened.server.primary).toBe('[::1]:6380');
  });

  test('that does not answer when it is asked fails, and is left', async () => {
    const {url, ...asked} = await answering({...REPLICA, ROLE: undefined});
    await expect(connect({url, timeoutMs: SOON})).rejects.toMatchObject({code: 'REDIS_TIMEOUT'});
    await expect.poll(asked.open).toBe(0);
  });
});

test('a primary is asked nothing more than what it is', async () => {
  const asked = await answering({});
  const opened = await open(asked.url);
  expect(asked.commands).toEqual(['HELLO 2']);
  expect(opened.server).toMatchObject({role: 'primary', version: '7.0.0', primary: undefined});
});

describe('a cluster', () => {
  const startNode = async (answers: Answers = {}): Promise<AnsweringServer> => {
    const node: AnsweringServer = await answering({
      HELLO: ['mode', 'cluster', 'role', 'master'],
      CLUSTER: () => [[0, 16_383, ['127.0.0.1', node.port, 'id']]],
      ...answers,
    });
    return node;
  };

  test('is used through any of its nodes', async () => {
    const node = await startNode({GET: 'v'});
    const opened = await open(node.url);
    expect(opened.cluster).toMatchObject({primaries: 1, replicas: 0});
    expect(opened.server.role).toBe('cluster');
    expect(await opened.send(['GET', 'k'])).toBe('v');
    expect(node.commands).toEqual(['HELLO 2', 'CLUSTER SLOTS', 'GET k']);
  });

  test('has the time and the signal of the connection', async () => {
    const slow = await open((await startNode()).url, {timeoutMs: 3 * SOON});
    await expect(slow.send(['GET', 'k'])).rejects.toMatchObject({code: 'REDIS_TIMEOUT'});
    const stop = new AbortController();
    const other = await startNode();
    const node = await startNode({CLUSTER: () => [[0, 16_383, ['127.0.0.1', other.port, 'id']]], GET: undefined});
    const opened = await open(node.url, {signal: stop.signal});
    const waiting = opened.send(['GET', 'k']);
    await expect.poll(() => other.commands).toContain('GET k');
    stop.abort();
    await expect(waiting).rejects.toMatchObject({code: 'INTERRUPTED'});
  });

  test('that cannot be used is left', async () => {
    const node = await startNode();
    await expect(connect({url: `${node.url}/1`})).rejects.toMatchObject({code: 'INVALID_REDIS_URL'});
    await expect.poll(node.open).toBe(0);
  });
});

describe('a Sentinel', () => {
  const SENTINEL: Answers = {HELLO: ['mode', 'sentinel', 'role', 'master']};
  const hinted = (url: string, options: Partial<ConnectOptions> = {}): Promise<string> =>
    connect({url, ...options}).then(
      () => 'connected',
      (error: unknown) => {
        const {code, message, hint} = error as TokengateError;
        return `${code} ${message} ${hint}`.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS');
      },
    );

  test('is none to ask for sessions, but names what to ask', async () => {
    const masters = [
      ['name', 'main', 'ip', '10.0.0.1'],
      ['name', 'other'],
    ];
    const watching = await answering({...SENTINEL, SENTINEL: masters});
    expect(await hinted(watching.url)).toBe(
      'REDIS_SENTINEL ADDRESS is a Redis Sentinel. For the primary that it watches, write redis+sentinel://ADDRESS/main.',
    );
    expect(watching.commands).toEqual(['HELLO 2', 'SENTINEL MASTERS']);
    await expect.poll(watching.open).toBe(0);
    const idle = await answering({...SENTINEL, SENTINEL: []});
    expect(await hinted(idle.url)).toContain('write redis+sentinel://ADDRESS/NAME.');
    const made = makeCertificates();
    ends.push(() => made.remove());
    const files = {cert: readFileSync(made.server.cert), key: readFileSync(made.server.key)};
    const secure = await answering({...SENTINEL, SENTINEL: masters}, files);
    expect(await hinted(secure.url.replace('redis', 'rediss'), {tls: {caFile: made.ca}})).toContain(
      'write rediss+sentinel://ADDRESS/main.',
    );
  });

  test('names the primary, which is asked as the user and for the database of the URL', async () => {
    const primary = await answering({SET: 'OK'});
    const names = ['127.0.0.1', String(primary.port)];
    const sentinel = await answering({...SENTINEL, SENTINEL: names});
    const {host} = new URL(sentinel.url);
    const opened = await open(`redis+sentinel://ops:pw@${host}/main/3?sentinel_password=other`);
    expect(opened.server).toMatchObject({address: names.join(':'), role: 'primary', database: 3});
    expect(sentinel.commands).toEqual(['AUTH other', 'HELLO 2', 'SENTINEL GET-MASTER-ADDR-BY-NAME main']);
    expect(primary.commands).toEqual(['AUTH ops pw', 'HELLO 2', 'SELECT 3']);
  });

  test('is asked again in a second look, since another primary may be about to be chosen', async () => {
    const primary = await answering({});
    const replica = await answering({HELLO: ['mode', 'standalone', 'role', 'replica']});
    let named = primary;
    const sentinel = await answering({
      ...SENTINEL,
      SENTINEL() {
        const {port} = named;
        if (named === replica) named = primary;
        return ['127.0.0.1', String(port)];
      },
    });
    const url = sentinel.url.replace('redis', 'redis+sentinel') + '/main';
    const opened = await open(url);
    named = replica;
    await expect(connect({url})).rejects.toMatchObject({code: 'REDIS_READONLY'});
    named = replica;
    const look = await opened.reopen();
    expect(look.server.address).toBe(`127.0.0.1:${primary.port}`);
    look.close();
  });
});

describe('a connection fails', () => {
  const told = async (url: string, options: Partial<ConnectOptions> = {}): Promise<unknown> => {
    try {
      await open(url, options);
      return 'connected';
    } catch (error) {
      const {code, message, hint} = error as TokengateError;
      const line = `${code} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
      return line.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS');
    }
  };

  test('for what Redis refuses', async () => {
    expect([
      await told(as(server, 'nobody:secret')),
      await told(`${server.url}/99`),
      await told(`${old.url}/4`),
      await told(as(old, ':secret')),
    ]).toMatchInlineSnapshot(`
      [
        "REDIS_AUTH_FAILED Redis at ADDRESS rejected the user name or password. | In a URL, percent-encode / ? # @ % in either.",
        "INVALID_REDIS_URL Redis at ADDRESS has no such database. | See /N or ?db=N in the URL; most servers have 0 to 15.",
        "INVALID_REDIS_URL Redis at ADDRESS has no such database. | See /N or ?db=N in the URL; most servers have 0 to 15.",
        "REDIS_AUTH_FAILED Redis at ADDRESS has no password set, but one was given. | Is it the right server? Then leave the password out of the URL.",
      ]
    `);
    await server.client.configSet('requirepass', 'secret');
    const needing = await told(server.url);
    const given = await told(as(server, ':secret'));
    await server.client.configSet('requirepass', '');
    expect([needing, given]).toMatchInlineSnapshot(`
      [
        "REDIS_AUTH_FAILED Redis at ADDRESS requires a password. | Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL or a --redis-url-file).",
        "connected",
      ]
    `);
  });

  test('for what is no Redis', async () => {
    const failures = [];
    for (const kind of [greeting('SSH-2.0-OpenSSH_9.6\r\n'), closing, resetting, silent, echoing]) {
      const server = as((await fake(kind)) as unknown as TestRedis, 'ops:hunter2');
      failures.push(await told(server, {timeoutMs: kind === silent ? SOON : 60_000}));
    }
    expect(failures).toMatchInlineSnapshot(`
      [
        "REDIS_PROTOCOL The server at ADDRESS does not speak the Redis protocol. | Check --redis-url or TOKENGATE_REDIS_URL.",
        "REDIS_CONNECTION_LOST The server at ADDRESS closed the connection at once. | Does it expect TLS? Then use rediss://.",
        "REDIS_CONNECTION_LOST The server at ADDRESS closed the connection at once. | Does it expect TLS? Then use rediss://.",
        "REDIS_TIMEOUT Redis at ADDRESS did not answer within 0.3 s. | The server may be overloaded, stopped, or behind a firewall.",
        "REDIS_ERROR Redis at ADDRESS answered with an error: ERR unknown command.",
      ]
    `);
  });

  test('for what does not listen', async () => {
    const port = await freePort();
    expect([await told(`redis://127.0.0.1:${port}`), await told('unix:///nowhere/redis.sock')]).toMatchInlineSnapshot(`
      [
        "REDIS_UNREACHABLE Cannot connect to Redis at ADDRESS: connection refused (is Redis running?). | Check --redis-url or TOKENGATE_REDIS_URL.",
        "REDIS_UNREACHABLE Cannot connect to Redis at /nowhere/redis.sock: no such socket file. | Check --redis-url or TOKENGATE_REDIS_URL.",
      ]
    `);
  });

  test('for what ends it: before it begins, or while it waits', async () => {
    const interrupted = 'INTERRUPTED Interrupted.';
    expect(await told(server.url, {signal: AbortSignal.abort()})).toBe(interrupted);
    const stop = new AbortController();
    const {url, connected} = await fake(silent);
    const waiting = told(url, {signal: stop.signal});
    await connected;
    stop.abort();
    expect(await waiting).toBe(interrupted);
  });
});

describe('commands', () => {
  test('in one flight have their answers in their places, errors too', async () => {
    await server.client.lPush('list', 'a');
    const replies = await redis.pipeline([
      ['SET', 'k', 'ü'],
      ['GET', 'k'],
      ['GET', 'list'],
      ['GET', 'none'],
    ]);
    expect(replies).toEqual(['OK', 'ü', expect.any(ErrorReply), null]);
    expect(redis.explain(replies[2] as ErrorReply)).toMatchObject({code: 'WRONG_TYPE'});
    expect(await redis.pipelineBytes([['GET', 'k']])).toEqual([Buffer.from('ü')]);
    expect(await redis.pipeline([])).toEqual([]);
  });

  test('alone give their answer, or throw', async () => {
    expect(await redis.send(['SET', Buffer.from([0xff]), 'v'])).toBe('OK');
    expect(await redis.send(['GET', Buffer.from([0xff])])).toBe('v');
    await expect(redis.send(['GET', 'a', 'b'])).rejects.toMatchObject({code: 'REDIS_ERROR'});
  });

  test('in units are done each as a whole', async () => {
    await server.client.lPush('list', 'a');
    const units = await redis.units([
      [['SET', 'k', '1']],
      [
        ['GET', 'k'],
        ['INCR', 'k'],
        ['GET', 'list'],
      ],
      [['GET', 'list']],
      [['GET', 'k'], ['NOSUCH'], ['INCR', 'k']],
      [
        ['GET', 'k'],
        ['GET', 'k'],
      ],
    ]);
    expect(units).toEqual([
      ['OK'],
      ['1', 2, expect.any(ErrorReply)],
      expect.any(ErrorReply),
      expect.any(ErrorReply),
      ['2', '2'],
    ]);
    expect((units[3] as ErrorReply).message).toMatch(/unknown command/i);
    expect(await redis.units([])).toEqual([]);
  });

  test('that get no answer are told from those that are refused', async () => {
    const proxy = await startProxy(server, (request) => (request.includes('INCR') ? 'lose-reply' : 'pass'));
    ends.push(() => proxy.stop());
    const broken = await open(proxy.url);
    const units = await broken.units([
      [['INCR', 'k']],
      [
        ['INCR', 'k'],
        ['INCR', 'k'],
      ],
    ]);
    for (const unit of units) {
      expect(unit).toBeInstanceOf(NoReply);
      expect(unit).toMatchObject({isSent: true, error: {code: 'REDIS_CONNECTION_LOST'}});
    }
    await expect(broken.pipeline([['GET', 'k']])).rejects.toMatchObject({code: 'REDIS_CONNECTION_LOST'});
    await expect(broken.send(['GET', 'k'])).rejects.toMatchObject({code: 'REDIS_CONNECTION_LOST'});
    const fresh = await broken.reopen();
    expect(await fresh.send(['GET', 'k'])).toBe('3');
    fresh.close();
  });

  test('are waited for no longer than the time', async () => {
    const proxy = await startProxy(server, (request) => (request.includes('GET') ? 'swallow' : 'pass'));
    ends.push(() => proxy.stop());
    const slow = await open(proxy.url, {timeoutMs: 1000});
    await expect(slow.send(['GET', 'k'])).rejects.toMatchObject({
      code: 'REDIS_TIMEOUT',
      message: `Redis at ${proxy.url.slice('redis://'.length)} did not answer within 1 s.`,
    });
    // A look at what became of it has that time for all that it does.
    const look = await slow.reopen();
    const pings = async (): Promise<never> => {
      for (;;) {
        await look.send(['PING']);
        await setTimeout(20);
      }
    };
    await expect(pings()).rejects.toMatchObject({code: 'REDIS_TIMEOUT'});
    look.close();
  });

  test('that are interrupted end, and a second look does not', async () => {
    const stop = new AbortController();
    const proxy = await startProxy(server, (request) => (request.includes('GET') ? 'swallow' : 'pass'));
    ends.push(() => proxy.stop());
    const slow = await open(proxy.url, {signal: stop.signal});
    const waiting = slow.send(['GET', 'k']);
    void proxy.struck.then(() => {
      stop.abort();
    });
    await expect(waiting).rejects.toMatchObject({code: 'INTERRUPTED'});
    const look = await slow.reopen();
    expect(await look.send(['PING'])).toBe('PONG');
    look.close();
  });

  test('can be sent no more once it is closed, which may be said twice', async () => {
    const closed = await open(server.url);
    closed.close();
    closed.close();
    await expect(closed.send(['PING'])).rejects.toMatchObject({code: 'REDIS_CONNECTION_LOST'});
  });
});
