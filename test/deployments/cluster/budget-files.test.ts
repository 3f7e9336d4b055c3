import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {type Output, runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';

let cluster: TestCluster;
let folder: string;
let file: string;
beforeAll(async () => {
  cluster = await startCluster();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-cluster-files-'));
  file = join(folder, 'budgets.yaml');
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, {recursive: true});
});
beforeEach(async () => {
  for (const {client} of cluster.primaries) await client.flushAll();
  await cluster.write({
    'session:dev-team:budget': '45.0',
    'session:dev-team:spent': '12.5',
    'session:ü\n*:budget': '7.5E-7',
    'session:{t}:1:budget': '3',
    'session:team:old:budget': '9',
  });
  expect((await run('set-period', 'dev-team', '--every', 'month', '--amount', '45')).code).toBe(0);
});

const run = async (...argv: string[]): Promise<Output> => runBinary(argv, cluster);
/** Without the journal. */
const state = async (): Promise<Record<string, string | null>> => {
  const texts = await cluster.texts();
  texts.delete('tokengate:journal');
  return Object.fromEntries([...texts].sort());
};
const edit = async (): Promise<void> => {
  expect(await run('export-budgets', '--out', file)).toEqual({code: 0, stdout: '', stderr: ''});
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    `${text.replace('{budget: 45', '{budget: 50').replace('budget: 3', 'budget: 4')}  bot: {budget: 5}\n`,
  );
};

test('what a Cluster exports it applies without a change; an edit is applied, and undone whole', async () => {
  const before = await state();
  expect(await run('export-budgets', '--out', file)).toMatchObject({code: 0});
  expect(await run('apply-budgets', '-f', file, '--yes')).toEqual({
    ...{code: 0, stdout: '✓ Changed 0, unchanged 4\n', stderr: ''},
  });
  await edit();
  const diff = await run('diff-budgets', '-f', file);
  expect(diff).toEqual({
    code: 2,
    stdout:
      '+ bot: budget $5.00\n~ dev-team: budget $45.00 → $50.00, renewal every month $45.00 → every month $50.00\n' +
      '~ {t}:1: budget $3.00 → $4.00\n3 to change, 2 as they should be\n',
    stderr: '',
  });
  expect(await run('apply-budgets', '-f', file, '--yes', '--quiet')).toMatchObject({code: 0, stderr: ''});
  expect(await state()).toMatchObject({
    'session:bot:budget': '5',
    'session:dev-team:budget': '50',
    'session:{t}:1:budget': '4',
  });
  expect(await run('diff-budgets', '-f', file)).toMatchObject({code: 0});
  expect(await run('undo-change', '--last', '--yes', '--quiet')).toMatchObject({code: 0, stderr: ''});
  expect(await state()).toEqual(before);
  expect(await run('diff-budgets', '-f', file)).toEqual(diff);
});

test('a plan is applied by any node, and refuses a session that has changed since', async () => {
  await edit();
  const plan = join(folder, 'plan.json');
  expect((await run('diff-budgets', '-f', file, '--out', plan)).code).toBe(2);
  await cluster.write({'session:{t}:1:budget': '3.0'});
  const {code, stdout} = await runBinary(['apply-budgets', '--plan', plan, '--yes', '--format', 'ndjson'], {
    url: cluster.primaries[1]!.url,
  });
  expect(code).toBe(1);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    {session_id: 'bot', outcome: 'changed'},
    {session_id: 'dev-team', outcome: 'changed'},
    {session_id: '{t}:1', outcome: 'failed', error: {code: 'CHANGED_SINCE'}},
  ]);
  expect(await state()).toMatchObject({'session:bot:budget': '5', 'session:{t}:1:budget': '3.0'});
});

test('--unlisted freeze and zero take the sessions of all nodes', async () => {
  await writeFile(file, "version: 1\nscope: ['*']\nsessions:\n  dev-team: {}\n");
  expect(await run('apply-budgets', '-f', file, '--yes', '--unlisted', 'freeze', '--quiet')).toMatchObject({code: 0});
  expect(Object.keys(await state()).filter((key) => key.endsWith(':frozen_until'))).toEqual([
    ...['anomaly:team:old:frozen_until', 'anomaly:{t}:1:frozen_until', 'anomaly:ü\n*:frozen_until'],
  ]);
  expect(await run('apply-budgets', '-f', file, '--yes', '--unlisted', 'zero', '--quiet')).toMatchObject({code: 0});
  expect(await state()).toMatchObject({
    'session:dev-team:budget': '45',
    'session:team:old:budget': '0',
    'session:{t}:1:budget': '0',
    'session:ü\n*:budget': '0',
  });
});
