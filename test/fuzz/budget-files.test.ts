import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect} from 'vitest';

import ApplyBudgets from '../../src/commands/apply-budgets.js';
import DiffBudgets from '../../src/commands/diff-budgets.js';
import ExportBudgets from '../../src/commands/export-budgets.js';
import UndoChange from '../../src/commands/undo-change.js';
import {anyBytes, anyMoneyText, anyText, fuzz, UNSAFE} from '../support/fuzz.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'tokengate-files-'))));
afterAll(() => rm(folder, {recursive: true}));

type Command = Parameters<typeof runCommand>[0];

/** Runs a command that must neither crash nor let a text act on a terminal. */
async function run(command: Command, argv: string[]): Promise<Output> {
  const output = await runCommand(command, argv, redis);
  expect(output.stdout + output.stderr).not.toMatch(UNSAFE);
  expect(output.stderr).not.toMatch(/Unexpected error|^ {4}at /m);
  return output;
}

const amount = fc.constantFrom('0', '5', '0.10', '12.50', '999999999999999999', '1E+5', '1e-9', '-3', 'x');
const anyPeriod = fc.record({
  every: fc.constantFrom('day', 'week', 'month', 'year', 'never'),
  timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'europe/berlin', 'Mars/Base'),
  at: fc.constantFrom('00:00', '09:30', '25:00'),
  on: fc.constantFrom(null, 1, 7, 31),
  amount,
  rollover: fc.constantFrom('none', 'unused'),
  max_rollover: fc.option(amount),
  renewed: fc.constantFrom('2026-01-01T00:00:00.000Z', 'soon'),
  carried: amount,
});
const anySession = fc.record({
  id: anyBytes.filter((bytes) => bytes.length > 0),
  budget: fc.option(
    fc.oneof(anyMoneyText, anyBytes, fc.constantFrom('1E+5', '10_', '1_0', '٣', 'inf', '9'.repeat(300))),
  ),
  spent: fc.option(anyMoneyText),
  period: fc.option(
    fc.oneof(
      anyPeriod.map((period) => JSON.stringify(period)),
      anyText,
    ),
  ),
  grants: fc.option(
    fc.oneof(
      fc
        .array(fc.record({id: fc.constant('g'), amount, until: fc.constant('2099-01-01T00:00:00.000Z'), note: anyText}))
        .map((grants) => JSON.stringify(grants)),
      anyText,
    ),
  ),
});

async function load(sessions: readonly (typeof anySession extends fc.Arbitrary<infer T> ? T : never)[]): Promise<void> {
  await redis.client.flushDb();
  for (const {id, budget, spent, period, grants} of sessions) {
    const texts = {
      'session:|:budget': budget,
      'session:|:spent': spent,
      'tokengate:period:|': period,
      'tokengate:grants:|': grants,
    };
    for (const [shape, text] of Object.entries(texts)) {
      const [prefix = '', suffix = ''] = shape.split('|');
      if (text === null) continue;
      await redis.client.sendCommand(['SET', Buffer.concat([Buffer.from(prefix), id, Buffer.from(suffix)]), text]);
    }
  }
}

/** Every key but the journal, with its value. */
async function dump(): Promise<Record<string, string>> {
  const keys = await redis.client.sendCommand<string[]>(['KEYS', '*']);
  const values = await redis.client.mGet(keys);
  const entries = keys.map((key, index) => [key, values[index] ?? ''] as const);
  return Object.fromEntries(entries.filter(([key]) => key !== 'tokengate:journal').sort());
}

describe('whatever is in Redis', () => {
  fuzz(
    'applying what was exported changes nothing, and a diff finds nothing',
    fc.asyncProperty(
      fc.uniqueArray(anySession, {minLength: 1, maxLength: 5, selector: ({id}) => id.toString('latin1')}),
      fc.constantFrom('yaml', 'json'),
      async (sessions, format) => {
        await load(sessions);
        const before = await dump();
        const [file, again] = [join(folder, 'one'), join(folder, 'two')];
        expect(await run(ExportBudgets, ['--format', format, '--out', file])).toMatchObject({code: 0, stdout: ''});
        expect(await readFile(file, 'utf8')).not.toMatch(UNSAFE);
        expect(await run(DiffBudgets, ['--strict', '-f', file])).toMatchObject({code: 0});
        expect((await run(ApplyBudgets, ['-f', file, '--yes'])).stdout).toMatch(/^✓ Changed 0(, unchanged \d+)?\n$/);
        expect(await dump()).toEqual(before);
        await run(ExportBudgets, ['--format', format, '--out', again]);
        expect(await readFile(again)).toEqual(await readFile(file));
      },
    ),
    5,
  );

  fuzz(
    'what a file says is there once it is applied, and undoing that brings back what was there',
    fc.asyncProperty(
      fc.uniqueArray(anySession, {minLength: 1, maxLength: 5, selector: ({id}) => id.toString('latin1')}),
      fc.constantFrom('budget: 42', 'budget: 42, period: month', 'amount: 42, period: week, on: sun', 'period: none'),
      async (sessions, fields) => {
        await load(sessions);
        const before = await dump();
        const file = join(folder, 'edited.yaml');
        const lines = sessions.map(({id}) => `  ${id.toString('hex')}: {${fields}}\n`);
        await writeFile(file, `version: 1\nid_hex:\n${lines.join('')}`);
        const applied = await run(ApplyBudgets, ['-f', file, '--yes']);
        // What cannot be read is left alone, and all else is done.
        const failed = applied.stderr.match(/its period or its grants cannot be read/g)?.length ?? 0;
        expect(applied.code).toBe(failed === 0 ? 0 : 1);
        const {code, stdout} = await run(DiffBudgets, ['-f', file]);
        expect([code, stdout]).toEqual([failed === 0 ? 0 : 1, expect.stringMatching(/^0 to change/m)]);
        await run(UndoChange, ['--last', '--yes']);
        const after = await dump();
        expect(after).toEqual(before);
      },
    ),
    5,
  );
});
