import {mkdtemp, readFile, rm} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createServer} from 'node:tls';

import {afterAll} from 'vitest';

import {type KeyPair, makeCertificates} from '../support/certificates.js';
import {breakRedis, type Broken, each, failure, FINE, testFaults} from '../support/faults.js';
import {freePort} from '../support/ports.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {startSentinel} from '../support/redis/sentinels.js';

const readOnly = failure('Redis at ADDRESS is a read-only replica.', "Use the primary's address: 127.0.0.1:1.");
const lostPrimary = failure('Redis at ADDRESS is a replica that lost its primary.', "Use the primary's address.");
const STALE = ['Warning: Redis at ADDRESS is a replica: what it says may be out of date.'];

testFaults('it is another kind of Redis', [
  {
    name: 'a replica',
    start: () => startReplica(),
    expected: {
      read: {...FINE.read, stderr: STALE},
      listing: {...FINE.listing, stderr: STALE},
      write: readOnly,
      batch: readOnly,
      health: readOnly,
    },
  },
  {
    name: 'a replica that will not answer without its primary',
    start: () => startReplica('--replica-serve-stale-data', 'no'),
    expected: each(lostPrimary, {write: readOnly, health: readOnly}),
  },
  {
    name: "a Sentinel's port",
    start: startLoneSentinel,
    credentials: '',
    expected: failure(
      'ADDRESS is a Redis Sentinel.',
      'For the primary that it watches, write redis+sentinel://ADDRESS/main.',
    ),
  },
  {
    name: "a Sentinel's port, and a database",
    start: async () => {
      const broken = await startLoneSentinel();
      return {...broken, url: `${broken.url}/2`};
    },
    credentials: '',
    expected: failure(
      'ADDRESS is a Redis Sentinel.',
      'For the primary that it watches, write redis+sentinel://ADDRESS/main.',
    ),
  },
  {
    name: 'a node of a Cluster that has not met the others',
    start: async () => {
      const port = String(await freePort());
      const redis = await startRedis({tcp: true, args: ['--cluster-enabled', 'yes', '--cluster-port', port]});
      return {url: redis.url, stop: () => redis.stop()};
    },
    credentials: '',
    expected: failure(
      'ADDRESS is a node of a Redis Cluster that serves no keys.',
      'Its nodes may not have met, or have no slots yet: see CLUSTER INFO on it.',
    ),
  },
  {
    name: 'one that does not know HELLO, as before 6.0',
    start: () => breakRedis({args: ['--rename-command', 'HELLO', 'x']}),
    isFresh: true,
    expected: FINE,
  },
  {
    name: 'one that does not know GETDEL, as before 6.2',
    start: () => breakRedis({args: ['--rename-command', 'GETDEL', 'x']}),
    isFresh: true,
    expected: FINE,
  },
  {
    name: 'one that does not know AUTH',
    start: () => breakRedis({args: ['--rename-command', 'AUTH', 'x']}),
    expected: failure("Redis at ADDRESS answered with an error: ERR unknown command 'AUTH'."),
  },
]);

const certificates = makeCertificates();
afterAll(() => certificates.remove());

const tlsFailure = (reason: string, hint: string): ReturnType<typeof failure> =>
  failure(`TLS to Redis at ADDRESS failed: ${reason}.`, hint);
const CA_HINT = 'Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).';
const trust = (file: string): string[] => ['--tls-ca', file];
const {ca, otherCa, server} = certificates;

testFaults('TLS does not come about', [
  {
    name: 'a plain URL for a port of TLS',
    start: async () => {
      const broken = await startTls(server, []);
      return {...broken, url: broken.url.replace('rediss:', 'redis:')};
    },
    expected: failure(
      'The server at ADDRESS closed the connection at once.',
      'Does it expect TLS? Then use rediss://.',
    ),
  },
  {
    name: 'a URL of TLS for a plain port',
    timeout: 1,
    start: async () => {
      const broken = await breakRedis();
      return {...broken, url: broken.url.replace('redis:', 'rediss:')};
    },
    expected: failure(
      'Cannot connect to Redis at ADDRESS: no answer within 1 s.',
      'Is it a TLS port? If not, use redis://; else check the address.',
    ),
  },
  {
    name: 'an authority that is not trusted',
    start: () => startTls(server, trust(otherCa)),
    expected: tlsFailure("the server's certificate authority is not trusted", CA_HINT),
  },
  {
    name: 'a self-signed certificate',
    start: () => startTls(certificates.selfSigned, []),
    expected: tlsFailure("the server's certificate is self-signed", 'If it is the right one, give it to --tls-ca.'),
  },
  {
    name: 'an expired certificate',
    start: () => startTls(certificates.expired, trust(ca)),
    expected: tlsFailure("the server's certificate has expired", 'Renew it on the server.'),
  },
  {
    name: 'a certificate for another host',
    start: () => startTls(certificates.otherHost, trust(ca)),
    expected: tlsFailure(
      "the server's certificate is for redis.example, not for 127.0.0.1",
      'If it is the right server, give its name with --tls-server-name.',
    ),
  },
  {
    name: 'no client certificate',
    start: () => startTls(server, trust(ca), '--tls-auth-clients', 'yes', '--tls-protocols', 'TLSv1.2'),
    expected: tlsFailure(
      'the server wants a client certificate',
      'Give one that it trusts with --tls-cert FILE and --tls-key FILE.',
    ),
  },
  {
    name: 'silence after the handshake',
    timeout: 3,
    start: async () => startSilentTls(),
    expected: failure(
      'Redis at ADDRESS did not answer within 3 s.',
      'The server may be overloaded, stopped, or behind a firewall.',
    ),
  },
]);

async function startReplica(...args: string[]): Promise<Broken> {
  return breakRedis({
    args,
    spoil: ({client}: TestRedis) => client.sendCommand(['REPLICAOF', '127.0.0.1', '1']),
    mend: ({client}: TestRedis) => client.sendCommand(['REPLICAOF', 'NO', 'ONE']),
  });
}

async function startLoneSentinel(): Promise<Broken> {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-sentinel-'));
  const port = await freePort();
  const sentinel = await startSentinel(folder, port, ['sentinel monitor main 127.0.0.1 1 1']);
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      const ended = new Promise((resolve) => sentinel.once('exit', resolve));
      sentinel.kill('SIGKILL');
      await ended;
      await rm(folder, {recursive: true, force: true});
    },
  };
}

async function startTls({cert, key}: KeyPair, argv: string[], ...args: string[]): Promise<Broken> {
  const port = await freePort();
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca];
  const broken = await breakRedis({
    args: ['--tls-port', String(port), ...files, ...(args.length > 0 ? args : ['--tls-auth-clients', 'no'])],
  });
  return {...broken, argv, url: `rediss://127.0.0.1:${port}`};
}

async function startSilentTls(): Promise<Broken> {
  const silent = createServer({cert: await readFile(server.cert), key: await readFile(server.key)}, (socket) => {
    socket.on('error', () => undefined);
    socket.resume();
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const {port} = silent.address() as AddressInfo;
  return {
    url: `rediss://127.0.0.1:${port}`,
    argv: trust(ca),
    stop: () => new Promise((resolve) => silent.close(resolve)),
  };
}
