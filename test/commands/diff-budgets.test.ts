import {describe, expect, test} from 'vitest';

import {useBudgetFiles} from '../support/budget-files.js';
import {run} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const files = useBudgetFiles(redis);
const {file, load, onFile} = files;

describe('diff-budgets', () => {
  const SESSIONS = '  dev-team: {budget: 50.00}\n  bot: {budget: 5, note: asked for}\n  same: {budget: 1.0}\n';

  test('shows what would change, and ends with 2', async () => {
    await load({'dev-team': '45.0', 'team:old': '1', same: '1'});
    const {code, stdout} = await onFile('diff-budgets', SESSIONS);
    expect(code).toBe(2);
    expect(stdout).toBe(
      `+ bot: budget $5.00 (asked for)\n~ dev-team: budget $45.00 → $50.00\n? team:old: not in the file\n2 to change, 1 not listed, 1 as it should be\n`,
    );
    const before = await dumpKeyspace(redis);
    const json = JSON.parse((await onFile('diff-budgets --json', SESSIONS)).stdout) as object;
    expect(json).toMatchObject({
      differences: [
        {session_id: 'bot', difference: 'add', before: {budget: null}, after: {budget: 5}, note: 'asked for'},
        {session_id: 'dev-team', difference: 'change', before: {budget: 45}, after: {budget: 50}},
        {session_id: 'team:old', difference: 'unlisted'},
      ],
      summary: {to_change: 2, not_listed: 1, unchanged: 1, failed: 0},
    });
    expect((await onFile('diff-budgets --format ndjson', SESSIONS)).stdout.split('\n')).toHaveLength(4);
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('counts sessions that are not listed with --strict, of those in the scope', async () => {
    await load({a: '1', 'team:old': '1'});
    const listed = '  a: {budget: 1}\n';
    expect(await onFile('diff-budgets', listed)).toMatchObject({code: 0});
    expect(await onFile('diff-budgets --strict', listed)).toMatchObject({code: 2});
    expect(await onFile('diff-budgets --strict', listed, "scope: ['a']\n")).toMatchObject({
      code: 0,
      stdout: '0 to change, 1 as it should be\n',
    });
  });

  test('leaves out what a file leaves out, and names what it cannot compare', async () => {
    await load({a: 'nan', b: '5', c: '5'});
    await redis.client.set('tokengate:period:c', '{');
    const {code, stdout, stderr} = await onFile('diff-budgets', '  a: {}\n  b: {note: x}\n  c: {budget: 5}\n  d: {}\n');
    expect({code, stdout}).toEqual({
      code: 1,
      stdout: '! c: its period or its grants cannot be read.\n0 to change, 1 not readable, 3 as they should be\n',
    });
    const json = await onFile('diff-budgets --json', '  c: {budget: 5}\n', 'scope: [c]\n');
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
      1,
      {
        differences: [{session_id: 'c', difference: 'failed', error: {code: 'PERIOD_UNREADABLE'}}],
        summary: {failed: 1},
      },
    ]);
    expect(stderr).toContain('A session cannot be compared.');
    expect((await onFile('diff-budgets', '  a: {budget: 5}\n  b: {}\n  c: {}\n')).stdout).toContain(
      "~ a: budget 'nan' → $5.00\n",
    );
  });

  test('says which new budgets are used up already, and so do a dry run and the applying', async () => {
    await load({low: '45', high: '45', same: '1'});
    for (const id of ['low', 'high', 'same', 'new']) await redis.client.set(`session:${id}:spent`, '7.50');
    const sessions = '  high: {budget: 8}\n  low: {budget: 7.5, note: x}\n  new: {budget: 5}\n  same: {budget: 1}\n';
    expect((await onFile('diff-budgets', sessions)).stdout).toBe(
      '~ high: budget $45.00 → $8.00\n~ low: budget $45.00 → $7.50 (x), used up: $7.50 is spent\n+ new: budget $5.00, used up: $7.50 is spent\n3 to change, 1 as it should be\n',
    );
    const {differences} = JSON.parse((await onFile('diff-budgets --json', sessions)).stdout) as {differences: object[]};
    const facts = [
      {session_id: 'high', spent: 7.5, used_up: false},
      {session_id: 'low', spent: 7.5, used_up: true},
      {session_id: 'new', spent: 7.5, used_up: true},
    ];
    expect(differences).toMatchObject(facts);
    expect((await onFile('apply-budgets --dry-run', sessions)).stdout).toContain(
      "Would change session 'new': budget none → budget $5.00, used up: $7.50 is spent\n",
    );
    const {stdout, stderr} = await onFile('apply-budgets --yes --json', sessions);
    expect((JSON.parse(stdout) as {results: object[]}).results).toMatchObject(facts);
    expect(stderr).toBe(
      "Warning: Session 'low' has spent $7.50 of $7.50: the gateway refuses its requests.\nWarning: Session 'new' has spent $7.50 of $5.00: the gateway refuses its requests.\n",
    );
    expect((await onFile('apply-budgets --yes', sessions)).stderr).toBe('');
    expect((await onFile('apply-budgets --yes --unlisted zero', '  low: {}\n', "scope: ['*']\n")).stderr).not.toContain(
      'Warning',
    );
  });

  test('reports every mistake, before it connects', async () => {
    const path = await file('version: 1\nsessions:\n  a: {budget: x}\n  b: {bugdet: 5}\n');
    const nowhere = {url: 'redis://localhost:1'};
    const {code, stdout, stderr} = await run(`diff-budgets -f ${path}`, nowhere);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr.split('\n').filter((line) => line !== '')).toEqual([
      `Error: ${path}:3:15: budget: Invalid amount 'x': it is not a plain decimal number. Write US dollars as plain digits, for example 25.50.`,
      `Error: ${path}:4:7: bugdet: There is no such field. Known: budget, amount, period, timezone, at, on, rollover, max-rollover, note.`,
      'Error: Found 2 mistakes, and did nothing.',
    ]);
    const json = await run(`diff-budgets --json -f ${path}`, nowhere);
    expect(json.stdout).toBe('');
    expect(JSON.parse(json.stderr)).toMatchObject({error: {code: 'INVALID_BUDGET_FILE'}});
    expect(json.stderr).toContain(`${path}:4:7: bugdet: There is no such field.`);
    expect((await run(`diff-budgets -f ${path} -f ${path}`, nowhere)).stderr).toContain('is named twice');
    expect((await run('diff-budgets -f /nowhere/x.yaml', nowhere)).stderr).toContain('there is no such file');
    expect((await run('diff-budgets -f /', nowhere)).stderr).toContain('it is a folder');
  });
});
