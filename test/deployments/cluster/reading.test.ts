import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';

import {BUDGET_KEYS} from '../../../src/lib/gateway/keys.js';
import {slotOf} from '../../../src/lib/redis/cluster/slots.js';
import {connect} from '../../../src/lib/redis/connect.js';
import type {Redis} from '../../../src/lib/redis/contract.js';
import {scanKeys} from '../../../src/lib/redis/scan-keys.js';
import {scanIds} from '../../../src/lib/sessions/scan-ids.js';
import {rawId} from '../../../src/lib/values/session-id.js';
import {runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.stop());
afterEach(async () => {
  for (const {client} of cluster.primaries) await client.flushAll();
});

const json = async (...argv: string[]): Promise<unknown> => {
  const {code, stdout, stderr} = await runBinary([...argv, '--json'], cluster);
  expect({argv, code, stderr}).toEqual({argv, code: 0, stderr: ''});
  return JSON.parse(stdout) as unknown;
};

test('slots are those of the server', async () => {
  const keys = [
    '',
    'a',
    'session:a:budget',
    'session:{a}:spent',
    '{}a',
    'x{',
    'x{}{a}',
    '{a}{b}',
    'session:é:budget',
    '123456789',
  ];
  for (const key of keys) {
    expect([key, slotOf(key)]).toEqual([
      key,
      await cluster.primaries[0]?.client.sendCommand(['CLUSTER', 'KEYSLOT', key]),
    ]);
  }
  expect(slotOf('123456789')).toBe(0x31_c3);
});

describe('sessions on all primaries', () => {
  const ids = Array.from({length: 300}, (_, index) => `s-${String(index).padStart(3, '0')}`);
  const fill = async (): Promise<void> =>
    cluster.write(
      Object.fromEntries(
        ids.flatMap((id, index) => [
          [`session:${id}:budget`, '10.0'],
          [`session:${id}:spent`, `${index}.5`],
        ]),
      ),
    );

  test('are listed, each once', async () => {
    await fill();
    const sessions = (await json('list-sessions')) as {session_id: string; spent: number}[];
    expect(sessions.map(({session_id: id}) => id)).toEqual(ids);
    expect(sessions[299]).toMatchObject({spent: 299.5});
    const all = await Promise.all(cluster.primaries.map(({client}) => client.dbSize()));
    expect(all.every((count) => count > 100)).toBe(true);
  });

  test('are found by whichever node is asked', async () => {
    await fill();
    for (const {url} of cluster.primaries) {
      const {stdout} = await runBinary(['list-sessions', '--format', 'ids', '--where', 'spent > 297'], {url});
      expect(stdout).toBe('s-297\ns-298\ns-299\n');
    }
  });

  test('are checked', async () => {
    await fill();
    const {code, stdout, stderr} = await runBinary(['check-sessions', '--json'], cluster);
    expect({code, stderr}).toEqual({code: 2, stderr: ''});
    expect(JSON.parse(stdout)).toMatchObject({critical: 291, warning: 1});
    const store = await runBinary(['check-store', '--match', 's-00*'], cluster);
    expect(store).toMatchObject({code: 0, stderr: ''});
  });

  test('are measured', async () => {
    await fill();
    const {code, stdout, stderr} = await runBinary(['print-metrics'], cluster);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatch(/^tokengate_sessions.* 300$/m);
  });
});

test('one session is read by every command that reads one', async () => {
  await cluster.write({'session:a:budget': '10.0', 'session:a:spent': '2.5', 'anomaly:a:requests:1min': '7'});
  expect(await json('get-budget', 'a')).toMatchObject({budget: 10, spent: 2.5, remaining: 7.5});
  expect(await json('anomaly-stats', 'a')).toMatchObject({requests_last_minute: 7});
  expect(await json('explain-session', 'a')).toMatchObject({session_id: 'a'});
  expect(await json('list-requests', 'a')).toEqual([]);
  expect(await json('list-changes')).toEqual([]);
});

describe('while slots are moved', () => {
  let redis: Redis;
  const others: TestCluster[] = [];
  afterEach(async () => {
    redis.close();
    await Promise.all(others.splice(0).map((other) => other.stop()));
  });
  const ids = Array.from({length: 4000}, (_, index) => `m${String(index).padStart(4, '0')}`);
  const names = ids.map((id) => `session:${id}:budget`);
  const seenIn = async (
    pages: AsyncIterable<Buffer[]>,
    onPage: (count: number) => Promise<void>,
  ): Promise<Set<string>> => {
    const seen = new Set<string>();
    let count = 0;
    for await (const page of pages) {
      for (const key of page) seen.add(key.toString());
      await onPage(++count);
    }
    return seen;
  };

  test.each([
    [0, 2],
    [2, 0],
  ])('from node %i to %i, none is missed', async (source, target) => {
    const own = await startCluster();
    others.push(own);
    await own.write(Object.fromEntries(names.map((name) => [name, '1'])));
    redis = await connect({url: own.url});
    const [from, to] = [own.primaries[source], own.primaries[target]];
    if (from === undefined || to === undefined) throw new Error('no node');
    const mine = names.filter((name) => Math.floor((slotOf(name) * 3) / 16_384) === source);
    const slots = [...new Set(mine.map(slotOf))].slice(0, 300);
    let moved = 0;
    const seen = await seenIn(scanKeys(redis, 'session:*:budget'), async (page) => {
      if (page > 2) return;
      // Some have moved, some are being moved, when the scan goes on.
      for (const slot of slots.slice((page - 1) * 150, page * 150)) {
        await own.beginMove(slot, from, to);
        moved += await own.moveKeys(slot, from, to, slot % 2 === 0 ? 100 : 1);
        if (slot % 2 === 0) await own.endMove(slot, from, to);
      }
    });
    expect(moved).toBeGreaterThan(200);
    expect([...seen].sort()).toEqual(names);
    expect([...(redis.cluster?.doubts ?? [])]).toEqual([]);
    // What is being moved is read from where it is.
    expect(await scanIds(redis, BUDGET_KEYS)).toEqual(ids.map(rawId));
    const {stdout, stderr} = await runBinary(['list-sessions', '--format', 'csv', '--columns', 'id,budget'], own);
    expect({lines: stdout.trim().split('\n').length, stderr}).toEqual({lines: names.length + 1, stderr: ''});
  });

  test('and a part is served by no node, the list says that it could be incomplete', async () => {
    await cluster.write({'session:a:budget': '10.0'});
    const [from, to] = cluster.primaries;
    if (from === undefined || to === undefined) throw new Error('no node');
    // A slot that nobody serves.
    await from.client.sendCommand(['CLUSTER', 'DELSLOTS', '0']);
    try {
      redis = await connect({url: cluster.url});
      await scanIds(redis, BUDGET_KEYS);
      expect([...(redis.cluster?.doubts ?? [])]).toEqual([
        "The list could be incomplete: keys of 1 of the cluster's 16384 slots are being moved, or no node serves them.",
      ]);
    } finally {
      await from.client.sendCommand(['CLUSTER', 'ADDSLOTS', '0']);
    }
  });
});
