import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {breakRedis, type Broken, failure, testFaults} from '../support/faults.js';
import {freePort} from '../support/ports.js';
import {startRedis} from '../support/redis/redis-server.js';

const HINT = 'Check --redis-url or TOKENGATE_REDIS_URL.';
const cannotConnect = (why: string): ReturnType<typeof failure> =>
  failure(`Cannot connect to Redis at ADDRESS: ${why}.`, HINT);
const nothing = (): Promise<void> => Promise.resolve();

testFaults('Redis is not to be reached', [
  {
    name: 'nothing listens',
    start: async () => ({url: `redis://127.0.0.1:${await freePort()}`, stop: nothing}),
    expected: cannotConnect('connection refused (is Redis running?)'),
  },
  {
    name: 'nothing listens at any address of the host',
    start: async () => ({url: `redis://localhost:${await freePort()}`, stop: nothing}),
    expected: cannotConnect('connection refused (is Redis running?)'),
  },
  {
    name: 'packets are swallowed',
    timeout: 1,
    start: startBlackHole,
    expected: cannotConnect('no answer within 1 s'),
  },
  {
    name: 'there is no such host',
    start: () => withLookup("callback(Object.assign(new Error('getaddrinfo'), {code: 'ENOTFOUND'}))"),
    expected: cannotConnect('host name not found'),
  },
  {
    name: 'the name server fails',
    start: () => withLookup("callback(Object.assign(new Error('getaddrinfo'), {code: 'EAI_AGAIN'}))"),
    expected: cannotConnect('the name server did not answer'),
  },
  {
    name: 'the name server is silent',
    timeout: 1,
    start: () => withLookup('void callback'),
    expected: cannotConnect('no answer within 1 s'),
  },
  {
    name: 'the socket file is not there',
    start: () => Promise.resolve({url: 'unix:///nowhere/redis.sock', stop: nothing}),
    expected: cannotConnect('no such socket file'),
  },
  {
    name: 'the socket file is left over',
    start: startStale,
    expected: cannotConnect('connection refused (is Redis running?)'),
  },
  {
    name: 'the socket file is an ordinary one',
    start: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'tokengate-socket-'));
      const file = join(folder, 'redis.sock');
      await writeFile(file, '');
      return {url: `unix://${file}`, stop: () => rm(folder, {recursive: true})};
    },
    expected: cannotConnect('connection refused (is Redis running?)'),
  },
]);

/** A server that takes no more connections, as one behind a firewall that drops packets. */
async function startBlackHole(): Promise<Broken> {
  const broken = await breakRedis({
    args: ['--tcp-backlog', '1'],
    mend: ({process}) => Promise.resolve(process.kill('SIGCONT')),
  });
  broken.redis.process.kill('SIGSTOP');
  const {hostname, port} = new URL(broken.url);
  const queue = Array.from({length: 5}, () => connect(Number(port), hostname).on('error', () => undefined));
  await Promise.race(queue.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  return {
    ...broken,
    async stop() {
      for (const socket of queue) socket.destroy();
      await broken.stop();
    },
  };
}

/** A host whose name is looked up by this function body. */
async function withLookup(body: string): Promise<Broken> {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-lookup-'));
  const file = join(folder, 'lookup.cjs');
  await writeFile(
    file,
    `require('node:dns').lookup = (name, options, callback) => {
  if (name !== 'redis.invalid') throw new Error(name);
  ${body};
};`,
  );
  return {
    url: 'redis://redis.invalid:6379',
    env: {NODE_OPTIONS: `--require=${file}`},
    stop: () => rm(folder, {recursive: true}),
  };
}

/** What a server that was killed leaves behind. */
async function startStale(): Promise<Broken> {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-stale-'));
  const redis = await startRedis({folder});
  await redis.stop();
  return {url: redis.url, stop: () => rm(folder, {recursive: true})};
}
