import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {connect} from '../../src/lib/redis/connect.js';
import {parseCsv} from '../support/fuzz.js';
import {run} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {dollars, type Month, SESSIONS, simulateMonth} from '../support/spending/simulated-month.js';

interface Row {
  name: string;
  spent: number;
  share: number | null;
  budget: number | null;
  sessions: number;
  previous: number | null;
}
interface ReportJson {
  rows: Row[];
  others: Row | null;
  total: Row;
  compared_with: object | null;
  coverage: Record<string, unknown>;
}

let redis: TestRedis;
let month: Month;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-test-'));
  await redis.client.mSet(SESSIONS.map((id): [string, string] => [`session:${id}:budget`, '2.5']));
  const connection = await connect({url: redis.url});
  month = await simulateMonth(redis, connection);
  connection.close();
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true});
});

const report = (flags: string) => run(`report-spending ${flags}`, redis);
async function json(flags: string): Promise<ReportJson> {
  const {stdout, stderr, code} = await report(`${flags} --json`);
  expect({stderr, code}).toEqual({stderr: '', code: 0});
  return JSON.parse(stdout) as ReportJson;
}

/** Sums of what the test counted itself, by any name. */
function sums(nameOf: (id: string, day: string) => string | undefined): Map<string, number> {
  const found = new Map<string, number>();
  for (const [id, days] of month.spent) {
    for (const [day, amount] of days) {
      const name = nameOf(id, day);
      if (name !== undefined) found.set(name, (found.get(name) ?? 0) + amount);
    }
  }
  return found;
}
const inDollars = (map: Map<string, number>): Record<string, number> =>
  Object.fromEntries([...map].map(([name, amount]) => [name, Number(dollars(amount))]));
const spentOf = (rows: readonly Row[]): Record<string, number> =>
  Object.fromEntries(rows.map(({name, spent}) => [name, spent]));
const whole = (): number => [...sums(() => 'all').values()][0]!;

