import {test as base} from 'vitest';

import {slotOf} from '../../../src/lib/redis/cluster/slots.js';
import {connect, type ConnectOptions} from '../../../src/lib/redis/connect.js';
import type {Redis} from '../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../src/lib/values/errors.js';
import {AS_EVER, type FakeCluster, type Judge, startFakeCluster} from './fake-cluster.js';

/** Milliseconds for an answer, in a test that waits for this limit. */
export const SOON = 250;

/** A key of each of the three primaries. */
export const [K0, K1, K2] = [0, 1, 2].map((node) => {
  const keys = Array.from({length: 100}, (_, index) => `k${index}`);
  return keys.find((key) => Math.floor((slotOf(key) * 3) / 16_384) === node) ?? '';
}) as [string, string, string];

export const slot = (key: string): string => String(slotOf(key));

/** Gives other answers to the first commands with this name on a node. */
export const first = (node: number, name: string, ...answers: (Error | string | number | undefined)[]): Judge => {
  return (at, command, socket) => {
    if (at !== node || command[0] !== name || answers.length === 0) return AS_EVER;
    const answer = answers.shift();
    if (answer !== 'close') return answer;
    socket.destroy();
    return undefined;
  };
};

export const thrown = async (promise: Promise<unknown>): Promise<TokengateError> => {
  const error: unknown = await promise.then(
    (value) => new Error(`not thrown: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TokengateError)) throw error;
  return error;
};

export interface OwnCluster {
  cluster: FakeCluster;
  open: (options?: Partial<ConnectOptions>) => Promise<Redis>;
  /** To run at the end of the test. */
  ends: (() => unknown)[];
}

/**
 * Gives each test a cluster of five nodes, the last two of which serve nothing yet, and connections to it. Most tests of
 * a cluster wait: `test.concurrent`.
 */
export const test = base.extend<OwnCluster>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads the names
  ends: async ({}, use) => {
    const ends: (() => unknown)[] = [];
    await use(ends);
    for (const end of ends.reverse()) await end();
  },
  cluster: async ({ends}, use) => {
    const cluster = await startFakeCluster(5);
    ends.push(() => cluster.stop());
    await use(cluster);
  },
  open: async ({cluster, ends}, use) => {
    await use(async (options = {}) => {
      const redis = await connect({url: cluster.url, homeKey: K2, ...options});
      ends.push(() => {
        redis.close();
      });
      return redis;
    });
  },
});
