import type {Socket} from 'node:net';
import {setImmediate, setTimeout} from 'node:timers/promises';

import {beforeEach, describe, expect, vi} from 'vitest';

import {openCluster} from '../../../../../src/lib/redis/cluster/client.js';
import {ErrorReply, NoReply, type Redis} from '../../../../../src/lib/redis/contract.js';
import {openNode} from '../../../../../src/lib/redis/node.js';
import {parseRedisUrl} from '../../../../../src/lib/redis/url.js';
import {TokengateError} from '../../../../../src/lib/values/errors.js';
import {
  AS_EVER,
  type FakeCluster,
  type Judge,
  type Range,
  startFakeCluster,
} from '../../../../support/impostors/fake-cluster.js';
import {
  first,
  K0,
  K1,
  K2,
  slot,
  SOON,
  thrown,
  type OwnCluster,
  test,
} from '../../../../support/impostors/with-fake-cluster.js';
import {until} from '../../../../support/until.js';

/** The number of the node that serves the home key. */
const HOME = 2;

const errorOf = (reply: unknown): {code: string; isSent: boolean} => {
  if (!(reply instanceof NoReply)) throw new Error(`an answer: ${JSON.stringify(reply)}`);
  return {code: reply.error.code, isSent: reply.isSent};
};
const LOST = {code: 'REDIS_CONNECTION_LOST', isSent: true};

describe('a cluster', () => {
  test.concurrent('says how many nodes it has, and where a key is', async ({cluster, open}) => {
    cluster.ranges[0]?.push(3, 4);
    const {server, doubts, cluster: facts} = await open();
    expect(server).toEqual({
      ...{address: cluster.addressOf(0), database: 0, role: 'cluster', version: '7.9.9', primary: undefined},
    });
    expect(facts).toMatchObject({primaries: 3, replicas: 2});
    expect(doubts).toEqual(new Set());
    expect([K0, K1, K2].map((key) => facts?.primaryOf(key))).toEqual([0, 1, 2].map((node) => cluster.addressOf(node)));
  });

  test.concurrent('has no databases', async ({cluster, open}) => {
    const error = await thrown(open({url: `${cluster.url}/3`}));
    expect(error.code).toBe('INVALID_REDIS_URL');
    expect(error.message).toBe(`${cluster.addressOf(0)} is part of a Redis Cluster, which has no databases.`);
  });

  test.concurrent('that serves no keys is refused', async ({cluster, open}) => {
    cluster.ranges = [];
    const error = await thrown(open());
    expect(error.code).toBe('REDIS_CLUSTER_DOWN');
    expect(error.message).toBe(`${cluster.addressOf(0)} is a node of a Redis Cluster that serves no keys.`);
  });

  test.concurrent('of which the user may not ask is refused with why', async ({cluster, open}) => {
    cluster.judge = first(0, 'CLUSTER', new Error("NOPERM no permissions to run the 'cluster|slots' command"));
    expect((await thrown(open())).code).toBe('REDIS_NO_PERMISSION');
  });

  test.concurrent('of which one gets no answer is refused with why', async ({cluster, open}) => {
    cluster.judge = first(0, 'CLUSTER', 'close');
    expect((await thrown(open())).code).toBe('REDIS_CONNECTION_LOST');
  });

  test('of any number of nodes can be interrupted, without a warning', async ({open, ends}) => {
    const large = await startFakeCluster(12);
    ends.push(() => large.stop());
    const width = Math.ceil(16_384 / 12);
    large.ranges = large.nodes.map((_, node) => [node * width, Math.min(16_384, (node + 1) * width) - 1, node]);
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    ends.push(() => process.off('warning', onWarning));
    const redis = await open({url: large.url, signal: new AbortController().signal});
    await redis.pipeline(Array.from({length: 100}, (_, index) => ['GET', `k${index}`]));
    expect(large.log.every((lines) => lines.length > 0)).toBe(true);
    await setImmediate();
    expect(warnings).toEqual([]);
  });

  test.concurrent('that is interrupted ends what waits', async ({cluster, open}) => {
    const over = new AbortController();
    const redis = await open({signal: over.signal});
    cluster.judge = (_, [name]) => {
      if (name !== 'GET') return AS_EVER;
      over.abort();
      return undefined;
    };
    expect((await thrown(redis.send(['GET', K1]))).code).toBe('INTERRUPTED');
  });
});