describe('a month of 30 sessions in four teams, with resets, a renewal, an outage of the recorder and a reset by redis-cli', () => {
  test('by session: every sum, every share, the budgets and the total', async () => {
    const {rows, others, total} = await json('--period 2025-03');
    const expected = sums((id) => id);
    expect(expected.size).toBe(28);
    expect(spentOf(rows)).toEqual(inDollars(expected));
    expect(rows.map(({spent}) => spent)).toEqual(rows.map(({spent}) => spent).sort((a, b) => b - a));
    for (const row of rows) {
      expect(row.share).toBeCloseTo((expected.get(row.name)! * 100) / whole(), 10);
      expect(row).toMatchObject({sessions: 1, previous: null});
    }
    expect(others).toBe(null);
    expect(total).toMatchObject({name: 'Total', spent: Number(dollars(whole())), share: 100, sessions: 28});
    // A renewal has set one of the budgets.
    expect(total.budget).toBe(27 * 2.5 + 50);
  });

  test('by group, by day, by week, and of a part', async () => {
    const teams = sums((id) => id.split(':')[0]);
    expect(spentOf((await json('--period 2025-03 --group-depth 1')).rows)).toEqual(inDollars(teams));
    const globs = '--group even=*[02468] --group ops=ops:*';
    expect(spentOf((await json(`--period 2025-03 ${globs}`)).rows)).toEqual(
      inDollars(sums((id) => (/[02468]$/.test(id) ? 'even' : id.startsWith('ops') ? 'ops' : '(no group)'))),
    );
    const days = await json('--period 2025-03 --by day');
    // On the day of the outage nothing was recorded; the next one has it.
    expect(spentOf(days.rows)).toEqual({...inDollars(sums((_, day) => day)), '2025-03-10': 0});
    expect(days.rows.map(({name}) => name)).toEqual([...days.rows.map(({name}) => name)].sort());
    const monday = (day: string): string => {
      const at = new Date(day);
      at.setUTCDate(at.getUTCDate() - ((at.getUTCDay() + 6) % 7));
      return at.toISOString().slice(0, 10);
    };
    expect(spentOf((await json('--period 2025-03 --by week')).rows)).toEqual(inDollars(sums((_, day) => monday(day))));
    const some = await json('--since 2025-03-05 --until 2025-03-08 --match ops:*');
    const isIn = (id: string, day: string): boolean =>
      id.startsWith('ops:') && day >= '2025-03-05' && day <= '2025-03-08';
    expect(spentOf(some.rows)).toEqual(inDollars(sums((id, day) => (isIn(id, day) ? id : undefined))));
  });

  test('--top leaves the rest in one row, and --compare has the days before', async () => {
    const {
      rows,
      others,
      total,
      compared_with: before,
    } = await json('--since 2025-03-17 --until 2025-03-23 --compare --top 3');
    expect(before).toEqual({from: '2025-03-10', to: '2025-03-16'});
    const now = sums((id, day) => (day >= '2025-03-17' && day <= '2025-03-23' ? id : undefined));
    const then = sums((id, day) => (day >= '2025-03-10' && day <= '2025-03-16' ? id : undefined));
    for (const {name, spent, previous} of rows) {
      expect([spent, previous]).toEqual([now.get(name)!, then.get(name)!].map((amount) => Number(dollars(amount))));
    }
    const rest = [...now].sort(([, a], [, b]) => b - a).slice(3);
    expect(others).toMatchObject({
      name: '25 others',
      spent: Number(dollars(rest.reduce((sum, [, one]) => sum + one, 0))),
    });
    const all = (map: Map<string, number>): number => [...map.values()].reduce((sum, one) => sum + one, 0);
    expect(total).toMatchObject({spent: Number(dollars(all(now))), previous: Number(dollars(all(then)))});
    expect((await json('--period 2025-03 --compare')).total.previous).toBe(null);
  });

  test('the coverage tells of the outage and of the fall; --max-gap exits with 2', async () => {
    const [[, fallen] = ['', 0]] = month.unaccounted;
    expect((await json('--period 2025-03')).coverage).toEqual({
      ...{from: '2025-03-01', to: '2025-03-31', is_whole: true, journal_trimmed: 0},
      largest_gap_seconds: 25 * 3600,
      unaccounted: Number(dollars(fallen)),
    });
    expect((await json('--since 2025-03-02 --until 2025-03-08')).coverage).toMatchObject({
      largest_gap_seconds: 3600,
      unaccounted: 0,
    });
    const {stdout} = await report('--period 2025-03 --top 1');
    expect(stdout).toMatch(/\nRecorded 2025-03-01 to 03-31, largest gap 1d1h, unaccounted \$\d+\.\d+\n$/);
    expect((await report('--since 2025-03-02 --until 2025-03-08 --max-gap 1h')).code).toBe(0);
    expect((await report('--period 2025-03 --max-gap 1d')).code).toBe(2);
    const {code, stderr} = await report('--period 2025-03 --max-gap 1d --format csv');
    expect(code).toBe(2);
    expect(stderr).toContain('largest gap 1d1h');
  });

  test('FOCUS has the mandatory columns of 1.2, and a row for each session and day', async () => {
    const {stdout} = await report('--period 2025-03 --format focus --group-depth 1');
    const [header = [], ...lines] = parseCsv(stdout);
    expect(header.filter((name) => name !== 'ResourceId' && name !== 'x_Group')).toEqual([
      ...['BilledCost', 'BillingAccountId', 'BillingAccountName', 'BillingCurrency', 'BillingPeriodEnd'],
      ...['BillingPeriodStart', 'ChargeCategory', 'ChargeClass', 'ChargeDescription', 'ChargePeriodEnd'],
      ...['ChargePeriodStart', 'ContractedCost', 'EffectiveCost', 'InvoiceIssuerName', 'ListCost', 'PricingQuantity'],
      ...['PricingUnit', 'ProviderName', 'PublisherName', 'ServiceCategory', 'ServiceName'],
    ]);
    const cell = (line: string[], name: string): string => line[header.indexOf(name)]!;
    const found = lines.map((line) => [
      `${cell(line, 'ResourceId')} ${cell(line, 'ChargePeriodStart').slice(0, 10)}`,
      cell(line, 'BilledCost'),
    ]);
    const expected = sums((id, day) => `${id} ${day}`);
    expect(Object.fromEntries(found.map(([name, cost]) => [name, Number(cost)]))).toEqual(inDollars(expected));
    expect(found).toHaveLength(expected.size);
    expect(cell(lines[0]!, 'ChargePeriodEnd')).toBe('2025-03-02T00:00:00Z');
    expect([cell(lines[0]!, 'BillingPeriodStart'), cell(lines[0]!, 'BillingPeriodEnd')]).toEqual([
      '2025-03-01T00:00:00Z',
      '2025-04-01T00:00:00Z',
    ]);
  });

  test('csv and ndjson have the same numbers, and --out replaces a file', async () => {
    const out = join(folder, 'report.csv');
    expect(await report(`--period 2025-03 --format csv --out ${out}`)).toMatchObject({code: 0, stdout: '', stderr: ''});
    const [header, ...lines] = parseCsv(await readFile(out, 'utf8'));
    expect(header?.join(',')).toBe('kind,name,spent,share,budget,sessions,previous');
    const rows = lines.filter(([kind]) => kind === 'session');
    expect(Object.fromEntries(rows.map(([, name, spent]) => [name, Number(spent)]))).toEqual(
      inDollars(sums((id) => id)),
    );
    const {stdout} = await report('--period 2025-03 --format ndjson');
    const kinds = stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as {kind: string}).kind);
    expect(kinds).toEqual([...rows.map(() => 'session'), 'total', 'coverage']);
  });

  test('a chart has a bar for each day', async () => {
    const {stdout} = await report('--period 2025-03 --format chart');
    const lines = stdout.split('\n');
    expect(lines).toHaveLength(31 + 3);
    expect(lines[0]).toMatch(/^2025-03-01 +\$\d+\.\d\d {2}█+[▏▎▍▌▋▊▉]?$/);
    expect(lines[9]).toMatch(/^2025-03-10 {2} \$0\.00$/);
  });
});

