import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import PrintMetrics from '../../src/commands/print-metrics.js';
import {promtool} from '../support/program/promtool.js';
import {type Output, runCommand} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSessions(redis, {
    calm: ['100.00', '12.5'],
    exact: ['10.0', '0.02643664999999999982'],
    high: ['50.00', '47.10'],
    over: ['10', '11'],
  });
});
afterAll(() => redis.stop());

const print = (...argv: string[]): Promise<Output> => runCommand(PrintMetrics, argv, redis);

/** The samples, as text, by metric and labels. */
async function samples(...argv: string[]): Promise<Record<string, string>> {
  const {code, stdout, stderr} = await print(...argv);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  expect(await promtool(['check', 'metrics'], stdout)).toEqual({code: 0, stdout: '', stderr: ''});
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const entries = lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]);
  expect(new Set(entries.map(([name]) => name)).size).toBe(lines.length);
  return Object.fromEntries(entries) as Record<string, string>;
}
const of = (id: string): string => `{session_id="${id}"}`;
const withNames = (all: Record<string, string>, part: string): Record<string, string> =>
  Object.fromEntries(Object.entries(all).filter(([name]) => name.includes(part)));

test('every metric has its help and type, and passes the check of Prometheus', async () => {
  const {stdout} = await print('--match', 'exact');
  const neutral = stdout
    .replace(/^(tokengate_(?:last_success_timestamp|scrape_duration)_seconds) [\d.]+$/gm, '$1 <number>')
    .replace(/version="[\d.]+"/, 'version="<version>"');
  expect(neutral).toMatchInlineSnapshot(`
    "# HELP tokengate_all_sessions_budget_usd Budgets of all sessions, in US dollars.
    # TYPE tokengate_all_sessions_budget_usd gauge
    tokengate_all_sessions_budget_usd 10
    # HELP tokengate_all_sessions_remaining_usd What is left of all sessions, in US dollars.
    # TYPE tokengate_all_sessions_remaining_usd gauge
    tokengate_all_sessions_remaining_usd 9.97356335000000000018
    # HELP tokengate_all_sessions_requests_last_minute Requests of all sessions that count against the limit of each.
    # TYPE tokengate_all_sessions_requests_last_minute gauge
    tokengate_all_sessions_requests_last_minute 0
    # HELP tokengate_all_sessions_spent_usd What is spent of all sessions, in US dollars.
    # TYPE tokengate_all_sessions_spent_usd gauge
    tokengate_all_sessions_spent_usd 0.02643664999999999982
    # HELP tokengate_last_success_timestamp_seconds When this was measured, by the clock of Redis.
    # TYPE tokengate_last_success_timestamp_seconds gauge
    tokengate_last_success_timestamp_seconds <number>
    # HELP tokengate_other_sessions Number of sessions without own series.
    # TYPE tokengate_other_sessions gauge
    tokengate_other_sessions 0
    # HELP tokengate_other_sessions_budget_usd Budgets of sessions without own series, in US dollars.
    # TYPE tokengate_other_sessions_budget_usd gauge
    tokengate_other_sessions_budget_usd 0
    # HELP tokengate_other_sessions_remaining_usd What is left of sessions without own series, in US dollars.
    # TYPE tokengate_other_sessions_remaining_usd gauge
    tokengate_other_sessions_remaining_usd 0
    # HELP tokengate_other_sessions_requests_last_minute Requests of sessions without own series that count against the limit of each.
    # TYPE tokengate_other_sessions_requests_last_minute gauge
    tokengate_other_sessions_requests_last_minute 0
    # HELP tokengate_other_sessions_spent_usd What is spent of sessions without own series, in US dollars.
    # TYPE tokengate_other_sessions_spent_usd gauge
    tokengate_other_sessions_spent_usd 0
    # HELP tokengate_periods_overdue Sessions with a renewal, or the end of a grant, that is overdue or not readable.
    # TYPE tokengate_periods_overdue gauge
    tokengate_periods_overdue 0
    # HELP tokengate_redis_info The Redis that was read.
    # TYPE tokengate_redis_info gauge
    tokengate_redis_info{version="<version>",role="primary"} 1
    # HELP tokengate_redis_writable 1 when Redis takes writes, as the gateway needs.
    # TYPE tokengate_redis_writable gauge
    tokengate_redis_writable 1
    # HELP tokengate_scrape_duration_seconds How long measuring took.
    # TYPE tokengate_scrape_duration_seconds gauge
    tokengate_scrape_duration_seconds <number>
    # HELP tokengate_session_budget_usd The budget, in US dollars.
    # TYPE tokengate_session_budget_usd gauge
    tokengate_session_budget_usd{session_id="exact"} 10
    # HELP tokengate_session_frozen 1 when the session is frozen now.
    # TYPE tokengate_session_frozen gauge
    tokengate_session_frozen{session_id="exact"} 0
    # HELP tokengate_session_remaining_usd What is left, in US dollars; never negative.
    # TYPE tokengate_session_remaining_usd gauge
    tokengate_session_remaining_usd{session_id="exact"} 9.97356335000000000018
    # HELP tokengate_session_requests_last_minute Requests since the last minute without one, which the gateway limits.
    # TYPE tokengate_session_requests_last_minute gauge
    tokengate_session_requests_last_minute{session_id="exact"} 0
    # HELP tokengate_session_spent_usd What is spent, in US dollars; falls at a reset.
    # TYPE tokengate_session_spent_usd gauge
    tokengate_session_spent_usd{session_id="exact"} 0.02643664999999999982
    # HELP tokengate_session_unreadable 1 when a value of the session cannot be read; that value is then missing.
    # TYPE tokengate_session_unreadable gauge
    tokengate_session_unreadable{session_id="exact"} 0
    # HELP tokengate_session_used_ratio Spent share of the budget: 1 is all of it, and it can be more. With a budget of 0 it is 0 until something is spent.
    # TYPE tokengate_session_used_ratio gauge
    tokengate_session_used_ratio{session_id="exact"} 0.00264366499999999998
    # HELP tokengate_sessions Number of all sessions.
    # TYPE tokengate_sessions gauge
    tokengate_sessions 1
    # HELP tokengate_sessions_exhausted Sessions that have nothing left.
    # TYPE tokengate_sessions_exhausted gauge
    tokengate_sessions_exhausted 0
    # HELP tokengate_sessions_frozen Sessions that are frozen now.
    # TYPE tokengate_sessions_frozen gauge
    tokengate_sessions_frozen 0
    # HELP tokengate_sessions_unreadable Sessions with a value that is not readable.
    # TYPE tokengate_sessions_unreadable gauge
    tokengate_sessions_unreadable 0
    # HELP tokengate_up Always 1: if the sessions cannot be read, nothing is written.
    # TYPE tokengate_up gauge
    tokengate_up 1
    "
  `);
  expect(await promtool(['check', 'metrics'], stdout)).toEqual({code: 0, stdout: '', stderr: ''});
});

