import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createServer, type TlsOptions, type TLSSocket} from 'node:tls';

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';

import {
  authCommands,
  openResp,
  type Reply,
  ReplyError,
  type RespConnection,
  toBytes,
} from '../../../../src/lib/completion/tiny-client.js';
import {type Endpoint, parseRedisUrl, type RedisTarget, type TlsSettings} from '../../../../src/lib/redis/url.js';
import {type Certificates, type KeyPair, makeCertificates} from '../../../support/certificates.js';
import {startRespServer} from '../../../support/impostors/resp-server.js';
import {greeting, startServer} from '../../../support/impostors/servers.js';
import {freePort} from '../../../support/ports.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';
import {startSentinel} from '../../../support/redis/sentinels.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const open = async (target: RedisTarget): Promise<RespConnection> => {
  const connection = await openResp(target);
  ends.push(() => {
    connection.close();
  });
  return connection;
};
const ask = async (target: RedisTarget, ...command: string[]): Promise<Reply | undefined> =>
  (await (await open(target)).send([command]))[0];

test('a login is a command of bytes, of the user too when there is one', () => {
  expect(authCommands()).toEqual([]);
  expect(authCommands({username: 'ops', password: undefined})).toEqual([]);
  expect(authCommands({username: undefined, password: 'ü'})).toEqual([['AUTH', '\xc3\xbc']]);
  expect(authCommands({username: 'ö', password: ''})).toEqual([['AUTH', '\xc3\xb6', '']]);
  expect(toBytes('aü€')).toBe('a\xc3\xbc\xe2\x82\xac');
});

describe('replies', () => {
  test('that are none end the connection, with what that says', async () => {
    const server = await startServer(greeting('SSH-2.0-OpenSSH_9.6\r\n'));
    ends.push(() => server.stop());
    const connection = await open(parseRedisUrl(server.url));
    await expect(connection.send([['PING']])).rejects.toThrow('not a reply of Redis');
    await expect(connection.send([['PING']])).rejects.toThrow('closed');
  });

  test('that are cut off reject all that waits', async () => {
    const server = await startServer((socket) => {
      socket.once('data', () => socket.end('*2\r\n+OK\r\n$5\r\nab'));
    });
    ends.push(() => server.stop());
    const connection = await open(parseRedisUrl(server.url));
    const both = await Promise.allSettled([connection.send([['A']]), connection.send([['B']])]);
    expect(both.map((one) => String((one as PromiseRejectedResult).reason))).toEqual([
      'Error: closed',
      'Error: closed',
    ]);
  });

  test('of a server that is not there reject what is sent, with why', async () => {
    const connection = await open(parseRedisUrl('unix:///nowhere/redis.sock'));
    await expect(connection.send([['PING']])).rejects.toThrow('ENOENT');
  });

  test('go to who asked, however they come', async () => {
    const server = await startServer((socket) => {
      const pieces = '*-1\r\n$-1\r\n+a|\r\n-ERR no\r\n*1\r\n$2\r\nx|y\r\n:3\r\n'.split('|');
      let asked = 0;
      socket.on('data', (chunk) => {
        asked += chunk.toString().match(/^\*/gm)?.length ?? 0;
        if (asked < 6) return;
        const next = (): void => {
          const piece = pieces.shift();
          if (piece !== undefined) socket.write(piece, () => setTimeout(next, 5));
        };
        next();
      });
    });
    ends.push(() => server.stop());
    const connection = await open(parseRedisUrl(server.url));
    expect(
      await Promise.all([
        connection.send([['A'], ['B'], ['C']]),
        connection.send([['D'], ['E']]),
        connection.send([['F']]),
      ]),
    ).toEqual([[null, null, 'a'], [new ReplyError('ERR no'), ['xy']], [3]]);
  });

  test('of no command are none', async () => {
    const server = await startServer((socket) => socket.resume());
    ends.push(() => server.stop());
    const sent: string[] = [];
    const echo = await startRespServer((command) => {
      sent.push(command.join(' '));
      return command.length;
    });
    ends.push(() => echo.stop());
    expect(await ask(parseRedisUrl(echo.url), 'SET', '', 'ü \xff')).toBe(3);
    expect(sent).toEqual(['SET  ü \xff']);
  });
});