describe('the name of a protected store', () => {
  /** Answers that none is waited for after, by what the node of the name does. */
  const ask = async (
    {cluster, open}: Omit<OwnCluster, 'ends'>,
    answer: Error | 'close' | 'silence',
  ): Promise<{store: unknown; asked: number; ms: number}> => {
    let asked = 0;
    cluster.judge = (node, [name], socket) => {
      if (node !== 1 || name !== 'GET') return AS_EVER;
      asked++;
      if (answer instanceof Error) return answer;
      if (answer === 'close') socket.destroy();
      return undefined;
    };
    const start = performance.now();
    const {store} = (await open({storeKey: K1, timeoutMs: 60_000})).server;
    return {store, asked, ms: performance.now() - start};
  };

  test.concurrent.for([
    new Error('CLUSTERDOWN The cluster is down'),
    new Error('TRYAGAIN Multiple keys request during rehashing of slot'),
    new Error('LOADING Redis is loading the dataset in memory'),
    'close' as const,
    'silence' as const,
  ])('that no node tells now is not known, and is not waited for: %s', async (answer, {cluster, open}) => {
    const {ms, ...told} = await ask({cluster, open}, answer);
    expect(told).toEqual({store: null, asked: 1});
    expect(ms).toBeLessThan(20_000);
  });

  test.concurrent('leaves a change all of its time', async ({cluster, open}) => {
    const redis = await open({storeKey: K1, timeoutMs: 4 * SOON});
    expect(redis.server.store).toBe(`${K1} on 1`);
    cluster.judge = (node, [name]) => (node === 1 && name === 'GET' ? undefined : AS_EVER);
    const other = await open({storeKey: K1, timeoutMs: 4 * SOON});
    const start = performance.now();
    expect((await thrown(other.send(['GET', K1]))).code).toBe('REDIS_TIMEOUT');
    expect(performance.now() - start).toBeGreaterThan(3 * SOON);
  });

  test.concurrent('is found where it has moved to', async ({cluster, open}) => {
    cluster.judge = first(1, 'GET', new Error(`MOVED ${slot(K1)} ${cluster.addressOf(2)}`));
    expect((await open({storeKey: K1})).server.store).toBe(`${K1} on 2`);
  });

  test.concurrent('that a user may not read is none', async ({cluster, open}) => {
    expect(await ask({cluster, open}, new Error("NOPERM no permissions to run the 'get' command"))).toMatchObject({
      store: undefined,
    });
  });
});

