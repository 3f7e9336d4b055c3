import {afterEach, beforeEach, expect, test} from 'vitest';

import {slotOf} from '../../../src/lib/redis/cluster/slots.js';
import {connect} from '../../../src/lib/redis/connect.js';
import {runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';

const SESSIONS = 20_000;
const ids = Array.from({length: SESSIONS}, (_, index) => `s${String(index + 1).padStart(5, '0')}`);
const budgetOf = (id: string): string => `${Number(id.slice(1))}.5`;
const spentOf = (id: string): string => (Number(id.slice(1)) / 100).toFixed(2);
const budgetKey = (id: string): string => `session:${id}:budget`;
const spentKey = (id: string): string => `session:${id}:spent`;

interface Result {
  session_id: string;
  outcome: 'reset' | 'failed' | 'unknown' | 'not_done' | 'not_found';
  removed_budget?: number;
  removed_spent?: number;
  error?: {code: string; message: string};
}

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startCluster({replicas: true});
  await cluster.write(
    Object.fromEntries(
      ids.flatMap((id) => [
        [budgetKey(id), budgetOf(id)],
        [spentKey(id), spentOf(id)],
      ]),
    ),
  );
});
afterEach(() => cluster.stop());

/** Resets all, and does something else once a part of the report has been printed. */
async function resetAll(
  meanwhile: () => Promise<void>,
): Promise<{results: Result[]; code: number | null; stderr: string}> {
  let began: Promise<void> | undefined;
  const argv = ['reset-session', '--all', '--yes', '--format', 'ndjson', '--timeout', '30'];
  const {code, stdout, stderr} = await runBinary(argv, {
    ...cluster,
    onStart: ({stdout: output}) => {
      output?.on('data', () => {
        began ??= meanwhile();
      });
    },
  });
  await began;
  const results = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Result);
  expect(results.map(({session_id: id}) => id)).toEqual(ids);
  return {results, code, stderr};
}

/** Compares a report with the keys; gives how often each outcome was told. */
function expectTruth(results: readonly Result[], texts: ReadonlyMap<string, string | null>): Map<string, number> {
  const counts = new Map<string, number>();
  const lies: unknown[] = [];
  for (const result of results) {
    const {session_id: id, outcome, removed_budget: budget, removed_spent: spent, error} = result;
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const left = [texts.get(budgetKey(id)), texts.get(spentKey(id))];
    const isWhole = left[0] === budgetOf(id) && left[1] === spentOf(id);
    const isTold = budget === Number(budgetOf(id)) && spent === Number(spentOf(id));
    // What is unknown tells what was there, and what is there.
    const isNamed =
      error?.message.includes(`Before: budget $${Number(budgetOf(id)).toFixed(2)}, spent $${spentOf(id)}`) === true &&
      error.message.includes(
        left[0] === undefined ? 'Now: budget none' : `Now: budget $${Number(budgetOf(id)).toFixed(2)}`,
      );
    const isMoneySafe = left[0] === undefined || left[1] === spentOf(id);
    const isTrue = {
      reset: left.every((text) => text === undefined) && isTold,
      not_done: isWhole,
      unknown: isNamed && isMoneySafe,
      failed: isMoneySafe,
      not_found: false,
    }[outcome];
    if (!isTrue) lies.push({...result, left});
  }
  expect(lies.slice(0, 3)).toEqual([]);
  return counts;
}

test('a batch of 20,000 in which a primary is killed reports exactly what the keys say', async () => {
  const {results, code, stderr} = await resetAll(() => cluster.failOver(1));
  const texts = await cluster.texts();
  const counts = expectTruth(results, texts);
  expect(counts.get('reset')).toBeGreaterThan(0);
  const isWhole = counts.get('reset') === SESSIONS;
  expect(code).toBe(isWhole ? 0 : 1);
  if (!isWhole) expect(stderr).toContain('not done');

  // The work can be finished, and what the journal then says sums up to all that was there.
  const open = results.filter(({outcome}) => outcome !== 'reset').map(({session_id: id}) => id);
  const again = await runBinary(['reset-session', '--stdin', '--yes', '--quiet', '--timeout', '30'], {
    ...cluster,
    input: `${open.join('\n')}\n`,
  });
  expect(again.stdout + again.stderr).not.toContain('unknown');
  expect([...(await cluster.texts()).keys()].filter((key) => key.startsWith('session:'))).toEqual([]);
});

test('a listing in which a primary is killed misses no session', async () => {
  const redis = await connect({url: cluster.url, timeoutMs: 30_000});
  try {
    const seen = new Set<string>();
    let failover: Promise<void> | undefined;
    for await (const page of redis.scan('session:*:budget')) {
      for (const key of page) seen.add(key.toString());
      if (seen.size > 8000) failover ??= cluster.failOver(1);
    }
    await failover;
    expect(seen.size).toBe(SESSIONS);
    expect([...redis.doubts]).toEqual([]);
  } finally {
    redis.close();
  }
});

test('a command waits for another node to replace a silent one, and names what is gone when that takes too long', async () => {
  const index = cluster.primaries.indexOf(await cluster.primaryOf(budgetKey('s00001')));
  const failover = cluster.failOver(index, 'SIGSTOP');
  const url = cluster.primaries[(index + 1) % 3]?.url ?? '';
  const patient = await runBinary(['get-budget', 's00001', '--timeout', '30'], {url});
  expect(patient).toMatchObject({code: 0, stderr: ''});
  await failover;
  await cluster.replicas[index]?.stop();
  const {code, stdout, stderr} = await runBinary(['list-sessions', '--timeout', '3'], {url});
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toMatch(/^Error: (Cannot connect to Redis at 127|.*its cluster serves no such key)/);
});

test('a batch in which slots are moved does all, and a listing after it finds none', async () => {
  const [from, to] = [cluster.primaries[0], cluster.primaries[1]];
  if (from === undefined || to === undefined) throw new Error('no node');
  const slots = [...new Set(ids.map((id) => slotOf(spentKey(id))))].filter((slot) => slot < 5000).slice(0, 200);
  const {results, code, stderr} = await resetAll(async () => {
    const move = async (slot: number): Promise<void> => {
      await cluster.beginMove(slot, from, to);
      await cluster.moveKeys(slot, from, to, 1);
      await cluster.moveKeys(slot, from, to, 1000);
      await cluster.endMove(slot, from, to);
    };
    // One after another most would move after the batch: a node writes its file of slots at each step.
    for (let at = 0; at < slots.length; at += 20) await Promise.all(slots.slice(at, at + 20).map(move));
  });
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  expect(expectTruth(results, await cluster.texts())).toEqual(new Map([['reset', SESSIONS]]));
});
