import {afterAll, beforeAll, beforeEach} from 'vitest';

import {slotOf, SLOTS} from '../../../src/lib/redis/cluster/slots.js';
import {connect} from '../../../src/lib/redis/connect.js';
import type {RedisText, Redis} from '../../../src/lib/redis/contract.js';
import {startCluster} from './cluster.js';
import {openClient} from './redis-server.js';

type Client = ReturnType<typeof openClient>;

/** Three primaries that serve a third of the slots each. */
export interface Nodes {
  readonly urls: readonly string[];
  /** In the same order. */
  readonly clients: readonly Client[];
  /** Of the primary that serves a key, or a slot. */
  clientOf(key: RedisText | number): Client;
}

/**
 * Gives the tests of a file a cluster, empty at the start of each test, and a connection to it. Mutants share the
 * cluster in the environment instead: see `shared-cluster.ts`.
 */
export function withCluster(give: (own: {nodes: Nodes; redis: Redis}) => void): void {
  const ends: (() => unknown)[] = [];
  let clients: Client[];
  beforeAll(async () => {
    let urls = process.env['TEST_CLUSTER']?.split(' ');
    if (urls === undefined) {
      const cluster = await startCluster();
      ends.push(() => cluster.stop());
      urls = cluster.primaries.map(({url}) => url);
    }
    clients = await Promise.all(
      urls.map((url) => {
        const {hostname: host, port} = new URL(url);
        return openClient({host, port: Number(port)}).connect();
      }),
    );
    const redis = await connect({url: urls[0] ?? ''});
    ends.unshift(
      () => {
        redis.close();
      },
      ...clients.map((client) => () => {
        client.destroy();
      }),
    );
    const clientOf = (key: RedisText | number): Client => {
      const slot = typeof key === 'number' ? key : slotOf(key);
      return clients[Math.floor((slot * clients.length) / SLOTS)]!;
    };
    give({nodes: {urls, clients, clientOf}, redis});
  });
  beforeEach(() => Promise.all(clients.map((client) => client.flushAll())));
  afterAll(async () => {
    for (const end of ends) await end();
  });
}
