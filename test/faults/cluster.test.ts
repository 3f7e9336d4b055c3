import {expect, test} from 'vitest';

import {changeKnown} from '../../src/lib/change/apply.js';
import {newChangeId} from '../../src/lib/journal/entry.js';
import {resetChange} from '../../src/lib/operations/reset.js';
import {connect} from '../../src/lib/redis/connect.js';
import {rawId} from '../../src/lib/values/session-id.js';
import {type Broken, each, failure, FINE, KEYS, operator, testFaults} from '../support/faults.js';
import {startCluster, type TestCluster} from '../support/redis/cluster.js';
import {portOf, type TestRedis} from '../support/redis/redis-server.js';
import {until} from '../support/until.js';

const NAMED =
  'The cluster gave this address (see cluster-announce-ip). CLUSTER NODES on ADDRESS says whether it is up.';
const A = 'Before: budget $20.00, spent $0.00000075. Now: budget $20.00, spent $0.00000075.';
const B = 'Before: budget $3.00, spent none. Now: budget $3.00, spent none.';
const DOWN = 'Redis at NODE says that its cluster serves no such key now.';
const SILENT = 'Redis at NODE did not answer within 3 s.';

// On a busy machine a second would be over before the first answer.
testFaults('a node of a Cluster', [
  {
    name: 'is gone, and nobody replaces it',
    timeout: 3,
    start: () => breakCluster(({process}) => kill(process)),
    expected: failure('Cannot connect to Redis at NODE: connection refused (is Redis running?).', NAMED),
  },
  {
    name: 'is silent',
    timeout: 3,
    start: () =>
      breakCluster(
        ({process}) => process.kill('SIGSTOP'),
        ({process}) => process.kill('SIGCONT'),
      ),
    expected: failure(SILENT, NAMED),
  },
  {
    name: 'is silent when it is to change something',
    timeout: 3,
    start: () => breakCluster(({client}) => client.sendCommand(['CLIENT', 'PAUSE', '3600000', 'WRITE'])),
    expected: {
      ...FINE,
      health: failure(SILENT, 'The server may be overloaded, stopped, or behind a firewall.'),
      write: {
        stderr: [
          `Error: ${SILENT} It is unknown whether the budget of session 'a' was set.`,
          `${A} The journal has change CHANGE as begun.`,
        ],
      },
      batch: {
        stderr: [
          `Error: Session 'a': it is unknown whether it was changed. ${A} The journal has change CHANGE as begun.`,
          `Error: Session 'b': it is unknown whether it was changed. ${B} The journal has change CHANGE as begun.`,
          `Error: ${SILENT} Reset 0, unknown 2.`,
          'Running it again finishes the work.',
        ],
      },
    },
  },
  {
    name: 'says that the cluster is down',
    timeout: 3,
    start: async () => {
      const {cluster, ...broken} = await breakCluster();
      for (const {client} of cluster.primaries) await client.sendCommand(['CLUSTER', 'DELSLOTS', '16383']);
      await untilState(cluster, 'fail');
      const nodes = cluster.primaries.map((node) => [`127.0.0.1:${portOf(node)}`, 'NODE']);
      return {...broken, names: Object.fromEntries(nodes) as Record<string, string>};
    },
    expected: each(
      failure(DOWN, 'A primary may be gone: see CLUSTER NODES on any node. Try again when another has taken over.'),
      {
        batch: {
          stderr: [
            `Error: ${DOWN} Reset 0, not done 2. Not done from 'a' on, in the order of the IDs.`,
            'Running it again finishes the work.',
          ],
        },
      },
    ),
  },
]);

test('all nodes that fall silent in the middle of a change are waited for twice, not three times', async () => {
  const timeoutMs = 4000;
  const {cluster, ...broken} = await breakCluster(({client}) =>
    client.sendCommand(['CLIENT', 'PAUSE', '3600000', 'WRITE']),
  );
  const redis = await connect({url: broken.url, timeoutMs});
  try {
    const journal = {change: newChangeId(), command: 'x', actor: 'x', reason: '', version: '1', limit: 1000};
    const what = 'it was done';
    const change = changeKnown(redis, rawId('a'), resetChange({keepBudget: false}), {journal, what});
    const outcome = change.catch((error: unknown) => error);
    const keeper = await cluster.primaryOf('tokengate:journal');
    await until(async () => (await keeper.client.xLen('tokengate:journal')) > 0);
    const start = performance.now();
    for (const {process} of cluster.primaries) process.kill('SIGSTOP');
    expect(await outcome).toMatchObject({code: 'OUTCOME_UNKNOWN'});
    expect(performance.now() - start).toBeLessThan(2.5 * timeoutMs);
  } finally {
    redis.close();
    for (const {process} of cluster.primaries) process.kill('SIGCONT');
    await broken.stop();
  }
});

/** A cluster with sessions, whose node with their budgets is spoiled, and which is asked by way of another. */
async function breakCluster(
  spoil?: (node: TestRedis) => unknown,
  mend?: (node: TestRedis) => unknown,
): Promise<Broken & {cluster: TestCluster}> {
  const cluster = await startCluster({args: operator('~*', '&*', '+@all')});
  try {
    await cluster.write(KEYS);
    // Nobody finds out by himself.
    for (const {client} of cluster.primaries) await client.configSet('cluster-node-timeout', '3600000');
    const node = await cluster.primaryOf('session:a:budget');
    const look = async (): Promise<unknown> =>
      Object.fromEntries([...(await cluster.texts())].filter(([key]) => !key.startsWith('tokengate:')).sort());
    const before = await look();
    await spoil?.(node);
    return {
      cluster,
      url: cluster.url,
      names: {[`127.0.0.1:${portOf(node)}`]: 'NODE'},
      ...(mend === undefined && {look}),
      async stop() {
        try {
          if (mend === undefined) return;
          await mend(node);
          expect(await look()).toEqual(before);
        } finally {
          await cluster.stop();
        }
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function untilState(cluster: TestCluster, state: string): Promise<void> {
  const info = async ({client}: TestRedis): Promise<string> => client.sendCommand<string>(['CLUSTER', 'INFO']);
  await until(async () =>
    (await Promise.all(cluster.primaries.map(info))).every((text) => text.includes(`cluster_state:${state}`)),
  );
}

async function kill(process: TestRedis['process']): Promise<void> {
  const ended = new Promise((resolve) => process.once('exit', resolve));
  process.kill('SIGKILL');
  await ended;
}
