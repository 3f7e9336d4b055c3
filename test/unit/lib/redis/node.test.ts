import {getEventListeners} from 'node:events';
import {readFileSync} from 'node:fs';
import type {Socket} from 'node:net';
import type {TlsOptions} from 'node:tls';

import {afterAll, afterEach, beforeAll, describe, expect, test, vi} from 'vitest';
import {ErrorReply, NoReply} from '../../../../src/lib/redis/contract.js';

import {type NodeOptions, openNode, type RedisNode} from '../../../../src/lib/redis/node.js';
import type {TokengateError} from '../../../../src/lib/values/errors.js';
import {type Certificates, makeCertificates} from '../../../support/certificates.js';
import {
  type Answer,
  type AnsweringServer,
  type Answers,
  EMPTY_REDIS,
  startAnswering,
} from '../../../support/impostors/resp-server.js';
import {closing, silent, startServer} from '../../../support/impostors/servers.js';

const NOBODY = {username: undefined, password: undefined};
/** Milliseconds; longer than a test may take. */
const FOREVER = 10 * 60_000;
const SOON = 400;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const end of ends.splice(0)) await end();
});

async function answering(answers: Answers = {}): Promise<AnsweringServer> {
  const server = await startAnswering({...EMPTY_REDIS, ...answers});
  ends.push(() => server.stop());
  return server;
}
async function serving(onConnection: (socket: Socket) => void, tls?: TlsOptions): Promise<{port: number}> {
  const server = await startServer(onConnection, tls);
  ends.push(() => server.stop());
  return {port: Number(new URL(server.url).port)};
}
async function open({port}: {port: number}, options: Partial<NodeOptions> = {}): Promise<RedisNode> {
  const endpoint = {host: '127.0.0.1', port};
  const base = {kind: 'Redis', endpoint, credentials: NOBODY, database: 0, tls: undefined, timeoutMs: FOREVER} as const;
  const node = await openNode({...base, ...options});
  ends.push(node.close);
  return node;
}
/** Why it is not opened: `CODE MESSAGE`. */
async function refusal(server: {port: number}, options: Partial<NodeOptions> = {}): Promise<string> {
  try {
    await open(server, options);
    return 'opened';
  } catch (error) {
    const {code, message} = error as TokengateError;
    return `${code} ${message.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')}`;
  }
}
const unknown = new Error("ERR unknown command 'HELLO'");

describe('a server says what it is', () => {
  test.each<[Answer[], RedisNode['facts']]>([
    [
      ['server', 'redis', 'version', '7.2.4', 'mode', 'standalone', 'role', 'master'],
      {mode: 'standalone', role: 'primary', version: '7.2.4'},
    ],
    [['mode', 'cluster', 'role', 'replica'], {mode: 'cluster', role: 'replica', version: undefined}],
    [['mode', 'sentinel', 'version'], {mode: 'sentinel', role: 'unknown', version: undefined}],
    [[], {mode: 'unknown', role: 'unknown', version: undefined}],
  ])('by %j', async (hello, facts) => {
    const server = await answering({HELLO: hello});
    const node = await open(server);
    expect(node.facts).toEqual(facts);
    expect(node.address).toBe(`127.0.0.1:${server.port}`);
    expect(server.commands).toEqual(['HELLO 2']);
  });

  test.each<[Answer, RedisNode['facts']]>([
    [
      '# Server\r\nredis_version:5.0.7\r\nredis_mode:cluster\r\n\r\n# Replication\r\nrole:slave\r\nmaster_host:a:b\r\n',
      {mode: 'cluster', role: 'replica', version: '5.0.7'},
    ],
    ['redis_mode:standalone\r\nrole:master\r\n', {mode: 'standalone', role: 'primary', version: undefined}],
    [new Error('NOPERM this user has no permissions'), {mode: 'unknown', role: 'unknown', version: undefined}],
    [null, {mode: 'unknown', role: 'unknown', version: undefined}],
  ])('by INFO where it knows no HELLO: %j', async (info, facts) => {
    const server = await answering({HELLO: unknown, INFO: info});
    expect((await open(server)).facts).toEqual(facts);
    expect(server.commands).toEqual(['HELLO 2', 'INFO']);
  });

  test('or is not used', async () => {
    expect(await refusal(await answering({HELLO: new Error('LOADING Redis is loading')}))).toBe(
      'REDIS_LOADING Redis at ADDRESS is still loading its data.',
    );
    expect(await refusal(await answering({HELLO: unknown, INFO: undefined}), {timeoutMs: SOON})).toBe(
      'REDIS_TIMEOUT Redis at ADDRESS did not answer within 0.4 s.',
    );
  });
});

