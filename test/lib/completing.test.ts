import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {type CandidateOptions, findCandidates, type FoundId} from '../../src/lib/candidates.js';
import {parseRedisUrl} from '../../src/lib/redis-url.js';
import {openResp, ReplyError, type RespConnection} from '../../src/lib/resp.js';
import {startRedis, type TestRedis} from '../support/redis-server.js';
import {closing, greeting, silent, startServer} from '../support/servers.js';

/** Milliseconds; longer than a test may take. */
const FOREVER = 10 * 60_000;
const SOON = 200;

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis({tcp: true})));
beforeEach(() => redis.client.flushAll());
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(() => redis.stop());

const find = (options: Partial<CandidateOptions> = {}, url = redis.url): Promise<FoundId[]> =>
  findCandidates(parseRedisUrl(url), {
    kind: 'sessions',
    prefix: '',
    isOffered: () => true,
    limit: 200,
    limitMs: FOREVER,
    ...options,
  });
const ids = async (options?: Partial<CandidateOptions>, url?: string): Promise<string[]> =>
  (await find(options, url)).map(({id}) => id);

describe('sessions', () => {
  test('are those with a budget that begin with what is typed, in order', async () => {
    for (const id of ['b', 'aü', 'a', 'a*b', 'ab', '']) await redis.client.set(`session:${id}:budget`, '1');
    await redis.client.set('session:az:spent', '1');
    expect(await find()).toEqual(['a', 'a*b', 'ab', 'aü', 'b'].map((id) => ({id})));
    expect(await ids({prefix: 'a'})).toEqual(['a', 'a*b', 'ab', 'aü']);
    expect(await ids({prefix: 'aü'})).toEqual(['aü']);
    expect(await ids({prefix: 'a*'})).toEqual(['a*b']);
    expect(await ids({isOffered: (id) => id !== 'a'})).toEqual(['a*b', 'ab', 'aü', 'b']);
    expect(await ids({prefix: 'z'})).toEqual([]);
  });

  test('that are no text are not offered', async () => {
    await redis.client.set(Buffer.from('session:a\xff:budget', 'latin1'), '1');
    await redis.client.set('session:b:budget', '1');
    expect(await ids()).toEqual(['b']);
  });

  test('are cut off before the last, which tells what all have in common', async () => {
    for (const n of [1, 2, 3, 4, 5]) await redis.client.set(`session:s${n}:budget`, '1');
    expect(await ids({limit: 5})).toEqual(['s1', 's2', 's3', 's4', 's5']);
    expect(await ids({limit: 4})).toEqual(['s1', 's2', 's3', 's5']);
    expect(await ids({limit: 1})).toEqual(['s5']);
  });

  test('are found on as many pages as there are', async () => {
    const names = Array.from({length: 9000}, (_, n) => `s${String(n).padStart(4, '0')}`);
    await redis.client.mSet(names.map((id): [string, string] => [`session:${id}:budget`, '1']));
    expect(await ids({limit: 10_000})).toEqual(names);
  });

  test('are found in the database and as the user of the URL', async () => {
    await redis.client.aclSetUser('ops', ['reset', 'on', '>ü', '~*', '+@all']);
    await redis.client.select(3);
    await redis.client.set('session:a:budget', '1');
    await redis.client.select(0);
    await redis.client.set('session:b:budget', '1');
    const url = redis.url.replace('://', '://ops:%C3%BC@');
    expect(await ids({}, url)).toEqual(['b']);
    expect(await ids({}, `${url}/3`)).toEqual(['a']);
    expect(await ids({}, `${url}/99`)).toEqual([]);
    expect(await ids({}, redis.url.replace('://', '://ops:wrong@'))).toEqual([]);
  });

  test('that are frozen are those whose freeze holds, or cannot be read', async () => {
    const hour = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString().slice(0, -1);
    await redis.client.mSet({
      'anomaly:held:frozen_until': hour(1),
      'anomaly:over:frozen_until': hour(-1),
      'anomaly:odd:frozen_until': 'soon',
      'session:free:budget': '1',
    });
    await redis.client.lPush('anomaly:list:frozen_until', 'a');
    expect(await ids({kind: 'frozen'})).toEqual(['held', 'odd']);
    expect(await ids({kind: 'frozen', prefix: 'o'})).toEqual(['odd']);
    expect(await ids({kind: 'frozen', prefix: 'x'})).toEqual([]);
  });

  test('are found by a user who may ask nothing else', async () => {
    await redis.client.set('session:a:budget', '1');
    await redis.client.aclSetUser('few', ['reset', 'on', '>pw', '~*', '+scan', '+mget']);
    await redis.client.set('anomaly:f:frozen_until', '2000-01-01T00:00:00');
    const url = redis.url.replace('://', '://few:pw@');
    expect(await ids({}, url)).toEqual(['a']);
    expect(await ids({kind: 'frozen'}, url)).toEqual([]);
    await redis.client.aclSetUser('few', ['-scan', '+exists']);
    expect(await ids({prefix: 'a'}, url)).toEqual(['a']);
    expect(await ids({prefix: ''}, url)).toEqual([]);
    expect(await ids({prefix: 'a', isOffered: () => false}, url)).toEqual([]);
  });
});

