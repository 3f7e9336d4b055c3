import {describe, expect, test} from 'vitest';

import {checkHealth} from '../../src/lib/health.js';
import {type Cluster, connect, type Redis} from '../../src/lib/redis.js';
import {dumpKeyspace} from '../support/keyspace.js';
import type {TestRedis} from '../support/redis-server.js';
import {withRedis} from '../support/with-redis.js';

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
    expect(rest).toEqual({...redis.server, cluster: undefined});
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

  test('is bad on a replica', async () => {
    const replica: Redis = {...redis, server: {...redis.server, role: 'replica'}};
    await expect(checkHealth(replica)).rejects.toMatchObject({code: 'REDIS_READONLY'});
  });

  test('is asked of each primary of a cluster', async () => {
    const asked: string[] = [];
    const primaryOf: Cluster['primaryOf'] = (key) => ['a', 'b', undefined][String(key).charCodeAt(25) % 3];
    const cluster = {primaries: 2, replicas: 1, primaryOf} as Cluster;
    const all: Redis = {
      ...redis,
      cluster,
      pipeline: (commands) => {
        asked.push(
          ...commands
            .filter(([name, key]) => name === 'SET' && String(key).startsWith('session:'))
            .map(([, key]) => String(primaryOf(key!))),
        );
        return redis.pipeline(commands);
      },
    };
    expect((await checkHealth(all)).cluster).toBe(cluster);
    expect(asked.sort()).toEqual(['a', 'b', 'undefined']);
  });
});
