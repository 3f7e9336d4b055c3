import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi} from 'vitest';

import {type CandidateOptions, findCandidates, type FoundId} from '../../../../src/lib/completion/candidates.js';
import {openResp, ReplyError, type RespConnection} from '../../../../src/lib/completion/tiny-client.js';
import {JOURNAL_KEY} from '../../../../src/lib/gateway/keys.js';
import {parseRedisUrl} from '../../../../src/lib/redis/url.js';
import {
  type Answer,
  type AnsweringServer,
  type Answers,
  EMPTY_REDIS,
  startAnswering,
} from '../../../support/impostors/resp-server.js';
import {closing, greeting, silent, startServer} from '../../../support/impostors/servers.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';

/** Milliseconds; longer than a test may take. */
const FOREVER = 10 * 60_000;
const SOON = 200;

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis({tcp: true})));
beforeEach(() => redis.client.flushAll());
const ends: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
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

async function fake(answers: Answers): Promise<AnsweringServer> {
  const server = await startAnswering({...EMPTY_REDIS, ...answers});
  ends.push(() => server.stop());
  return server;
}
/** Such as Redis refuses what a user may not do. */
const NOPERM = new Error('NOPERM this user has no permissions');

test('sessions with grants are those that have some, whatever else has keys of this CLI', async () => {
  await redis.client.mSet({'tokengate:grants:b': '[]', 'tokengate:grants:a': '[]', 'tokengate:period:c': '{}'});
  expect(await ids({kind: 'granted'})).toEqual(['a', 'b']);
  expect(await ids({kind: 'granted', prefix: 'b'})).toEqual(['b']);
});

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

  test('that are frozen are so by the clock of the server', async () => {
    const ends = ['2027-01-15T07:59:59', '2027-01-15T08:00:00', '2027-01-15T08:00:01', null, NOPERM];
    const {url} = await fake({
      SCAN: ['0', ends.map((_, index) => `anomaly:${index}:frozen_until`)],
      GET: ([, key = '']) => ends[Number(key.split(':')[1])],
    });
    expect(await ids({kind: 'frozen'}, url)).toEqual(['2']);
  });

  test('are found by a user who may ask nothing else', async () => {
    await redis.client.set('session:a:budget', '1');
    await redis.client.aclSetUser('few', ['reset', 'on', '>pw', '~*', '+scan', '+mget']);
    await redis.client.set('anomaly:f:frozen_until', '2000-01-01T00:00:00');
    const url = redis.url.replace('://', '://few:pw@');
    expect(await ids({}, url)).toEqual(['a']);
    expect(await ids({kind: 'frozen'}, url)).toEqual([]);
    await redis.client.aclSetUser('few', ['+get']);
    await redis.client.set('anomaly:g:frozen_until', '2999-01-01T00:00:00');
    expect(await ids({kind: 'frozen'}, url)).toEqual(['g']);
    await redis.client.aclSetUser('few', ['-scan', '+exists']);
    expect(await ids({prefix: 'a'}, url)).toEqual(['a']);
    expect(await ids({prefix: ''}, url)).toEqual([]);
    expect(await ids({prefix: 'a', isOffered: () => false}, url)).toEqual([]);
  });
});

describe('changes', () => {
  const add = (id: string, fields: Record<string, string>): Promise<unknown> =>
    redis.client.xAdd(JOURNAL_KEY, id, {command: 'set-budget', actor: 'ops', ...fields});
  const calls = async (command: string): Promise<string | undefined> =>
    new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.client.info('commandstats'))?.[1];

  test('are told by the time of their entry, and are none that complete another', async () => {
    await add('1800000000000-0', {note: 'change', change: 'k7'});
    await add('1800000000000-1', {change: 'gone', completes: 'k7'});
    expect(await find({kind: 'changes'})).toEqual([{id: 'k7', summary: '2027-01-15 08:00:00 UTC set-budget by ops'}]);
    await redis.client.configResetStat();
    expect(await ids({kind: 'changes', isOffered: (id) => id !== 'k7'})).toEqual([]);
    expect(await calls('xrevrange')).toBe('1');
  });

  test('are found among the newest thousand entries, by whom the URL names', async () => {
    const all = redis.client.multi();
    for (let n = 0; n <= 1000; n++) all.xAdd(JOURNAL_KEY, `${n + 1}-0`, {change: `c${n}`});
    await all.exec();
    await redis.client.aclSetUser('ops', ['reset', 'on', '>pw', '~*', '+@all']);
    await redis.client.configResetStat();
    const url = redis.url.replace('://', '://ops:pw@');
    expect(await ids({kind: 'changes', prefix: 'c1'}, url)).toContain('c1');
    expect([await calls('auth'), await calls('xrevrange')]).toEqual(['1', '10']);
    expect(await ids({kind: 'changes', prefix: 'c0'}, url)).toEqual([]);
    expect(await ids({kind: 'changes'}, redis.url.replace('://', '://ops:wrong@'))).toEqual([]);
    expect(await ids({kind: 'changes'}, `${url}/3`)).toEqual([]);
  });

  test('of a cluster are asked of the node that has them', async () => {
    const entry: Answer = ['1800000000000-0', ['change', 'k7', 'command', 'set-budget', 'actor', 'ops']];
    const other = await fake({XREVRANGE: [entry]});
    const node = await fake({XREVRANGE: new Error(`MOVED 1 127.0.0.1:${other.port}`)});
    expect(await ids({kind: 'changes', prefix: 'k'}, node.url.replace('://', '://ops:pw@'))).toEqual(['k7']);
    const asked = ['AUTH ops pw', `XREVRANGE ${JOURNAL_KEY} + - COUNT 100`];
    expect([node.commands, other.commands]).toEqual([asked, asked]);
    await expect.poll(() => [node.open(), other.open()]).toEqual([0, 0]);
  });
});

