import type {ChildProcess} from 'node:child_process';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {isAsleep} from '../../support/program/processes.js';
import {runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';
import {until} from '../../support/until.js';

const SESSIONS = 10_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
  await cluster.write(
    Object.fromEntries(Array.from({length: SESSIONS}, (_, index) => [`session:s${index}:budget`, '5'])),
  );
});
afterAll(() => cluster.stop());

/** Everything that is done on all nodes, but for what the tests ask. */
async function asked(): Promise<number> {
  const counts = cluster.primaries.map(async ({client}) => {
    const stats = await client.info('commandstats');
    const all = [...stats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)];
    return all.filter(([, name]) => name !== 'info').reduce((sum, [, , calls]) => sum + Number(calls), 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** Runs a command whose reader reads nothing; every node closes its connections meanwhile. Then all is read. */
async function runPaused(argv: string[]) {
  let child!: ChildProcess;
  const ended = runBinary(argv, {url: cluster.url, onStart: (started) => (child = started)});
  child.stdout?.pause();
  let [before, same] = [0, 0];
  await until(async () => {
    const now = await asked();
    // Asleep: a machine with much to do may let the command wait for its turn.
    const isPaused = (child.stdout?.readableLength ?? 0) > 0 && isAsleep(child.pid!);
    same = now === before && isPaused ? same + 1 : 0;
    before = now;
    return same > 20;
  });
  for (const {client} of cluster.primaries) {
    await client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
  }
  child.stdout?.resume();
  return ended;
}

describe('nodes that close a connection on which nothing is said', () => {
  test.each([
    ['list-sessions', '--format', 'ndjson'],
    ['export-budgets', '--format', 'json'],
  ])('do not shorten %s', async (...argv) => {
    const {code, stdout, stderr} = await runPaused(argv);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(new Set(stdout.match(/"s\d+"/g)).size).toBe(SESSIONS);
  });

  test('do not end a batch, nor leave anything unknown', async () => {
    const {code, stdout, stderr} = await runPaused(['freeze-session', '--all', '--yes', '--json', '--quiet']);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(JSON.parse(stdout)).toMatchObject({summary: {frozen: SESSIONS, unknown: 0, not_done: 0}});
  });
});
