import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import ApplyBudgets from '../../src/commands/apply-budgets.js';
import DiffBudgets from '../../src/commands/diff-budgets.js';
import ExportBudgets from '../../src/commands/export-budgets.js';
import UndoChange from '../../src/commands/undo-change.js';
import {type Output, runCommand} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  folder = mkdtempSync(join(tmpdir(), 'tokengate-budgets-'));
});
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.mSet({
    'session:dev-team:budget': '45.00',
    'session:dev-team:spent': '7',
    'session:a b:budget': '7.5E-7',
    'session:team:old:budget': '1',
    'session:é"\n:budget': '3',
  });
});
afterAll(async () => {
  rmSync(folder, {recursive: true});
  await redis.stop();
});

const file = (name: string): string => join(folder, name);
const exportTo = (name: string): Promise<Output> => runCommand(ExportBudgets, ['--out', file(name)], redis);
const diff = (...argv: string[]): Promise<Output> => runCommand(DiffBudgets, argv, redis);
const apply = (...argv: string[]): Promise<Output> => runCommand(ApplyBudgets, [...argv, '--yes'], redis);

test('what is exported changes nothing, twice the same bytes, and has no spending in it', async () => {
  await exportTo('one.yaml');
  await exportTo('two.yaml');
  const text = readFileSync(file('one.yaml'), 'utf8');
  expect(readFileSync(file('two.yaml'), 'utf8')).toBe(text);
  expect(text).not.toMatch(/spent|\b7\b/);
  expect(await diff('-f', file('one.yaml'))).toMatchObject({code: 0, stdout: '0 to change, 4 as they should be\n'});
  expect(await apply('-f', file('one.yaml'))).toMatchObject({code: 0, stdout: '✓ Changed 0, unchanged 4\n'});
});

test('export, edit, diff, apply, an empty diff, undo, and the edit again', async () => {
  await exportTo('edited.yaml');
  const text = readFileSync(file('edited.yaml'), 'utf8');
  writeFileSync(file('edited.yaml'), `${text.replace('budget: 45', 'budget: 50')}  bot: {budget: 5}\n`);
  const edit = await diff('-f', file('edited.yaml'));
  expect(edit).toMatchObject({code: 2});
  expect(edit.stdout).toContain('~ dev-team: budget $45.00 → $50.00');
  expect(edit.stdout).toContain('+ bot: budget $5.00');
  expect(await apply('-f', file('edited.yaml'))).toMatchObject({code: 0});
  expect(await redis.client.mGet(['session:dev-team:budget', 'session:dev-team:spent'])).toEqual(['50', '7']);
  expect(await diff('-f', file('edited.yaml'))).toMatchObject({code: 0});
  expect(await runCommand(UndoChange, ['--last', '--yes'], redis)).toMatchObject({code: 0});
  expect(await redis.client.get('session:bot:budget')).toBeNull();
  expect(await diff('-f', file('edited.yaml'))).toEqual(edit);
});

test('a plan refuses what has changed since, and goes on', async () => {
  writeFileSync(file('plan.yaml'), 'version: 1\nsessions:\n  dev-team: {budget: 50}\n  "a b": {budget: 2}\n');
  await diff('-f', file('plan.yaml'), '--out', file('plan.json'));
  await redis.client.set('session:dev-team:budget', '46');
  const {code, stderr} = await apply('--plan', file('plan.json'));
  expect(code).toBe(1);
  expect(stderr).toContain("Session 'dev-team': it has changed since the plan was made.");
  expect(await redis.client.mGet(['session:dev-team:budget', 'session:a b:budget'])).toEqual(['46', '2']);
});

test('sessions that are not listed are kept, set to zero or frozen, in the scope of the file alone', async () => {
  writeFileSync(file('scope.yaml'), "version: 1\nscope: ['team:*']\nsessions: {}\n");
  writeFileSync(file('open.yaml'), 'version: 1\nsessions: {dev-team: {budget: 45}}\n');
  expect((await apply('-f', file('open.yaml'), '--unlisted', 'zero')).stderr).toContain('needs a scope');
  expect(await apply('-f', file('scope.yaml'), '--unlisted', 'zero')).toMatchObject({code: 0});
  expect(await redis.client.mGet(['session:team:old:budget', 'session:dev-team:budget'])).toEqual(['0', '45.00']);
  expect(await apply('-f', file('scope.yaml'), '--unlisted', 'freeze')).toMatchObject({code: 0});
  expect(await redis.client.keys('anomaly:*:frozen_until')).toEqual(['anomaly:team:old:frozen_until']);
});

test('every mistake has its line, and then nothing is changed', async () => {
  const lines = [
    'version: 1',
    "scope: ['team:*']",
    'colour: red',
    'sessions:',
    '  team:a: {budget: 1e3}',
    '  team:b: {budget: -1}',
    '  team:c: {budgte: 1}',
    '  team:d: null',
    '  other: {budget: 1}',
    '  team:e: {budget: 1, period: fortnight}',
    '  team:f: {budget: 1, period: day, timezone: Mars}',
    '  team:a: {budget: 2}',
    '  team:old: {budget: 9}',
  ];
  writeFileSync(file('wrong.yaml'), `${lines.join('\n')}\n`);
  const {code, stderr} = await apply('-f', file('wrong.yaml'));
  expect(code).toBe(1);
  const told = new Set([...stderr.matchAll(/(?:line |:)(\d+)\b/g)].map(([, line]) => Number(line)));
  expect([3, 5, 6, 7, 8, 9, 10, 11, 12].filter((line) => !told.has(line))).toEqual([]);
  expect(await redis.client.get('session:team:old:budget')).toBe('1');
});
