import {afterAll, beforeAll, beforeEach} from 'vitest';

import {connect, type Redis} from '../../src/lib/redis.js';
import {startRedis, type TestRedis} from './redis-server.js';

/** Gives the tests of a file a server of their own, which each finds empty, and a connection to it. */
export function withRedis(give: (own: {server: TestRedis; redis: Redis}) => void): void {
  let server: TestRedis;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = await connect({url: server.url});
    give({server, redis});
  });
  beforeEach(() => server.client.flushDb());
  afterAll(async () => {
    redis.close();
    await server.stop();
  });
}