test('amounts have all their digits, and sums are exact', async () => {
  const all = await samples();
  expect(all[`tokengate_session_spent_usd${of('exact')}`]).toBe('0.02643664999999999982');
  expect(all[`tokengate_session_remaining_usd${of('exact')}`]).toBe('9.97356335000000000018');
  expect(all[`tokengate_session_remaining_usd${of('over')}`]).toBe('0');
  expect(all[`tokengate_session_used_ratio${of('over')}`]).toBe('1.1');
  expect(all['tokengate_all_sessions_spent_usd']).toBe('70.62643664999999999982');
  expect(all['tokengate_all_sessions_remaining_usd']).toBe('100.37356335000000000018');
  expect(all).toMatchObject({
    tokengate_sessions: '4',
    tokengate_sessions_exhausted: '1',
    tokengate_other_sessions: '0',
  });
});

test('freezes and requests are there', async () => {
  await redis.client.mSet({
    'anomaly:calm:frozen_until': '2099-01-01T00:00:00',
    'anomaly:high:frozen_until': '2020-01-01T00:00:00',
    'anomaly:gone:frozen_until': '2099-01-01T00:00:00',
    'anomaly:calm:requests:1min': '87',
    'anomaly:over:requests:1min': '3',
  });
  const all = await samples();
  expect(withNames(all, 'frozen')).toEqual({
    [`tokengate_session_frozen${of('calm')}`]: '1',
    [`tokengate_session_frozen${of('exact')}`]: '0',
    [`tokengate_session_frozen${of('high')}`]: '0',
    [`tokengate_session_frozen${of('over')}`]: '0',
    tokengate_sessions_frozen: '1',
  });
  expect(all[`tokengate_session_requests_last_minute${of('calm')}`]).toBe('87');
  expect(all['tokengate_all_sessions_requests_last_minute']).toBe('90');
});