test.each([
  ['--period 2025-01', 'NOT_RECORDED', 'Nothing is recorded from 2025-01-01 to 2025-01-31.'],
  ['--period soon', 'INVALID_PERIOD', "Invalid period 'soon'."],
  ['--since 2025-02-30', 'INVALID_TIME', "Invalid day '2025-02-30'."],
  ['--since 2025-03-05 --until 2025-03-04', 'INVALID_USAGE', 'The period from 2025-03-05 to 2025-03-04 has no day.'],
  ['--by group', 'INVALID_USAGE', '--by group needs groups.'],
  ['--by day --compare', 'INVALID_USAGE', '--compare goes with --by session and --by group.'],
  ['--group team', 'INVALID_USAGE', "Invalid group 'team'."],
])('%s is refused', async (flags, code, message) => {
  const {stdout, stderr, code: exit} = await report(`${flags} --json`);
  expect({exit, stdout}).toEqual({exit: 1, stdout: ''});
  expect((JSON.parse(stderr) as {error: unknown}).error).toMatchObject({code, message});
});

test('without any recording it says how to begin', async () => {
  const empty = await startRedis();
  const {code, stderr} = await run('report-spending', empty);
  await empty.stop();
  expect(code).toBe(1);
  expect(stderr).toContain('No spending has been recorded yet.');
  expect(stderr).toContain('tokengate record-spending --quiet');
});

describe('a ledger in which something else has written', () => {
  test.each<[string, (broken: TestRedis) => Promise<unknown>]>([
    ['a time', ({client}) => client.hSet('tokengate:{spending}:ledger', 'began', 'b\u001b[31m')],
    ['a time zone', ({client}) => client.hSet('tokengate:{spending}:ledger', 'timezone', 'Mars')],
    ['a position', ({client}) => client.hSet('tokengate:{spending}:ledger', 'position', 'here')],
    ['a day', ({client}) => client.hSet('tokengate:{spending}:ledger', 'day:2026-01-01', 'x')],
    ['what was seen', ({client}) => client.hSet('tokengate:{spending}:seen', 'a', 'much 0-0')],
  ])('is an error that says so, and no bug: %s', async (_, spoil) => {
    const broken = await startRedis();
    await broken.client.mSet({'session:a:budget': '10', 'session:a:spent': '1'});
    await run('record-spending', broken);
    await spoil(broken);
    const outputs = [await run('record-spending', broken), await run('report-spending', broken)];
    await broken.stop();
    const [{code, stderr} = {code: 0, stderr: ''}] = outputs;
    expect({code, stderr}).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Error: The ledger .* cannot be read/),
    });
    const said = outputs.map((output) => output.stderr).join('');
    for (const never of ['bug', '\u001b']) expect(said).not.toContain(never);
  });
});