describe('it is let in', () => {
  test.each([
    [{...NOBODY, password: 'pw'}, 0, ['AUTH pw', 'HELLO 2']],
    [{username: 'ops', password: 'pw'}, 3, ['AUTH ops pw', 'HELLO 2', 'SELECT 3']],
    [{username: 'ops', password: undefined}, 1, ['HELLO 2', 'SELECT 1']],
  ])('as %j to database %i', async (credentials, database, commands) => {
    const server = await answering();
    await open(server, {credentials, database});
    expect(server.commands).toEqual(commands);
  });

  test('or told why not, and gone', async () => {
    const credentials = {...NOBODY, password: 'hunter2'};
    const answers = [
      {AUTH: new Error('ERR hunter2 is not known'), HELLO: new Error('NOAUTH Authentication required.')},
      {SELECT: new Error('ERR DB index is out of range')},
      {HELLO: unknown, INFO: '', SELECT: new Error('ERR DB index is out of range')},
    ];
    const refusals = [];
    for (const answer of answers) {
      const server = await answering(answer);
      refusals.push(await refusal(server, {credentials, database: 3}));
      await expect.poll(server.open).toBe(0);
    }
    expect(refusals).toEqual([
      'REDIS_ERROR Redis at ADDRESS answered with an error: ERR *** is not known.',
      'INVALID_REDIS_URL Redis at ADDRESS has no such database.',
      'INVALID_REDIS_URL Redis at ADDRESS has no such database.',
    ]);
  });

  test.each(['cluster', 'sentinel'])('to a %s, which says more than that it has no databases', async (mode) => {
    const server = await answering({HELLO: ['mode', mode], SELECT: new Error('ERR SELECT is not allowed')});
    expect((await open(server, {database: 3})).facts.mode).toBe(mode);
  });

  test('or hears the only answer of a server that lets no one in', async () => {
    const full = await serving((socket) => {
      socket.once('data', () => socket.end('-ERR max number of clients reached\r\n'));
    });
    const reached = 'REDIS_UNREACHABLE Redis at ADDRESS has no free client connections.';
    expect(await refusal(full)).toBe(reached);
    expect(await refusal(full, {credentials: {...NOBODY, password: 'pw'}, database: 2})).toBe(reached);
    const half = await serving((socket) => {
      socket.once('data', () => socket.end('+OK\r\n'));
    });
    expect(await refusal(half, {credentials: {...NOBODY, password: 'pw'}})).toMatch(/^REDIS_CONNECTION_LOST /);
  });
});