describe('sessions of a cluster', () => {
  /** Two nodes, of which the test is told the URL of the first. */
  const startCluster = async (first: Answers, second: Answers) => {
    const slots = (): Answer => [
      [0, 8191, ['127.0.0.1', one.port, 'id']],
      [8192, 16_383, ['', two.port, 'id']],
    ];
    const base = {HELLO: ['server', 'redis', 'mode', 'cluster'], CLUSTER: slots};
    const one: AnsweringServer = await fake({...base, ...first});
    const two = await fake({...base, ...second});
    return {one, two};
  };
  const page = (...names: string[]): Answer => ['0', names.map((id) => `session:${id}:budget`)];

  test('are found on each of its primaries, which are left then', async () => {
    const {one, two} = await startCluster({SCAN: page('c', 'a')}, {SCAN: page('b')});
    expect(await ids({prefix: 'ü'}, one.url.replace('://', '://:pw@'))).toEqual(['a', 'b', 'c']);
    const asked = [
      ...['AUTH pw', 'HELLO 2', 'DBSIZE', 'TIME', 'EXISTS session:Ã¼:budget'],
      'SCAN 0 MATCH session:Ã¼*:budget COUNT 4000',
    ];
    expect(one.commands).toEqual([...asked, 'CLUSTER SLOTS', ...asked]);
    expect(two.commands).toEqual(asked);
    await expect.poll(() => [one.open(), two.open()]).toEqual([0, 0]);
    expect(await ids({limit: 2}, one.url)).toEqual(['a', 'c']);
  });

  test('are those that are typed in full, when one of them cannot tell of all', async () => {
    const {one} = await startCluster({EXISTS: 1, SCAN: page('a', 'ab')}, {SCAN: NOPERM});
    expect(await ids({prefix: 'a'}, one.url)).toEqual(['a']);
    expect(await ids({prefix: 'a', isOffered: (id) => id !== 'a'}, one.url)).toEqual([]);
    // A session without a name is none.
    expect(await ids({prefix: ''}, one.url)).toEqual([]);
  });

  test('are none when it does not tell what its nodes are', async () => {
    const {one, two} = await startCluster({CLUSTER: NOPERM, SCAN: page('a')}, {});
    expect(await ids({}, one.url)).toEqual([]);
    expect(two.commands).toEqual([]);
  });
});

describe('the time that it takes', () => {
  /** Of a scan of which each page takes so many milliseconds: what is found, and how many pages were read. */
  const scanning = async (
    pageMs: number,
    {pages, keys, limitMs}: {pages: number; keys: Answer; limitMs: number},
  ): Promise<{found: number; read: number}> => {
    let now = 0;
    let read = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const {url} = await fake({
      DBSIZE: keys,
      SCAN: () => {
        now += pageMs;
        return [++read === pages ? '0' : '7', [`session:s${read}:budget`]];
      },
    });
    return {found: (await ids({limitMs}, url)).length, read};
  };

  test('is known after a few pages, and what takes too long is not begun', async () => {
    const tenPages = {pages: 10, keys: 40_000};
    expect(await scanning(30, {...tenPages, limitMs: 5000})).toEqual({found: 10, read: 10});
    expect(await scanning(3000, {...tenPages, limitMs: 5000})).toEqual({found: 0, read: 2});
    expect(await scanning(480, {...tenPages, limitMs: 5000})).toEqual({found: 10, read: 10});
    expect(await scanning(600, {...tenPages, limitMs: 5000})).toEqual({found: 0, read: 4});
    // A pace is none yet.
    expect(await scanning(25, {...tenPages, limitMs: 60})).toEqual({found: 0, read: 4});
  });

  test('is watched where it is not known how much there is', async () => {
    expect(await scanning(60_000, {pages: Infinity, keys: NOPERM, limitMs: FOREVER})).toEqual({found: 0, read: 11});
  });
});

describe('a server', () => {
  const start = async (onConnection: Parameters<typeof startServer>[0]): Promise<string> => {
    const started = await startServer(onConnection);
    ends.push(() => started.stop());
    return started.url;
  };

  test.each([
    ['closes the connection', closing],
    ['is no Redis', greeting('SSH-2.0-OpenSSH_9.6\r\n')],
  ])('that %s offers nothing, at once', async (_, onConnection) => {
    expect(await ids({}, await start(onConnection))).toEqual([]);
  });

  test('that is silent offers nothing when the time is over', async () => {
    expect(await ids({limitMs: SOON}, await start(silent))).toEqual([]);
    const {url, open} = await fake({SCAN: undefined});
    expect(await ids({limitMs: SOON}, url)).toEqual([]);
    await expect.poll(open).toBe(0);
  });

  test('that does not listen offers nothing', async () => {
    expect(await ids({}, 'unix:///nowhere/redis.sock')).toEqual([]);
    expect(await ids({}, 'redis+sentinel://127.0.0.1:1/main')).toEqual([]);
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
