import type {Socket} from 'node:net';
import {setTimeout} from 'node:timers/promises';

import {describe, expect, test, vi} from 'vitest';

import {openCluster} from '../../../../../src/lib/redis/cluster/client.js';
import type {ConnectOptions} from '../../../../../src/lib/redis/connect.js';
import {NoReply, type Redis} from '../../../../../src/lib/redis/contract.js';
import {openNode} from '../../../../../src/lib/redis/node.js';
import {parseRedisUrl} from '../../../../../src/lib/redis/url.js';
import {TokengateError} from '../../../../../src/lib/values/errors.js';
import {AS_EVER, type FakeCluster, type Range, startFakeCluster} from '../../../../support/impostors/fake-cluster.js';
import {
  errorOf,
  first,
  K0,
  K1,
  K2,
  LOST,
  SOON,
  thrown,
  withFakeCluster,
} from '../../../../support/impostors/with-fake-cluster.js';
import {until} from '../../../../support/until.js';

let cluster: FakeCluster;
let open: (options?: Partial<ConnectOptions>) => Promise<Redis>;
let ends: (() => unknown)[];
withFakeCluster((own) => ({cluster, open, ends} = own));

/** The number of the node that serves the home key. */
const HOME = 2;

describe('a node that is gone', () => {
  /** The second is replaced by the fourth, as all others say. */
  const replace = (its = cluster): void => {
    its.ranges = its.ranges.map(([from, to, node, ...others]): Range => [from, to, node === 1 ? 3 : node, ...others]);
  };

  test('is asked again, or the one that has taken over', async () => {
    const names = [
      ...['GET', 'MGET', 'EXISTS', 'GETRANGE', 'LRANGE', 'DUMP', 'PTTL', 'TYPE', 'XREVRANGE', 'XINFO STREAM'],
    ];
    // At once, since each waits.
    const asked = names.map(async (name) => {
      const own = await startFakeCluster(5);
      ends.push(() => own.stop());
      const redis = await open({url: own.url});
      const command = [...name.split(' '), K1];
      let count = 0;
      own.judge = (node, [word], socket) => {
        if (word !== command[0] || node !== 1) return AS_EVER;
        if (++count === 2) replace(own);
        socket.destroy();
        return undefined;
      };
      await redis.send(command);
      return own.log[3];
    });
    expect(await Promise.all(asked)).toEqual(names.map((name) => [`${name} ${K1}`]));
  });

  test.each([['TIME'], ['EVAL', 'return 1', '0']])('is asked again for what has no key: %s', async (...command) => {
    const redis = await open();
    cluster.judge = first(HOME, command[0], 'close');
    expect(await redis.send(command)).toBe(`${command[0]} on ${HOME}`);
  });

  test.each([
    ['SET', K1, '1'],
    ['EVAL', 'x', '1', K1],
    ['HSCAN', K1, '0'],
  ])('may have done what it was sent, which is not repeated: %s', async (...command) => {
    const redis = await open();
    cluster.judge = first(1, command[0], 'close');
    expect(errorOf((await redis.units([[command]]))[0])).toEqual(LOST);
    expect(cluster.log[1]).toHaveLength(1);
    expect(await redis.send(command)).toBe(`${command[0]} on 1`);
  });

  test('before it was sent anything has done nothing, so that another is', async () => {
    const redis = await open();
    await cluster.nodes[1]?.stop();
    cluster.judge = (_, [name, word]) => {
      if (name === 'CLUSTER' && word === 'SLOTS') replace();
      return AS_EVER;
    };
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
  });

  test('and not replaced in time, is named with what may be wrong', async () => {
    const redis = await open({timeoutMs: SOON});
    await cluster.nodes[1]?.stop();
    const [reply] = await redis.units([[['SET', K1, '1']]]);
    expect(errorOf(reply)).toEqual({code: 'REDIS_UNREACHABLE', isSent: false});
    const {error} = reply as NoReply;
    expect(error.message).toContain(`Cannot connect to Redis at ${cluster.addressOf(1)}`);
    expect(error.hint).toBe(
      `The cluster gave this address (see cluster-announce-ip). CLUSTER NODES on ${cluster.addressOf(0)} says whether it is up.`,
    );
    expect(error.cause).toBeInstanceOf(TokengateError);
  });

  test.each([
    ['closes the connection', 'REDIS_CONNECTION_LOST', (socket: Socket) => socket.destroy()],
    ['is silent', 'REDIS_TIMEOUT', () => undefined],
    ['is no Redis', 'REDIS_PROTOCOL', (socket: Socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')],
  ])('since what stands there %s, is named with what may be wrong', async (_, code, act) => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = (node, __, socket) => {
      if (node !== 1) return AS_EVER;
      act(socket);
      return undefined;
    };
    const [reply] = await redis.units([[['SET', K1, '1']]]);
    expect(errorOf(reply)).toEqual({code, isSent: false});
    expect((reply as NoReply).error.hint).toMatch(/^The cluster gave this address \(see cluster-announce-ip\)\. /);
  });

  test('and was named for TLS, may be meant for others', async () => {
    await cluster.nodes[1]?.stop();
    const target = parseRedisUrl(cluster.url);
    const options = {credentials: target.credentials, database: 0, tls: undefined, timeoutMs: SOON};
    const seed = await openNode({kind: 'Redis', endpoint: target.endpoints[0], ...options});
    const {tls} = parseRedisUrl('rediss://unused');
    const redis = await openCluster(seed, {...target, tls}, {timeoutMs: SOON, homeKey: '', consent: {to: undefined}});
    ends.push(() => {
      redis.close();
    });
    const {hint} = await thrown(redis.send(['GET', K1]));
    expect(hint).toMatch(/^The cluster gave this address \(see cluster-announce-ip and tls-cluster\)\. /);
  });

  test('and still loads its data when it is connected to, is waited for', async () => {
    const redis = await open();
    const loading = new Error('LOADING Redis is loading the dataset in memory');
    cluster.judge = first(1, 'HELLO', loading, loading);
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 1');
  });

  test('is asked for of five others at most, of which some may be replicas', async () => {
    const large = await startFakeCluster(12);
    ends.push(() => large.stop());
    large.ranges = [
      [0, 5461, 0, 3, 4, 5],
      [5462, 10_922, 1, 6, 7, 8],
      [10_923, 16_383, 2, 9, 10, 11],
    ];
    const redis = await open({url: large.url});
    // The order is the node that was given, and each primary with its replicas.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.99);
    ends.push(() => {
      random.mockRestore();
    });
    const asked = new Set<number>();
    large.judge = (node, [name], socket) => {
      if (name === 'CLUSTER') asked.add(node);
      if (name !== 'GET' || node !== 1 || asked.size > 0) return AS_EVER;
      socket.destroy();
      return undefined;
    };
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 1`);
    expect([...asked].sort()).toEqual([0, 11, 3, 4].sort());
  });

  test('but was the one that was given, is named as ever', async () => {
    const redis = await open({timeoutMs: SOON});
    await cluster.nodes[0]?.stop();
    expect((await thrown(redis.send(['SET', K0, '1']))).code).toBe('REDIS_CONNECTION_LOST');
    const error = await thrown(redis.send(['SET', K0, '1']));
    expect(error.code).toBe('REDIS_UNREACHABLE');
    expect(error.message).toContain(cluster.addressOf(0));
    expect(error.hint ?? '').not.toContain('The cluster gave this address');
  });

  test('and refuses the user is named as ever, at once', async () => {
    const redis = await open();
    cluster.judge = first(1, 'HELLO', new Error('NOAUTH HELLO must be called with the client already authenticated'));
    const error = await thrown(redis.send(['GET', K1]));
    expect(error.code).toBe('REDIS_AUTH_FAILED');
    expect(error.hint).not.toContain('The cluster gave this address');
  });

  test('is connected to again when it is back', async () => {
    const redis = await open();
    await redis.send(['GET', K1]);
    cluster.judge = first(1, 'SET', 'close');
    expect(errorOf((await redis.units([[['SET', K1, '1']]]))[0])).toEqual(LOST);
    let opened = 0;
    cluster.judge = (_, [name]) => {
      if (name === 'HELLO') opened++;
      return AS_EVER;
    };
    expect(await Promise.all([redis.send(['GET', K1]), redis.send(['GET', K1])])).toEqual([`${K1} on 1`, `${K1} on 1`]);
    expect(opened).toBe(1);
  });

  /** Whether a slow answer comes in time, when half of the time for one has gone by. */
  const answersLate = async (redis: Redis, timeoutMs: number): Promise<boolean> => {
    const over = performance.now() + timeoutMs / 2;
    await until(() => Promise.resolve(performance.now() > over));
    cluster.judge = async (_, [name]) => (name === 'GET' ? setTimeout(timeoutMs / 3, 'late') : AS_EVER);
    const [reply] = await redis.units([[['GET', K2]]]);
    return Array.isArray(reply);
  };

  test('and silent leaves the rest half of the time', async () => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = first(1, 'SET', undefined);
    const [set, get] = await redis.units([[['SET', K1, '1']], [['GET', K0]]]);
    expect(errorOf(set)).toEqual({code: 'REDIS_TIMEOUT', isSent: true});
    expect(get).toEqual([`${K0} on 0`]);
    expect(await answersLate(redis, SOON)).toBe(false);
  });

  test('and asked for in vain leaves the rest half of the time', async () => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = (_, [name]) => (name === 'SET' ? new Error('TRYAGAIN not now') : AS_EVER);
    expect((await redis.units([[['SET', K1, '1']]]))[0]).toBeInstanceOf(NoReply);
    expect(await answersLate(redis, SOON)).toBe(false);
  });

  test('at once leaves the rest all of the time', async () => {
    const redis = await open({timeoutMs: 12 * SOON});
    cluster.judge = first(1, 'SET', 'close');
    expect(errorOf((await redis.units([[['SET', K1, '1']]]))[0])).toEqual(LOST);
    expect(await answersLate(redis, 12 * SOON)).toBe(true);
  });

  test('and silent is left when another has taken over', async () => {
    // Its connection is closed long before that time.
    const redis = await open({timeoutMs: 45_000});
    let silent: Socket | undefined;
    cluster.judge = (node, [name], socket) => {
      if (node !== 1 || name !== 'SET') return AS_EVER;
      replace();
      silent = socket;
      return undefined;
    };
    const [reply] = await redis.units([[['SET', K1, '1']]]);
    expect(errorOf(reply)).toEqual(LOST);
    expect((reply as NoReply).error.message).toBe(`Another node has taken over from Redis at ${cluster.addressOf(1)}.`);
    await until(() => Promise.resolve(silent?.destroyed === true));
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
  });

  test('and only slow is waited for', async () => {
    const redis = await open();
    let resolve!: () => void;
    const asked = new Promise<void>((done) => (resolve = done));
    cluster.judge = async (node, [name, word]) => {
      if (name === 'CLUSTER' && word === 'SLOTS') resolve();
      if (node === 1 && name === 'SET') {
        await asked;
        return 'late';
      }
      return AS_EVER;
    };
    expect(await redis.send(['SET', K1, '1'])).toBe('late');
  });
});
