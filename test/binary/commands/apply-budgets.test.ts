import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {BIN, NODE, type Output, runBinary, userEnv} from '../../support/program/run.js';
import {runAndStrike} from '../../support/program/strike.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

const SESSIONS = 20_000;
const SEED = `
redis.call('FLUSHDB')
for i = 1, ${SESSIONS} do redis.call('SET', string.format('session:s%05d:budget', i), '1') end
return redis.call('DBSIZE')`;
const [BEFORE, AFTER] = ['1', '2.50'];
const allIds = Array.from({length: SESSIONS}, (_, index) => `s${String(index + 1).padStart(5, '0')}`);

interface Result {
  session_id: string;
  outcome: 'changed' | 'not_done' | 'unknown';
  before?: {budget: number};
  after?: {budget: number};
  change_id: string | null;
  error?: {code: string; message: string};
}

let redis: TestRedis;
let folder: string;
let apply: string[];
beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-apply-'));
  const file = join(folder, 'budgets.yaml');
  await writeFile(file, `version: 1\nsessions:\n${allIds.map((id) => `  ${id}: {budget: ${AFTER}}\n`).join('')}`);
  apply = ['apply-budgets', '-f', file, '--yes', '--format', 'ndjson'];
});
beforeEach(async () => {
  expect(await redis.client.sendCommand(['EVAL', SEED, '0'])).toBe(SESSIONS);
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true});
});

/** Early enough that there is more to do than what is in the pipe and in flight. */
const someLines = (): number => 1 + Math.floor(Math.random() * 8000);
const budgets = async (): Promise<(string | null)[]> => redis.client.mGet(allIds.map((id) => `session:${id}:budget`));

/** Compares a report that has a line for each session with what is there, and counts the outcomes. */
async function expectTruth({stdout}: Output): Promise<Record<Result['outcome'], number>> {
  const lines = stdout.trimEnd().split('\n');
  const results = lines.map((line) => JSON.parse(line) as Result);
  expect(results.map(({session_id: id}) => id)).toEqual(allIds);
  const now = await budgets();
  const counts = {changed: 0, not_done: 0, unknown: 0};
  const lies = results.filter(({outcome, before, after, error}, index) => {
    counts[outcome]++;
    if (outcome === 'changed') return now[index] !== AFTER || before?.budget !== 1 || after?.budget !== 2.5;
    return outcome === 'not_done' ? now[index] !== BEFORE : error?.code !== 'OUTCOME_UNKNOWN';
  });
  expect(lies).toEqual([]);
  const changes = results.flatMap(({outcome, change_id: id}) => (outcome === 'changed' ? [id] : []));
  expect(new Set(changes).size).toBe(1);
  return counts;
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s: the report is the truth, and what was done is one change, which is undone whole',
  async (signal, code) => {
    const before = await dumpKeyspace(redis);
    const lines = someLines();
    const output = await runAndStrike(apply, {...redis, lines, strike: (child) => child.kill(signal)});
    expect({code: output.code, lines}).toEqual({code, lines});
    const {changed, not_done: left, unknown} = await expectTruth(output);
    expect(changed).toBeGreaterThanOrEqual(lines);
    expect(left).toBeGreaterThan(0);
    expect(unknown).toBe(0);
    expect(output.stderr).toBe(
      `Error: Changed ${withCommas(changed)}, not done ${withCommas(left)}. ` +
        `Not done from '${allIds[changed]!}' on, in the order of the IDs.\nRunning it again finishes the work.\n`,
    );
    expect(await runBinary(['undo-change', '--last', '--yes', '--quiet'], redis)).toMatchObject({code: 0});
    const after = await dumpKeyspace(redis);
    delete after['tokengate:journal'];
    expect(after).toEqual(before);

    expect(await runBinary([...apply, '--quiet'], redis)).toMatchObject({code: 0, stderr: ''});
    expect(new Set(await budgets())).toEqual(new Set([AFTER]));
  },
);

test('a Redis that stops answering: the report is the truth, and names what is unknown', async () => {
  const lines = someLines();
  const strike = (): void => {
    redis.process.kill('SIGSTOP');
  };
  const output = await runAndStrike([...apply, '--timeout', '1'], {...redis, lines, strike});
  redis.process.kill('SIGCONT');
  expect(output.code).toBe(1);
  const {changed, not_done: left, unknown} = await expectTruth(output);
  expect(changed).toBeGreaterThanOrEqual(lines);
  expect(left).toBeGreaterThan(0);
  expect(unknown).toBeGreaterThan(0);
  expect(output.stderr).toContain(`Changed ${withCommas(changed)}, unknown ${withCommas(unknown)}, not done `);
  expect((await runBinary([...apply, '--quiet'], redis)).code).toBe(0);
  expect(new Set(await budgets())).toEqual(new Set([AFTER]));
});

test('a reader that does not read holds it up, and one that goes away ends it', async () => {
  const child: ChildProcess = spawn(NODE, [BIN, ...apply], {env: userEnv(redis), stdio: ['ignore', 'pipe', 'pipe']});
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise((resolve) => child.once('close', resolve));
  const countDone = async (): Promise<number> => (await budgets()).filter((budget) => budget === AFTER).length;
  let [before, same] = [0, 0];
  await until(async () => {
    const now = await countDone();
    same = now === before && now > 0 ? same + 1 : 0;
    before = now;
    return same > 20;
  });
  expect(before).toBeLessThan(SESSIONS);
  child.stdout!.destroy();
  expect(await ended).toBe(1);
  const done = await countDone();
  expect(stderr).toContain('Error: The reader of the output has gone.');
  expect(stderr).toContain(`Changed ${withCommas(done)}, not done ${withCommas(SESSIONS - done)}.`);
});

function withCommas(count: number): string {
  return count.toLocaleString('en-US');
}
