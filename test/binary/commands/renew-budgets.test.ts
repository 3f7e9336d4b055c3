import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {runBinary} from '../../support/program/run.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const SESSIONS = 3000;
const IDS = Array.from({length: SESSIONS}, (_, index) => `s${String(index).padStart(4, '0')}`);
/** Of a year that is over. */
const PERIOD = JSON.stringify({
  ...{every: 'year', timezone: 'UTC', at: '00:00', on: null, amount: '50', rollover: 'none', max_rollover: null},
  ...{renewed: '2001-01-01T00:00:00.000Z', carried: '0'},
});

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.mSet(IDS.flatMap((id) => [`session:${id}:budget`, '10', `session:${id}:spent`, '9.5']));
  await redis.client.mSet(IDS.flatMap((id) => [`tokengate:period:${id}`, PERIOD]));
});

interface Result {
  session_id: string;
  outcome: string;
}

const parseLines = (text: string): Result[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Result);

test('two hosts at the same moment renew each session once, and say which', async () => {
  const hosts = await Promise.all([1, 2].map(() => runBinary(['renew-budgets', '--format', 'ndjson'], redis)));
  const results = hosts.map(({code, stdout}) => {
    expect(code).toBe(0);
    return parseLines(stdout);
  });
  const renewed = results.map((lines) =>
    lines.filter(({outcome}) => outcome === 'renewed').map((one) => one.session_id),
  );
  expect(renewed.flat().sort()).toEqual(IDS);
  expect(new Set(results.flat().map(({outcome}) => outcome))).not.toContain('failed');
  expect(await redis.client.mGet(IDS.map((id) => `session:${id}:budget`))).toEqual(IDS.map(() => '50'));
  expect(await redis.client.exists(IDS.map((id) => `session:${id}:spent`))).toBe(0);
  const changes = await runBinary(['list-changes', '--limit', '0', '--format', 'ndjson'], redis);
  const recorded = parseLines(changes.stdout).map(({session_id: id}) => id);
  expect(recorded.sort()).toEqual(IDS);
  expect(await runBinary(['renew-budgets', '--quiet'], redis)).toEqual({code: 0, stdout: '', stderr: ''});
});

test('with --quiet a host says nothing when another one has renewed all', async () => {
  const hosts = await Promise.all([1, 2].map(() => runBinary(['renew-budgets', '--quiet', '--no-second-look'], redis)));
  for (const {code, stdout} of hosts)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^(✓ Renewed [1-9].*\n)?$/)]);
});

test('a run that is stopped in the middle has renewed sessions whole, and the next run renews the others', async () => {
  const stopped = await runBinary(['renew-budgets', '--no-second-look', '--format', 'ndjson'], {
    ...redis,
    onStart(child) {
      child.stdout?.once('data', () => child.kill('SIGTERM'));
    },
  });
  const outcomes = parseLines(stopped.stdout);
  const renewed = outcomes.filter(({outcome}) => outcome === 'renewed').map((one) => one.session_id);
  expect(renewed.length).toBeGreaterThan(0);
  if (renewed.length < SESSIONS) expect(stopped.code).toBe(143);
  const isRenewed = await redis.client.mGet(IDS.map((id) => `session:${id}:budget`));
  expect(IDS.filter((_, index) => isRenewed[index] === '50')).toEqual(renewed);
  const spent = await redis.client.mGet(IDS.map((id) => `session:${id}:spent`));
  expect(IDS.filter((_, index) => spent[index] === null)).toEqual(renewed);
  const rest = await runBinary(['renew-budgets', '--no-second-look', '--format', 'ndjson'], redis);
  expect(rest.code).toBe(0);
  const later = parseLines(rest.stdout).map((one) => one.session_id);
  expect([...renewed, ...later]).toEqual(IDS);
});