describe('a server', () => {
  const fake = async (onConnection: Parameters<typeof startServer>[0]): Promise<string> => {
    const started = await startServer(onConnection);
    ends.push(() => started.stop());
    return started.url;
  };

  test.each([
    ['closes the connection', closing],
    ['is no Redis', greeting('SSH-2.0-OpenSSH_9.6\r\n')],
  ])('that %s offers nothing, at once', async (_, onConnection) => {
    expect(await ids({}, await fake(onConnection))).toEqual([]);
  });

  test('that is silent offers nothing when the time is over', async () => {
    expect(await ids({limitMs: SOON}, await fake(silent))).toEqual([]);
  });

  test('that does not listen offers nothing', async () => {
    expect(await ids({}, 'unix:///nowhere/redis.sock')).toEqual([]);
  });
});

describe('a connection', () => {
  const open = async (url = redis.url): Promise<RespConnection> => {
    const connection = await openResp(parseRedisUrl(url));
    ends.push(() => {
      connection.close();
    });
    return connection;
  };

  test('has replies of every kind, in order', async () => {
    const connection = await open();
    const [first, second] = await Promise.all([
      connection.send([['PING'], ['SET', 'k', '\xff\r\n'], ['GET', 'k'], ['GET', 'none'], ['INCR', 'n'], ['NOSUCH']]),
      connection.send([
        ['RPUSH', 'l', 'a', ''],
        ['LRANGE', 'l', '0', '-1'],
        ['LRANGE', 'none', '0', '-1'],
        ['EVAL', 'return {1, {false, "x"}}', '0'],
        ['BLPOP', 'none', '0.01'],
      ]),
    ]);
    expect(first).toEqual(['PONG', 'OK', '\xff\r\n', null, 1, expect.any(ReplyError)]);
    expect((first[5] as ReplyError).message).toMatch(/^ERR unknown command/);
    expect(second).toEqual([2, ['a', ''], [], [1, [null, 'x']], null]);
    expect(await redis.client.get('k')).not.toBeNull();
  });

  test('puts together replies that come in pieces', async () => {
    const server = await startServer((socket) => {
      const pieces = '*2\r\n$3\r\na\r\n\r\n:-12\r\n+OK\r\n'.match(/./gs) ?? [];
      socket.on('data', () => {
        const next = (): void => {
          const piece = pieces.shift();
          if (piece !== undefined) socket.write(piece, () => setImmediate(next));
        };
        next();
      });
    });
    ends.push(() => server.stop());
    const connection = await open(server.url);
    expect(await connection.send([['X'], ['Y']])).toEqual([['a\r\n', -12], 'OK']);
  });

  test('that is closed sends no more, and what waits is rejected', async () => {
    const connection = await open();
    const waiting = connection.send([['BLPOP', 'none', '0']]);
    connection.close();
    await expect(waiting).rejects.toThrow('closed');
    await expect(connection.send([['PING']])).rejects.toThrow('closed');
  });
});