describe('of TLS', () => {
  let certificates: Certificates;
  let folder: string;
  beforeAll(async () => {
    certificates = makeCertificates();
    folder = await mkdtemp(join(tmpdir(), 'tokengate-resp-'));
  });
  afterAll(async () => {
    await certificates.remove();
    await rm(folder, {recursive: true, force: true});
  });

  /** Answers with the name that it is called, and that of the client's certificate. */
  const serve = async (pair: KeyPair, options: TlsOptions = {}, path?: string): Promise<Endpoint> => {
    const read = (file: string): Buffer => readFileSync(file);
    const server = createServer({key: read(pair.key), cert: read(pair.cert), ...options}, (socket: TLSSocket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        const {subject} = socket.getPeerCertificate() as {subject?: {CN: string}};
        socket.write(`*2\r\n+${String(socket.servername)}\r\n+${subject?.CN ?? 'none'}\r\n`);
      });
      sockets.add(socket);
    });
    const sockets = new Set<TLSSocket>();
    ends.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    if (path === undefined) server.listen(0, '127.0.0.1');
    else server.listen(path);
    await once(server, 'listening');
    return path === undefined ? {host: '127.0.0.1', port: (server.address() as AddressInfo).port} : {path};
  };
  const target = (endpoint: Endpoint, settings: Partial<TlsSettings> = {}): RedisTarget => ({
    ...parseRedisUrl('rediss://unused'),
    endpoints: [endpoint],
    tls: {
      ...{verify: true, checkName: true, caFile: certificates.ca, certFile: undefined, keyFile: undefined},
      ...{serverName: undefined, ...settings},
    },
  });

  test('a server is believed whose certificate is signed by the authority, for its address', async () => {
    const endpoint = await serve(certificates.server);
    expect(await ask(target(endpoint), 'PING')).toEqual(['false', 'none']);
    expect(await ask(target({...endpoint, host: 'localhost'}), 'PING')).toEqual(['localhost', 'none']);
    await expect(ask(target(endpoint, {caFile: certificates.otherCa}), 'PING')).rejects.toThrow('certificate');
    await expect(ask(target(endpoint, {caFile: undefined}), 'PING')).rejects.toThrow('certificate');
    expect(await ask(target(endpoint, {caFile: undefined, verify: false}), 'PING')).toEqual(['false', 'none']);
    await expect(open(target(endpoint, {caFile: join(folder, 'none')}))).rejects.toMatchObject({
      code: 'INVALID_TLS_FILE',
    });
  });

  test('a name that is given is told to the server, and has to be its own', async () => {
    const endpoint = await serve(certificates.otherHost);
    await expect(ask(target(endpoint), 'PING')).rejects.toThrow('does not match');
    expect(await ask(target(endpoint, {serverName: 'redis.example'}), 'PING')).toEqual(['redis.example', 'none']);
    await expect(ask(target(endpoint, {serverName: 'other.example'}), 'PING')).rejects.toThrow('does not match');
    for (const [serverName, told] of [
      ['other.example', 'other.example'],
      ['1.example', '1.example'],
      ['example.1', 'example.1'],
      ['10.0.0.1', 'false'],
      ['::1', 'false'],
    ]) {
      expect(await ask(target(endpoint, {checkName: false, serverName}), 'PING')).toEqual([told, 'none']);
    }
  });

  test('a socket has no name', async () => {
    const endpoint = await serve(certificates.server, {}, join(folder, 'tls.sock'));
    expect(await ask(target(endpoint, {checkName: false}), 'PING')).toEqual(['false', 'none']);
  });

  test('a certificate of the client is shown, with its key in a file of its own or in the same', async () => {
    const {ca, client, both} = certificates;
    const endpoint = await serve(certificates.server, {requestCert: true, ca: readFileSync(ca)});
    const {cert: certFile, key: keyFile} = client;
    expect(await ask(target(endpoint, {certFile, keyFile}), 'PING')).toEqual(['false', 'client']);
    expect(await ask(target(endpoint, {certFile: both}), 'PING')).toEqual(['false', 'client']);
    await expect(ask(target(endpoint, {certFile, keyFile: certificates.server.key}), 'PING')).rejects.toThrow('key');
  });
});

describe('of Sentinels', () => {
  const sentinelTarget = (ports: readonly number[], query = '', name = 'mymaster'): RedisTarget =>
    parseRedisUrl(`redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${name}${query}`);

  describe('that are real', () => {
    let redis: TestRedis;
    let folder: string;
    /** The first has a password, the second knows another primary alone. */
    let ports: [number, number, number];
    beforeAll(async () => {
      redis = await startRedis({tcp: true});
      folder = await mkdtemp(join(tmpdir(), 'tokengate-resp-'));
      ports = [await freePort(), await freePort(), await freePort()];
      const watch = (name: string): string => `sentinel monitor ${name} 127.0.0.1 ${new URL(redis.url).port} 1`;
      const sentinels = await Promise.all([
        startSentinel(folder, ports[0], [watch('mymaster'), 'requirepass watch-me']),
        startSentinel(folder, ports[1], [watch('other')]),
      ]);
      endAll = async () => {
        for (const sentinel of sentinels) sentinel.kill('SIGKILL');
        await redis.stop();
        await rm(folder, {recursive: true, force: true});
      };
    });
    let endAll: () => Promise<void>;
    afterAll(() => endAll());

    test('the first that knows the primary is believed', async () => {
      const [locked, other, dead] = ports;
      const known = sentinelTarget([dead, other, locked], '?sentinel_password=watch-me');
      expect(await ask(known, 'ECHO', 'a')).toBe('a');
      expect(await ask(known, 'CONFIG', 'GET', 'port')).toEqual(['port', new URL(redis.url).port]);
      expect(await ask(sentinelTarget([other], '', 'other'), 'ECHO', 'b')).toBe('b');
    });

    test('when none of them knows it, none is opened', async () => {
      const [locked, other, dead] = ports;
      for (const target of [
        sentinelTarget([locked]),
        sentinelTarget([locked, dead], '?sentinel_password=wrong'),
        sentinelTarget([other]),
      ]) {
        const error: unknown = await open(target).catch((thrown: unknown) => thrown);
        expect((error as AggregateError).errors.map(String)).toContain('Error: unknown primary');
      }
    });
  });

  test('the question is of bytes, comes after the login, and ends the connection', async () => {
    const primary = await startRespServer(() => 'PRIMARY');
    ends.push(() => primary.stop());
    const commands: string[][] = [];
    let resolve!: () => void;
    const closed = new Promise<void>((done) => (resolve = done));
    const sentinel = await startRespServer((command, socket) => {
      commands.push(command);
      socket.once('close', resolve);
      return command[0] === 'AUTH' ? 'OK' : ['127.0.0.1', String(primary.port)];
    });
    ends.push(() => sentinel.stop());
    const target = sentinelTarget([sentinel.port], '?sentinel_username=s&sentinel_password=p', 'ü');
    expect(await ask(target, 'PING')).toBe('PRIMARY');
    expect(commands).toEqual([
      ['AUTH', 's', 'p'],
      ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', '\xc3\xbc'],
    ]);
    await closed;
  });
});