describe('commands', () => {
  const BULK = {GET: 'ÿ', DEL: 1, FAIL: new Error('WRONGTYPE Operation against a key')};

  test('have their answers in their places, text or bytes', async () => {
    const node = await open(await answering(BULK));
    const replies = await node.fly([['GET', 'k'], ['FAIL'], ['DEL', 'k']]);
    expect(replies).toEqual([expect.any(String), expect.any(ErrorReply), 1]);
    expect(node.explain(replies[1] as ErrorReply)).toMatchObject({code: 'WRONG_TYPE'});
    expect(await node.fly([['GET', 'k'], ['DEL']], {bytes: true})).toEqual([Buffer.from([0xff]), 1]);
    expect(await node.fly([])).toEqual([]);
    expect(node.isOpen()).toBe(true);
  });

  test.each<[string, Partial<NodeOptions> & {by?: number}]>([
    ['one answer', {timeoutMs: SOON}],
    ['a flight', {by: SOON}],
    ['all that is done on the connection', {deadline: SOON}],
  ])('are waited for no longer than there is time for %s', async (_, {by, deadline, ...options}) => {
    const server = await answering({...BULK, LATE: undefined});
    const at = performance.now();
    const node = await open(server, {...options, ...(deadline !== undefined && {deadline: at + 5 * deadline})});
    const [first, late] = await node.fly([['DEL'], ['LATE']], by === undefined ? {} : {by: performance.now() + by});
    expect(first).toBe(1);
    expect(late).toBeInstanceOf(NoReply);
    expect(late).toMatchObject({isSent: true, error: {code: 'REDIS_TIMEOUT'}});
    expect(node.isOpen()).toBe(false);
    expect(await node.fly([['DEL']])).toMatchObject([{isSent: true, error: {code: 'REDIS_TIMEOUT'}}]);
    await expect.poll(server.open).toBe(0);
  });

  test('leave no clock running that ends the connection later', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    const node = await open(await answering(BULK));
    await node.fly([['DEL']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that are lost with the connection are told so, and how far it had come', async () => {
    const node = await open(await answering({...BULK, LATE: undefined}));
    const waiting = node.fly([['LATE']]);
    node.close();
    expect(await waiting).toMatchObject([
      {error: {code: 'REDIS_CONNECTION_LOST', message: expect.stringMatching(/^Lost the connection to /)}},
    ]);
    node.close();
  });
});

describe('a connection', () => {
  test.each(['connectBy', 'deadline'] as const)('has to be there by %s', async (limit) => {
    const server = await serving(silent);
    expect(await refusal(server, {[limit]: performance.now() + SOON})).toBe(
      'REDIS_TIMEOUT Redis at ADDRESS did not answer within 600 s.',
    );
  });

  test('that is there may be used after that time', async () => {
    const node = await open(await answering(), {connectBy: performance.now() + FOREVER / 10});
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + FOREVER / 5);
    expect(await node.fly([['DBSIZE']])).toEqual([0]);
    vi.restoreAllMocks();
  });

  test('is ended by a signal, which it leaves when it is closed', async () => {
    const stop = new AbortController();
    const listeners = (): number => getEventListeners(stop.signal, 'abort').length;
    const server = await answering({LATE: undefined});
    const closed = await open(server, {signal: stop.signal});
    expect(listeners()).toBe(1);
    closed.close();
    expect(listeners()).toBe(0);
    const node = await open(server, {signal: stop.signal});
    const waiting = node.fly([['LATE']]);
    stop.abort();
    const interrupted = [{error: {code: 'INTERRUPTED', message: 'Interrupted.'}}];
    expect(await waiting).toMatchObject(interrupted);
    expect(await node.fly([['DBSIZE']])).toMatchObject(interrupted);
    expect(listeners()).toBe(0);
    await expect.poll(server.open).toBe(0);
  });

  test('is not begun when it is interrupted already, nor left behind when that is while it begins', async () => {
    let connections = 0;
    const server = await serving((socket) => {
      connections++;
      socket.resume().once('close', () => connections--);
    });
    expect(await refusal(server, {signal: AbortSignal.abort()})).toBe('INTERRUPTED Interrupted.');
    const stop = new AbortController();
    const opening = refusal(server, {signal: stop.signal});
    stop.abort();
    expect(await opening).toBe('INTERRUPTED Interrupted.');
    // One that comes after them is let in after them.
    const over = new AbortController();
    const last = refusal(server, {signal: over.signal});
    await expect.poll(() => connections).toBe(1);
    over.abort();
    expect(await last).toBe('INTERRUPTED Interrupted.');
    await expect.poll(() => connections).toBe(0);
  });
});

describe('over TLS', () => {
  let made: Certificates;
  beforeAll(() => (made = makeCertificates()));
  afterAll(() => made.remove());
  const settings = (caFile?: string): NodeOptions['tls'] => ({
    ...{verify: true, checkName: true, certFile: undefined, keyFile: undefined, serverName: undefined},
    caFile,
  });

  const files = (): TlsOptions => ({cert: readFileSync(made.server.cert), key: readFileSync(made.server.key)});

  test('a server is believed that its authority vouches for, and no other', async () => {
    const server = await startAnswering(EMPTY_REDIS, files());
    ends.push(() => server.stop());
    expect(await (await open(server, {tls: settings(made.ca)})).fly([['DBSIZE']])).toEqual([0]);
    expect(await refusal(server, {tls: settings()})).toMatch(/^REDIS_TLS_FAILED TLS to Redis at ADDRESS failed: /);
    expect(await refusal(server, {tls: settings(made.otherCa)})).toMatch(/^REDIS_TLS_FAILED /);
    expect(await refusal(server, {tls: settings('/nowhere.pem')})).toMatch(/^INVALID_TLS_FILE /);
    expect(await refusal(server)).toMatch(/^REDIS_CONNECTION_LOST /);
    const plain = await serving((socket) => socket.resume().write('+OK\r\n'));
    expect(await refusal(plain, {tls: settings(made.ca)})).toMatch(/^REDIS_TLS_FAILED /);
  });

  test('it is told how far a connection came', async () => {
    const tls = settings(made.ca);
    expect(await refusal(await serving(closing, files()), {tls})).toBe(
      'REDIS_TLS_FAILED TLS to Redis at ADDRESS failed: the server closed the connection after the handshake.',
    );
    const plain = await answering();
    expect(await refusal(plain, {tls, timeoutMs: SOON})).toBe(
      'REDIS_TIMEOUT Cannot connect to Redis at ADDRESS: no answer within 0.4 s.',
    );
    await expect.poll(plain.open).toBe(0);
  });
});