test('what cannot be read is missing, and counted', async () => {
  await loadSessions(redis, {nan: ['nan', '3'], list: ['5'], until: ['5'], requests: ['5']});
  await redis.client.lPush('session:list:spent', 'x');
  await redis.client.set('anomaly:until:frozen_until', '2099-01-01T00:00:00Z');
  await redis.client.lPush('anomaly:requests:requests:1min', 'x');
  const all = await samples();
  expect(all['tokengate_sessions_unreadable']).toBe('4');
  for (const id of ['nan', 'list', 'until', 'requests']) {
    expect(all[`tokengate_session_unreadable${of(id)}`]).toBe('1');
  }
  expect(all[`tokengate_session_unreadable${of('calm')}`]).toBe('0');
  expect(all).not.toHaveProperty([`tokengate_session_budget_usd${of('nan')}`]);
  expect(all[`tokengate_session_spent_usd${of('nan')}`]).toBe('3');
  expect(all).not.toHaveProperty([`tokengate_session_used_ratio${of('list')}`]);
  expect(all).not.toHaveProperty([`tokengate_session_frozen${of('until')}`]);
  expect(all).not.toHaveProperty([`tokengate_session_requests_last_minute${of('requests')}`]);
  expect(await samples('--where', 'budget > 90')).toMatchObject({
    tokengate_sessions: '2',
    tokengate_sessions_unreadable: '1',
  });
});

test('amounts past what a float can hold do not spoil the file', async () => {
  await loadSessions(redis, {huge: ['1e308', '-1e308'], huger: ['1e308', '-1e308'], tiny: ['1e-400', '7.5E-7']});
  const all = await samples();
  expect(all[`tokengate_session_budget_usd${of('huge')}`]).toBe(`1${'0'.repeat(308)}`);
  expect(all['tokengate_all_sessions_budget_usd']).toBe('+Inf');
  expect(all['tokengate_all_sessions_spent_usd']).toBe('-Inf');
  expect(all[`tokengate_session_spent_usd${of('tiny')}`]).toBe('0.00000075');
  expect(all[`tokengate_session_budget_usd${of('tiny')}`]).toMatch(/^0\.0{399}1$/);
});

describe('the label of a session', () => {
  test.each([
    ['quotes "and" \\backslash', String.raw`quotes \"and\" \\backslash`],
    ['two\nlines', String.raw`two\nlines`],
    [String.raw`no\nline`, String.raw`no\\nline`],
    ['tab\t nul\0 cr\r esc\u001b[31m', 'tab\t nul\0 cr\r esc\u001b[31m'],
    ['ümläut 会話 🙂 \u202e', 'ümläut 会話 🙂 \u202e'],
    ['a}b,c="d" 5', String.raw`a}b,c=\"d\" 5`],
  ])('%j is exact', async (id, label) => {
    await redis.client.flushDb();
    await loadSessions(redis, {[id]: ['1', '0.5']});
    const {stdout} = await print();
    expect(stdout).toContain(`\ntokengate_session_spent_usd{session_id="${label}"} 0.5\n`);
    expect(await promtool(['check', 'metrics'], stdout)).toEqual({code: 0, stdout: '', stderr: ''});
  });

  test('an ID that is not UTF-8 is shown as elsewhere, and never makes a series that is there already', async () => {
    await redis.client.flushDb();
    const budgetKey = (id: Buffer): Buffer => Buffer.concat([Buffer.from('session:'), id, Buffer.from(':budget')]);
    const ids = [
      Buffer.from([0xff]),
      Buffer.from(String.raw`\xff`),
      Buffer.from([0xff, 0xfe]),
      Buffer.concat([Buffer.from(String.raw`\xff`), Buffer.from([0xfe])]),
    ];
    for (const [index, id] of ids.entries()) await redis.client.set(budgetKey(id), String(index + 1));
    const all = await samples();
    expect(withNames(all, 'session_budget_usd')).toEqual({
      [String.raw`tokengate_session_budget_usd{session_id="\\xff"}`]: '2',
      [String.raw`tokengate_session_budget_usd{session_id="\\xff\\xfe"}`]: expect.stringMatching(/^[34]$/) as string,
    });
    expect(all).toMatchObject({tokengate_sessions: '4', tokengate_other_sessions: '2'});
    expect(all['tokengate_all_sessions_budget_usd']).toBe('10');
  });
});

