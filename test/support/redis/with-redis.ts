import {afterAll, afterEach, beforeAll, beforeEach} from 'vitest';

import {connect} from '../../../src/lib/redis/connect.js';
import type {Redis} from '../../../src/lib/redis/contract.js';
import {type RedisOptions, startRedis, type TestRedis} from './redis-server.js';

/** Gives the tests of a file a server of their own, empty at the start of each test. It is available once they run. */
export function useRedis(options: RedisOptions = {}): TestRedis {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startRedis(options);
  });
  beforeEach(() => server.client.flushDb());
  afterAll(() => server.stop());
  return {
    get url() {
      return server.url;
    },
    get process() {
      return server.process;
    },
    get client() {
      return server.client;
    },
    stop: () => server.stop(),
  };
}

interface Own {
  server: TestRedis;
  redis: Redis;
  /**
   * Connects until the end of the test as another user, with all rights except for these changes, in the words of `ACL
   * SETUSER`.
   */
  connectAs: (...rights: string[]) => Promise<Redis>;
}

/** The same, with the CLI's own connection to it. */
export function withRedis(give: (own: Own) => void): void {
  let server: TestRedis;
  let redis: Redis;
  const others: Redis[] = [];
  const connectAs = async (...rights: string[]): Promise<Redis> => {
    await server.client.sendCommand(['ACL', 'SETUSER', 'other', 'reset', 'on', '>secret', '+@all', '~*', ...rights]);
    const other = await connect({url: server.url.replace('unix://', 'unix://other:secret@')});
    others.push(other);
    return other;
  };
  beforeAll(async () => {
    server = await startRedis();
    redis = await connect({url: server.url});
    give({server, redis, connectAs});
  });
  beforeEach(() => server.client.flushDb());
  afterEach(() => {
    for (const other of others.splice(0)) other.close();
  });
  afterAll(async () => {
    redis.close();
    await server.stop();
  });
}