describe('a command', () => {
  test.concurrent('goes to the node of its key, all of a flight at once', async ({cluster, open}) => {
    const redis = await open();
    const replies = await redis.pipeline([
      ['GET', K2],
      ['GET', K0],
      ['set', K1, '1'],
      ['GET', K2],
      ['XINFO', 'STREAM', K1],
      ['EVAL', 'return 1', '2', K0, K0, 'x'],
      ['XREVRANGE', Buffer.from(K2), '+', '-'],
    ]);
    expect(replies).toEqual([
      ...[`${K2} on 2`, `${K0} on 0`, 'set on 1', `${K2} on 2`, 'XINFO on 1', 'EVAL on 0', 'XREVRANGE on 2'],
    ]);
    expect(cluster.log).toEqual([
      [`GET ${K0}`, `EVAL return 1 2 ${K0} ${K0} x`],
      [`set ${K1} 1`, `XINFO STREAM ${K1}`],
      [`GET ${K2}`, `GET ${K2}`, `XREVRANGE ${K2} + -`],
      [],
      [],
    ]);
  });

  test.concurrent('without a key goes to the node of the journal', async ({open}) => {
    const redis = await open();
    expect(await redis.pipeline([['TIME'], ['EVAL', 'return 1', '0', K0, K1]])).toEqual([
      `TIME on ${HOME}`,
      `EVAL on ${HOME}`,
    ]);
  });

  test.concurrent('of many keys is taken apart', async ({cluster, open}) => {
    const redis = await open();
    const [values, count, none] = await redis.pipeline([
      ['mget', K2, K0, K1, K0],
      ['EXISTS', K2, K0, K0],
      ['MGET', 'a'],
    ]);
    expect(values).toEqual([`${K2} on 2`, `${K0} on 0`, `${K1} on 1`, `${K0} on 0`]);
    expect(count).toBe(3);
    expect(none).toHaveLength(1);
    expect(cluster.log[0]).toEqual(expect.arrayContaining([`MGET ${K0}`, `EXISTS ${K0}`]));
  });

  test.concurrent('of many keys is refused, or lost, as a part of it is', async ({cluster, open}) => {
    cluster.judge = first(1, 'MGET', new Error('ERR odd'), new Error('ERR odd'));
    const redis = await open();
    expect(await redis.pipeline([['MGET', K0, K1]])).toEqual([new ErrorReply('ERR odd')]);
    cluster.judge = (node, [name], socket) => {
      if (name !== 'EXISTS') return AS_EVER;
      if (node === 1) return new Error('ERR odd');
      if (node === 2) socket.destroy();
      return node === 2 ? undefined : AS_EVER;
    };
    const redis2 = await open({timeoutMs: SOON});
    expect((await thrown(redis2.pipeline([['EXISTS', K1, K2]]))).code).not.toBe('REDIS_ERROR');
  });

  test.concurrent('goes over the connection that is there', async ({cluster, open}) => {
    const redis = await open();
    let opened = 0;
    cluster.judge = (_, [name]) => {
      if (name === 'HELLO') opened++;
      return AS_EVER;
    };
    for (const key of [K0, K1, K1, K0]) await redis.send(['GET', key]);
    expect(opened).toBe(1);
  });

  test.concurrent('is answered with text, or with bytes', async ({open}) => {
    const redis = await open();
    expect(await redis.pipeline([['GET', K1]])).toEqual([`${K1} on 1`]);
    expect(await redis.pipelineBytes([['GET', K1]])).toEqual([Buffer.from(`${K1} on 1`)]);
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 1`);
  });

  test.concurrent('that is refused is explained by the node that did', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'GET', new Error('OOM no memory'), new Error('OOM no memory'));
    expect((await thrown(redis.send(['GET', K1]))).message).toContain(
      `Redis at ${cluster.addressOf(1)} is out of memory`,
    );
    const [reply] = await redis.pipeline([['GET', K1]]);
    expect(redis.explain(reply as ErrorReply).message).toContain(cluster.addressOf(1));
    expect(redis.explain(new ErrorReply('NOPERM of no node')).message).toContain(cluster.addressOf(0));
    expect(cluster.log[1]).toHaveLength(2);
  });

  test.concurrent('is a unit of its own; several are none', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'GET', new Error('ERR odd'));
    const [fine, many, refused, later] = await redis.units([
      [['GET', K0]],
      [
        ['GET', K0],
        ['GET', K0],
      ],
      [['GET', K1]],
      [['GET', K2]],
    ]);
    expect(fine).toEqual([`${K0} on 0`]);
    expect(many).toEqual(new ErrorReply('CROSSSLOT'));
    expect(refused).toEqual(new ErrorReply('ERR odd'));
    expect(later).toEqual([`${K2} on 2`]);
    cluster.judge = first(1, 'SET', 'close');
    expect(errorOf((await redis.units([[['SET', K1, '1']]]))[0])).toEqual(LOST);
  });
});

describe('a key that has moved', () => {
  test.concurrent('is looked for where its node says, and from then on', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'GET', new Error(`MOVED ${slot(K1)} ${cluster.addressOf(2)}`));
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 2`);
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 2`);
    expect(redis.cluster?.primaryOf(K1)).toBe(cluster.addressOf(2));
    expect(cluster.log[1]).toEqual([`GET ${K1}`]);
  });

  test.concurrent(
    'is followed without a question to where it is known, but not what is refused beside it',
    async ({cluster, open}) => {
      const redis = await open();
      const moved = new Error(`MOVED ${slot(K1)} ${cluster.addressOf(2)}`);
      let asked = 0;
      const refusing = (other: Error | undefined): Judge => {
        const [one, two] = [first(1, 'GET', moved), first(0, 'GET', ...(other === undefined ? [] : [other]))];
        return (node, command, socket) => {
          if (command[0] === 'CLUSTER') asked++;
          return node === 1 ? one(node, command, socket) : two(node, command, socket);
        };
      };
      const both = [`${K1} on 2`, `${K0} on 0`];
      cluster.judge = refusing(undefined);
      expect(
        await redis.pipeline([
          ['GET', K1],
          ['GET', K0],
        ]),
      ).toEqual(both);
      expect(asked).toBe(0);
      const fresh = await open();
      cluster.judge = refusing(new Error('TRYAGAIN not now'));
      expect(
        await fresh.pipeline([
          ['GET', K1],
          ['GET', K0],
        ]),
      ).toEqual(both);
      expect(asked).toBeGreaterThan(0);
    },
  );

  test.concurrent('may be on a node that was not known, of whose replicas is asked', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'SET', new Error(`MOVED ${slot(K1)} ${cluster.addressOf(3)}`));
    cluster.ranges = [...cluster.ranges.slice(0, 2), [10_923, 16_383, 2], [0, 0, 3, 4]];
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
    expect(cluster.log[3]?.map((line) => line.split(' ')[0])).toEqual(['SET', 'WAIT']);
    cluster.log[3]?.splice(0);
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 3`);
  });

  test.concurrent('may be on a node that no other knows of', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'SET', new Error(`MOVED ${slot(K1)} ${cluster.addressOf(3)}`));
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
    expect(cluster.log[3]).toEqual([`SET ${K1} 1`]);
  });

  test.concurrent('may be on the same host', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'GET', new Error(`MOVED ${slot(K1)} :${cluster.nodes[2]?.port ?? 0}`));
    expect(await redis.send(['GET', K1])).toBe(`${K1} on 2`);
  });

  test.concurrent('is asked for elsewhere only once, while it is being moved', async ({cluster, open}) => {
    const redis = await open();
    const asks = new Error(`ASK ${slot(K1)} ${cluster.addressOf(2)}`);
    cluster.judge = first(1, 'GET', 'one', asks, 'two');
    expect(
      await redis.pipeline([
        ['GET', K1],
        ['GET', K1],
        ['GET', K2],
      ]),
    ).toEqual(['one', `${K1} on 2`, `${K2} on 2`]);
    expect(await redis.send(['GET', K1])).toBe('two');
    expect(cluster.log[2]).toEqual([`GET ${K2}`, 'ASKING', `GET ${K1}`]);
    expect(redis.cluster?.primaryOf(K1)).toBe(cluster.addressOf(1));
  });

  test.concurrent('is asked for again where it was, when it is not there yet', async ({cluster, open}) => {
    const redis = await open();
    const asks = new Error(`ASK ${slot(K1)} ${cluster.addressOf(2)}`);
    let asked = 0;
    cluster.judge = (node, [name]) => {
      if (name !== 'GET') return AS_EVER;
      if (node === 1) return asked++ === 0 ? asks : 'here';
      return new Error('TRYAGAIN Multiple keys request during rehashing of slot');
    };
    expect(await redis.send(['GET', K1])).toBe('here');
  });

  test.concurrent.for(['TRYAGAIN', 'CLUSTERDOWN', 'LOADING', 'MASTERDOWN'])(
    'or a node that says %s, is asked for until it answers',
    async (word, {cluster, open}) => {
      const redis = await open();
      const refusal = new Error(`${word} not now`);
      cluster.judge = first(1, 'SET', refusal, refusal, refusal);
      expect(await redis.send(['SET', K1, '1'])).toBe('SET on 1');
      expect(cluster.log[1]).toHaveLength(4);
    },
  );

  test.concurrent(
    'and its refusal is told of a read, when it says no more before the time is over',
    async ({cluster, open}) => {
      const redis = await open({timeoutMs: 4 * SOON});
      const asked: string[] = [];
      cluster.judge = (_, [name = '']) => {
        if (name !== 'GET') return AS_EVER;
        asked.push(name);
        return asked.length === 1 ? new Error('CLUSTERDOWN not now') : new Promise(() => undefined);
      };
      expect(await thrown(redis.send(['GET', K1]))).toMatchObject({code: 'REDIS_CLUSTER_DOWN'});
      expect(asked).toHaveLength(2);
    },
  );

  test.concurrent.for(['TRYAGAINST it', 'ERR TRYAGAIN', 'ERR MOVED 1 127.0.0.1:1'])(
    'is not meant by: %s',
    async (message, {cluster, open}) => {
      const redis = await open();
      cluster.judge = first(1, 'GET', new Error(message));
      expect(await redis.pipeline([['GET', K1]])).toEqual([new ErrorReply(message)]);
    },
  );

  test.concurrent(
    'again and again is not waited for longer than for an answer, and was not changed',
    async ({cluster, open}) => {
      const redis = await open({timeoutMs: 4 * SOON});
      cluster.judge = (_, [name]) => (name === 'SET' ? new Error('TRYAGAIN not now') : AS_EVER);
      // On a busy machine the time may be over while it is asked for, which is not known then.
      await vi.waitFor(async () => {
        const [reply] = await redis.units([[['SET', K1, '1']]]);
        expect(errorOf(reply)).toMatchObject({isSent: false});
        expect((reply as NoReply).error.message).toContain(cluster.addressOf(1));
      }, 30_000);
      expect(cluster.log[1]?.length).toBeGreaterThan(1);
    },
  );

  test.concurrent('into no slot that is served, is found when a node takes it', async ({cluster, open}) => {
    cluster.ranges.splice(1, 1);
    const redis = await open();
    expect(redis.cluster?.primaryOf(K1)).toBeUndefined();
    let asked = 0;
    cluster.judge = (_, [name]) => {
      if (name === 'CLUSTER' && ++asked === 4) cluster.ranges.push([5462, 10_922, 3]);
      return AS_EVER;
    };
    expect(
      await redis.pipeline([
        ['GET', K1],
        ['GET', K0],
      ]),
    ).toEqual([`${K1} on 3`, `${K0} on 0`]);
    expect(cluster.log[0]).toEqual([`GET ${K0}`]);
  });

  test.concurrent('into no slot that is served, is told in the end', async ({cluster, open}) => {
    cluster.ranges.splice(1, 1);
    const redis = await open({timeoutMs: SOON});
    expect(await thrown(redis.send(['SET', K1, '1']))).toMatchObject({code: 'REDIS_CLUSTER_DOWN'});
    expect(cluster.log.flat()).toEqual([]);
  });
});