describe('--max-series', () => {
  const own = async (...argv: string[]): Promise<string[]> =>
    Object.keys(withNames(await samples(...argv), 'session_frozen{')).map((name) => name.split('"')[1] ?? '');

  test('leaves series to those that have used most, and sums the others', async () => {
    await loadSessions(redis, {odd: ['nan', '1']});
    expect(await own('--max-series', '2')).toEqual(['odd', 'over']);
    expect(await own('--max-series', '3')).toEqual(['high', 'odd', 'over']);
    const {stdout} = await print('--max-series', '3');
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      '# 2 of 5 sessions have no series of their own (--max-series 3): those that have used least.',
      '# They are summed in tokengate_other_sessions_*.',
    ]);
    expect(withNames(await samples('--max-series', '3'), 'other_sessions')).toEqual({
      tokengate_other_sessions: '2',
      tokengate_other_sessions_budget_usd: '110',
      tokengate_other_sessions_remaining_usd: '97.47356335000000000018',
      tokengate_other_sessions_requests_last_minute: '0',
      tokengate_other_sessions_spent_usd: '12.52643664999999999982',
    });
  });

  test('0 leaves the sums alone', async () => {
    const all = await samples('--max-series', '0');
    expect(Object.keys(all).filter((name) => name.includes('session_id'))).toEqual([]);
    expect(all['tokengate_other_sessions_spent_usd']).toBe(all['tokengate_all_sessions_spent_usd']);
  });

  test('is 1000 when it is not given, and the sums hold for many pages', async () => {
    const script =
      "for i = 1, 4500 do redis.call('MSET', 'session:m' .. i .. ':budget', '1000', 'session:m' .. i .. ':spent', i * 0.125) end";
    await redis.client.sendCommand(['EVAL', script, '0']);
    const all = await samples('--match', 'm*');
    const ids = Object.keys(withNames(all, 'session_frozen{')).map((name) => name.split('"')[1]);
    expect(ids).toEqual(Array.from({length: 1000}, (_, index) => `m${index + 3501}`));
    expect(all['tokengate_all_sessions_spent_usd']).toBe(String((4500 * 4501) / 2 / 8));
    expect(all['tokengate_other_sessions_spent_usd']).toBe(String((3500 * 3501) / 2 / 8));
    expect(all['tokengate_other_sessions']).toBe('3500');
  });
});

describe('the state of Redis', () => {
  test('is writable', async () => {
    const all = await samples();
    expect(all).toMatchObject({tokengate_up: '1', tokengate_redis_writable: '1'});
    const age = Date.now() / 1000 - Number(all['tokengate_last_success_timestamp_seconds']);
    expect(Math.abs(age)).toBeLessThan(60);
    expect(Object.keys(withNames(all, 'redis_info'))[0]).toMatch(/\{version="\d+\.\d+\.\d+",role="primary"\}$/);
  });

  test('is not writable: full, or a replica', async () => {
    const other = await startRedis();
    await loadSessions(other, {one: ['1']});
    const writable = async (): Promise<string> => (await runCommand(PrintMetrics, [], other)).stdout;
    await other.client.configSet('maxmemory', '1');
    expect(await writable()).toContain('\ntokengate_redis_writable 0\n');
    await other.client.configSet('maxmemory', '0');
    await other.client.sendCommand(['REPLICAOF', '127.0.0.1', '1']);
    const text = await writable();
    expect(text).toContain('\ntokengate_redis_writable 0\n');
    expect(text).toContain('role="replica"');
    expect(text).toContain('\ntokengate_session_budget_usd{session_id="one"} 1\n');
    await other.stop();
  });

  test('is not known to a user who may only read', async () => {
    const rights = ['on', '>a-password', '+@all', '-@write', '~session:*', '~anomaly:*'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'reader', ...rights]);
    const url = redis.url.replace('unix://', 'unix://reader:a-password@');
    const {code, stdout} = await runCommand(PrintMetrics, [], {url});
    expect(code).toBe(0);
    expect(stdout).not.toContain('tokengate_redis_writable');
    expect(stdout).toContain('\ntokengate_sessions 4\n');
  });
});

test('no session at all is no error', async () => {
  await redis.client.flushDb();
  expect(await samples()).toMatchObject({tokengate_sessions: '0', tokengate_all_sessions_budget_usd: '0'});
});

test('--json has the same', async () => {
  const {code, stdout} = await print('--json', '--match', 'exact', '--max-series', '5');
  expect(code).toBe(0);
  const document = JSON.parse(stdout) as {metrics: {name: string}[]};
  expect(document).toMatchObject({file: null, sessions: 1, left_out: 0});
  expect(document.metrics.map(({name}) => name)).toContain('tokengate_session_spent_usd');
  expect(stdout).toContain('"session_id": "exact"');
  expect(stdout).toContain('"value": 0.02643664999999999982');
});

test.each([
  [['--max-series', '-1'], "Invalid number '-1' for --max-series.\nWrite a whole number, 0 or more."],
  [['--max-series', 'many'], "Invalid number 'many' for --max-series."],
  [['--where', 'x > 1'], "there is no field 'x'"],
])('%j: exit code 1', async (argv, message) => {
  const {code, stdout, stderr} = await print(...argv);
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain(message);
});
