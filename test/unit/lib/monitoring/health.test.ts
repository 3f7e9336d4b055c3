import {describe, expect, test} from 'vitest';

import {checkHealth} from '../../../../src/lib/monitoring/health.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {RedisText, Cluster, Command, Redis} from '../../../../src/lib/redis/contract.js';
import {dumpKeyspace} from '../../../support/redis/keyspace.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const asUser = async (...rights: string[]): Promise<Redis> => {
  await server.client.aclSetUser('few', ['reset', 'on', '>pw', '+@all', ...rights]);
  return connect({url: server.url.replace('unix://', 'unix://few:pw@')});
};

describe('the health of a server', () => {
  test('is what it is, and how long one round trip takes, and writes nothing', async () => {
    const before = performance.now();
    const {latency, ...rest} = await checkHealth(redis);
    expect(rest).toEqual({...redis.server, cluster: undefined, changeProblem: undefined});
    expect(latency).toBeGreaterThan(0);
    expect(latency).toBeLessThan(performance.now() - before);
    expect(await dumpKeyspace(server)).toEqual({});
  });

  test.each([
    ['read', ['~*', '-get']],
    ['write', ['~*', '-set']],
    ['reach the budgets', ['~anomaly:*']],
    ['reach the freezes', ['~session:*']],
  ])('is bad for a user who may not %s', async (_, rights) => {
    const few = await asUser(...rights);
    await expect(checkHealth(few)).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
    few.close();
  });

  const SCRIPTS =
    /^Every change fails, since the journal needs scripts \(EVAL\): .* With --no-journal you can only set budgets /;
  const JOURNAL =
    /^Every change fails, since the journal cannot be written: .* --no-journal or TOKENGATE_JOURNAL=off\.$/;
  test.each([
    [
      'run scripts',
      ['~*', '-eval'],
      SCRIPTS,
      /^Without scripts \(EVAL\) you can only set budgets and .*'eval' command/,
    ],
    ['reach the journal', ['~session:*', '~anomaly:*'], JOURNAL, undefined],
    ['trim the journal', ['~*', '-xtrim'], JOURNAL, undefined],
    ['add to the journal', ['~*', '-xadd'], JOURNAL, undefined],
    ['reach more than the journal', ['~session:*', '~anomaly:*', '~tokengate:journal'], undefined, undefined],
  ])('has a problem with changes for a user who may not %s', async (_, rights, recorded, unrecorded) => {
    const few = await asUser(...rights);
    const problem = async (changes: 'recorded' | 'unrecorded'): Promise<string | undefined> =>
      (await checkHealth(few, {changes})).changeProblem;
    for (const [changes, expected] of [
      ['recorded', recorded],
      ['unrecorded', unrecorded],
    ] as const) {
      if (expected === undefined) expect(await problem(changes)).toBeUndefined();
      else expect(await problem(changes)).toMatch(expected);
    }
    expect((await checkHealth(few)).changeProblem).toBeUndefined();
    expect(await dumpKeyspace(server)).toEqual({});
    few.close();
  });

  test.each(['recorded', 'unrecorded'] as const)(
    "has a problem with changes, %s, where the store's name is of a wrong type",
    async (changes) => {
      await server.client.lPush('tokengate:store', 'x');
      expect((await checkHealth(redis, {changes})).changeProblem).toMatch(/the key tokengate:store is of a wrong/);
      await server.client.del('tokengate:store');
      await server.client.set('tokengate:store', 'prod');
      expect((await checkHealth(redis, {changes})).changeProblem).toBeUndefined();
    },
  );

  test('has a problem with changes where the journal is no stream, and leaves a journal as it is', async () => {
    await server.client.set('tokengate:journal', 'x');
    expect((await checkHealth(redis, {changes: 'recorded'})).changeProblem).toMatch(/holds the wrong kind of value/);
    await server.client.del('tokengate:journal');
    await server.client.xAdd('tokengate:journal', '*', {a: 'b'});
    const before = await dumpKeyspace(server);
    expect((await checkHealth(redis, {changes: 'recorded'})).changeProblem).toBeUndefined();
    expect(await dumpKeyspace(server)).toEqual(before);
  });

  test('is bad on a replica', async () => {
    const replica: Redis = {...redis, server: {...redis.server, role: 'replica'}};
    await expect(checkHealth(replica)).rejects.toMatchObject({code: 'REDIS_READONLY'});
  });

  /** A connection that keeps what it was sent, a list for each flight. */
  const recording = (cluster?: Cluster): {flights: (readonly Command[])[]; recorded: Redis} => {
    const flights: (readonly Command[])[] = [];
    const pipeline: Redis['pipeline'] = (commands) => {
      flights.push(commands);
      return redis.pipeline(commands);
    };
    return {flights, recorded: {...redis, cluster, pipeline}};
  };
  const asksOf = (key: RedisText): Command[] => {
    const id = String(key).slice('session:'.length, -':budget'.length);
    return [
      ['GET', `session:${id}:budget`],
      ['SET', `session:${id}:budget`, '0', 'XX'],
      ['SET', `anomaly:${id}:frozen_until`, '0', 'XX'],
    ];
  };

  test('is asked in one flight, of an ID that no session has', async () => {
    const {flights, recorded} = recording();
    await checkHealth(recorded);
    const [[[, key = ''] = []] = []] = flights;
    expect(key).toMatch(/^session:tokengate-health-[0-9a-z]+:budget$/);
    expect(flights).toEqual([asksOf(key)]);
    await checkHealth(recorded);
    expect(flights[1]?.[0]).not.toEqual(flights[0]?.[0]);
  });

  test('is asked in the same flight with what changes need', async () => {
    const {flights, recorded} = recording();
    await checkHealth(recorded, {changes: 'recorded'});
    const [[[, key = ''] = []] = []] = flights;
    const id = String(key).slice('session:'.length, -':budget'.length);
    expect(flights).toEqual([
      [
        ...asksOf(key),
        ['GET', 'tokengate:store'],
        ['EVAL', 'return 1', '1', key],
        ['XTRIM', 'tokengate:journal', 'MAXLEN', '~', '1000000000000'],
        ['XADD', `tokengate:journal:${id}`, 'NOMKSTREAM', '*', 'a', 'b'],
      ],
    ]);
  });

  test('is asked of each primary of a cluster, once its connections are there', async () => {
    const primaryOf: Cluster['primaryOf'] = (key) => ['a', 'b', undefined][String(key).charCodeAt(25) % 3];
    const cluster = {primaries: 2, replicas: 1, primaryOf} as Cluster;
    const {flights, recorded} = recording(cluster);
    expect((await checkHealth(recorded)).cluster).toBe(cluster);
    const keys = flights[0]?.map(([, key = '']) => key) ?? [];
    expect(keys.map((key) => String(primaryOf(key))).sort()).toEqual(['a', 'b', 'undefined']);
    expect(flights).toEqual([keys.map((key) => ['GET', key]), keys.flatMap(asksOf)]);
  });
});