describe('a node that is gone', () => {
  /** The second is replaced by the fourth, as all others say. */
  const replace = (cluster: FakeCluster): void => {
    cluster.ranges = cluster.ranges.map(([from, to, node, ...rest]): Range => [
      from,
      to,
      node === 1 ? 3 : node,
      ...rest,
    ]);
  };

  test.concurrent.for(['GET', 'MGET', 'EXISTS', 'GETRANGE', 'LRANGE', 'DUMP', 'PTTL', 'TYPE', 'XREVRANGE', 'XINFO'])(
    'is asked again, or the one that has taken over: %s',
    async (name, {cluster, open}) => {
      const redis = await open();
      let count = 0;
      cluster.judge = (node, [word], socket) => {
        if (word !== name || node !== 1) return AS_EVER;
        if (++count === 2) replace(cluster);
        socket.destroy();
        return undefined;
      };
      const command = name === 'XINFO' ? [name, 'STREAM', K1] : [name, K1];
      await redis.send(command);
      expect(cluster.log[3]).toEqual([command.join(' ')]);
    },
  );

  test.concurrent.for<[string, ...string[]]>([['TIME'], ['EVAL', 'return 1', '0']])(
    'is asked again for what has no key: %s',
    async (command, {cluster, open}) => {
      const redis = await open();
      cluster.judge = first(HOME, command[0], 'close');
      expect(await redis.send(command)).toBe(`${command[0]} on ${HOME}`);
    },
  );

  test.concurrent.for<[string, ...string[]]>([
    ['SET', K1, '1'],
    ['EVAL', 'x', '1', K1],
    ['HSCAN', K1, '0'],
  ])('may have done what it was sent, which is not repeated: %s', async (command, {cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, command[0], 'close');
    expect(errorOf((await redis.units([[command]]))[0])).toEqual(LOST);
    expect(cluster.log[1]).toHaveLength(1);
    expect(await redis.send(command)).toBe(`${command[0]} on 1`);
  });

  test.concurrent('before it was sent anything has done nothing, so that another is', async ({cluster, open}) => {
    const redis = await open();
    await cluster.nodes[1]?.stop();
    cluster.judge = (_, [name, word]) => {
      if (name === 'CLUSTER' && word === 'SLOTS') replace(cluster);
      return AS_EVER;
    };
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
  });

  test.concurrent('and not replaced in time, is named with what may be wrong', async ({cluster, open}) => {
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

  test.concurrent.for<[string, string, (socket: Socket) => unknown]>([
    ['closes the connection', 'REDIS_CONNECTION_LOST', (socket: Socket) => socket.destroy()],
    ['is silent', 'REDIS_TIMEOUT', () => undefined],
    ['is no Redis', 'REDIS_PROTOCOL', (socket: Socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')],
  ])('since what stands there %s, is named with what may be wrong', async ([, code, act], {cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = (node, _, socket) => {
      if (node !== 1) return AS_EVER;
      act(socket);
      return undefined;
    };
    const [reply] = await redis.units([[['SET', K1, '1']]]);
    expect(errorOf(reply)).toEqual({code, isSent: false});
    expect((reply as NoReply).error.hint).toMatch(/^The cluster gave this address \(see cluster-announce-ip\)\. /);
  });

  test.concurrent('and was named for TLS, may be meant for others', async ({cluster, ends}) => {
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

  test.concurrent('and still loads its data when it is connected to, is waited for', async ({cluster, open}) => {
    const redis = await open();
    const loading = new Error('LOADING Redis is loading the dataset in memory');
    cluster.judge = first(1, 'HELLO', loading, loading);
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 1');
  });

  test('is asked for of five others at most, of which some may be replicas', async ({open, ends}) => {
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

  test.concurrent('but was the one that was given, is named as ever', async ({cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    await cluster.nodes[0]?.stop();
    expect((await thrown(redis.send(['SET', K0, '1']))).code).toBe('REDIS_CONNECTION_LOST');
    const error = await thrown(redis.send(['SET', K0, '1']));
    expect(error.code).toBe('REDIS_UNREACHABLE');
    expect(error.message).toContain(cluster.addressOf(0));
    expect(error.hint ?? '').not.toContain('The cluster gave this address');
  });

  test.concurrent('and refuses the user is named as ever, at once', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'HELLO', new Error('NOAUTH HELLO must be called with the client already authenticated'));
    const error = await thrown(redis.send(['GET', K1]));
    expect(error.code).toBe('REDIS_AUTH_FAILED');
    expect(error.hint).not.toContain('The cluster gave this address');
  });

  test.concurrent('is connected to again when it is back', async ({cluster, open}) => {
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
  const answersLate = async (cluster: FakeCluster, redis: Redis, timeoutMs: number): Promise<boolean> => {
    const over = performance.now() + timeoutMs / 2;
    await until(() => Promise.resolve(performance.now() > over));
    cluster.judge = async (_, [name]) => (name === 'GET' ? setTimeout(timeoutMs / 3, 'late') : AS_EVER);
    const [reply] = await redis.units([[['GET', K2]]]);
    return Array.isArray(reply);
  };

  test.concurrent('and silent leaves the rest half of the time', async ({cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = first(1, 'SET', undefined);
    const [set, get] = await redis.units([[['SET', K1, '1']], [['GET', K0]]]);
    expect(errorOf(set)).toEqual({code: 'REDIS_TIMEOUT', isSent: true});
    expect(get).toEqual([`${K0} on 0`]);
    expect(await answersLate(cluster, redis, SOON)).toBe(false);
  });

  test.concurrent('and asked for in vain leaves the rest half of the time', async ({cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = (_, [name]) => (name === 'SET' ? new Error('TRYAGAIN not now') : AS_EVER);
    expect((await redis.units([[['SET', K1, '1']]]))[0]).toBeInstanceOf(NoReply);
    expect(await answersLate(cluster, redis, SOON)).toBe(false);
  });

  test.concurrent('at once leaves the rest all of the time', async ({cluster, open}) => {
    const redis = await open({timeoutMs: 12 * SOON});
    cluster.judge = first(1, 'SET', 'close');
    expect(errorOf((await redis.units([[['SET', K1, '1']]]))[0])).toEqual(LOST);
    expect(await answersLate(cluster, redis, 12 * SOON)).toBe(true);
  });

  test.concurrent('and silent is left when another has taken over', async ({cluster, open}) => {
    // Its connection is closed long before that time.
    const redis = await open({timeoutMs: 45_000});
    let silent: Socket | undefined;
    cluster.judge = (node, [name], socket) => {
      if (node !== 1 || name !== 'SET') return AS_EVER;
      replace(cluster);
      silent = socket;
      return undefined;
    };
    const [reply] = await redis.units([[['SET', K1, '1']]]);
    expect(errorOf(reply)).toEqual(LOST);
    expect((reply as NoReply).error.message).toBe(`Another node has taken over from Redis at ${cluster.addressOf(1)}.`);
    await until(() => Promise.resolve(silent?.destroyed === true));
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 3');
  });

  test.concurrent('and only slow is waited for', async ({cluster, open}) => {
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

describe('what is written', () => {
  beforeEach<OwnCluster>(({cluster}) => {
    cluster.ranges[1]?.push(3);
  });

  test.concurrent.for([
    [5000, 1000],
    [1001, 501],
  ])('is confirmed by a replica; in %i ms it has %i', async ([timeoutMs, wait], {cluster, open}) => {
    const redis = await open({timeoutMs});
    expect(
      await redis.pipeline([
        ['SET', K1, '1'],
        ['GET', K1],
        ['SET', K0, '1'],
      ]),
    ).toEqual([...['SET on 1', `${K1} on 1`, 'SET on 0']]);
    expect(cluster.log.slice(0, 2)).toEqual([[`SET ${K0} 1`], [`SET ${K1} 1`, `GET ${K1}`, `WAIT 1 ${wait}`]]);
    await redis.send(['GET', K1]);
    expect(cluster.log[1]).toHaveLength(4);
    expect([...redis.doubts]).toEqual([]);
  });

  test.concurrent.for([0, new Error("NOPERM no permissions to run the 'wait' command")])(
    'and is not confirmed, is told once, and not waited for again: %o',
    async (answer, {cluster, open}) => {
      const redis = await open();
      cluster.judge = first(1, 'WAIT', answer, answer);
      expect(await redis.send(['SET', K1, '1'])).toBe('SET on 1');
      expect(await redis.send(['SET', K1, '2'])).toBe('SET on 1');
      expect(cluster.log[1]).toEqual([`SET ${K1} 1`, 'WAIT 1 1000', `SET ${K1} 2`]);
      expect([...redis.doubts]).toEqual([
        `No replica of ${cluster.addressOf(1)} has confirmed what was written: a failover right now could lose it.`,
      ]);
    },
  );

  test.concurrent.for([
    new Error('UNBLOCKED force unblock from blocking operation, instance state changed'),
    'close' as const,
  ])('may be lost with its node: %o', async (answer, {cluster, open}) => {
    const redis = await open();
    cluster.judge = (node, command, socket) => {
      if (command[0] === 'EVAL') return new Error('ERR odd');
      return wait(node, command, socket);
    };
    const wait = first(1, 'WAIT', answer);
    const [set, get, refused, other] = await redis.units([
      [['SET', K1, '1']],
      [['GET', K1]],
      [['EVAL', 'x', '1', K1]],
      [['SET', K0, '1']],
    ]);
    expect(errorOf(set)).toEqual(LOST);
    expect(get).toEqual([`${K1} on 1`]);
    expect(refused).toEqual(new ErrorReply('ERR odd'));
    expect(other).toEqual(['SET on 0']);
    if (answer !== 'close') {
      expect((set as NoReply).error.message).toBe(`Another node has taken over from Redis at ${cluster.addressOf(1)}.`);
    }
    expect([...redis.doubts]).toEqual([]);
  });

  test.concurrent('after it was asked for elsewhere, is confirmed too', async ({cluster, open}) => {
    cluster.ranges[2]?.push(4);
    const redis = await open();
    cluster.judge = first(1, 'SET', new Error(`ASK ${slot(K1)} ${cluster.addressOf(2)}`));
    expect(await redis.send(['SET', K1, '1'])).toBe('SET on 2');
    expect(cluster.log[2]).toEqual(['ASKING', `SET ${K1} 1`, 'WAIT 1 1000']);
  });
});

describe('the end', () => {
  test.concurrent('closes every connection', async ({cluster, open}) => {
    const redis = await open();
    const sockets = new Set<{destroyed: boolean}>();
    cluster.judge = (_, __, socket) => {
      sockets.add(socket);
      return AS_EVER;
    };
    await redis.pipeline([
      ['GET', K0],
      ['GET', K1],
      ['GET', K2],
    ]);
    expect(sockets.size).toBe(3);
    redis.close();
    redis.close();
    await until(() => Promise.resolve([...sockets].every(({destroyed}) => destroyed)));
    expect((await thrown(redis.send(['GET', K1]))).code).toBe('REDIS_CONNECTION_LOST');
  });

  test.concurrent('opens no other', async ({cluster, open}) => {
    const redis = await open();
    redis.close();
    expect(await redis.units([[['SET', K1, '1']]])).toEqual([expect.any(NoReply)]);
    expect(cluster.log.flat()).toEqual([]);
  });
});

describe('a second connection', () => {
  test.concurrent('is one to whichever node answers', async ({cluster, open, ends}) => {
    const redis = await open({timeoutMs: 1000});
    await cluster.nodes[0]?.stop();
    const fresh = await redis.reopen();
    ends.push(() => {
      fresh.close();
    });
    expect(fresh.server.role).toBe('cluster');
    expect([1, 2].map((node) => cluster.addressOf(node))).toContain(fresh.server.address);
    expect(await fresh.send(['GET', K1])).toBe(`${K1} on 1`);
    const {hint} = await thrown(fresh.send(['GET', K0]));
    expect(hint).toContain(`CLUSTER NODES on ${fresh.server.address} says`);
  });

  test.concurrent('is closed where it is not used', async ({cluster, open}) => {
    const redis = await open();
    const sockets = new Map<object, number>();
    cluster.judge = (node, _, socket) => {
      sockets.set(socket, node);
      return AS_EVER;
    };
    const fresh = await redis.reopen();
    await fresh.send(['GET', K0]);
    fresh.close();
    await until(() =>
      Promise.resolve([...sockets.keys()].every((socket) => 'destroyed' in socket && socket.destroyed === true)),
    );
    expect(await redis.send(['GET', K0])).toBe(`${K0} on 0`);
  });

  test.concurrent('that no node gives is refused with why', async ({cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    for (const node of cluster.nodes) await node.stop();
    expect((await thrown(redis.reopen())).code).toBe('REDIS_UNREACHABLE');
  });

  test.concurrent('of a user who was refused since is refused', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = (_, [name]) => (name === 'HELLO' ? new Error('NOAUTH HELLO must be called') : AS_EVER);
    expect((await thrown(redis.reopen())).code).toBe('REDIS_AUTH_FAILED');
  });
});
