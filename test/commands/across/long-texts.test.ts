import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import AnomalyStats from '../../../src/commands/anomaly-stats.js';
import CheckSessions from '../../../src/commands/check-sessions.js';
import CheckStore from '../../../src/commands/check-store.js';
import FreezeSession from '../../../src/commands/freeze-session.js';
import GetBudget from '../../../src/commands/get-budget.js';
import GrantBudget from '../../../src/commands/grant-budget.js';
import ListChanges from '../../../src/commands/list-changes.js';
import ListGrants from '../../../src/commands/list-grants.js';
import ListPeriods from '../../../src/commands/list-periods.js';
import ListRequests from '../../../src/commands/list-requests.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import ResetSession from '../../../src/commands/reset-session.js';
import SetBudget from '../../../src/commands/set-budget.js';
import SetPeriod from '../../../src/commands/set-period.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import WatchSessions from '../../../src/commands/watch-sessions.js';
import {runCommand} from '../../support/program/run.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
  for (const id of [...IDS, BROKEN]) await redis.client.set(`session:${id}:budget`, id === BROKEN ? 'much' : '10');
  for (const id of IDS) await redis.client.set(`session:${id}:spent`, '9.5');
  for (const id of IDS) await redis.client.set(`anomaly:${id}:frozen_until`, '2099-01-01T00:00:00');
  for (const id of IDS) await redis.client.set(`anomaly:${id}:freeze_reason`, LONG_REASON);
  await redis.client.zAdd(`anomaly:${PLAIN}:history`, {score: 1, value: `1:${'m'.repeat(20_000)}:0.5`});
});
afterAll(() => redis.stop());

const LONG = 20_000;
const PLAIN = `a${'x'.repeat(LONG)}z`;
const IDS = [PLAIN, `b${' 日本'.repeat(LONG / 3)}z`, `c${"' ".repeat(LONG / 2)}z`, `d${'\u202e'.repeat(LONG)}z`];
const BROKEN = `e${'y'.repeat(LONG)}z`;
const LONG_REASON = `why ${'r'.repeat(LONG)} end`;

/** The widest of these has two cells of 120 characters, each of two columns. */
const MOST = 1100;

describe('a text that others have chosen is cut in what people read', () => {
  test.each<[string, Parameters<typeof runCommand>[0], string[]]>([
    ['the list', ListSessions, ['--columns', 'id,budget,until,reason,status']],
    ['the list with totals', ListSessions, ['--totals']],
    ['a budget', GetBudget, [PLAIN]],
    ['a session that is not there', GetBudget, [`${PLAIN}n`]],
    ['the stats', AnomalyStats, [PLAIN]],
    ['its requests', ListRequests, [PLAIN]],
    ['a check', CheckSessions, ['--crit', '90', '--frozen']],
    ['a check of the store', CheckStore, []],
    ['a budget that is set', SetBudget, [PLAIN, '9']],
    ['a freeze', FreezeSession, [PLAIN, '--reason', LONG_REASON]],
    ['a rehearsed freeze', FreezeSession, [...IDS, '--dry-run', '--reason', LONG_REASON]],
    ['freezes', FreezeSession, [...IDS, `${PLAIN}n`, '--yes', '--reason', LONG_REASON, '--note', LONG_REASON]],
    ['the changes', ListChanges, []],
    ['the changes of a session', ListChanges, ['--session', PLAIN]],
    ['the view', WatchSessions, ['--once']],
    ['a period', SetPeriod, [PLAIN, '--every', 'day', '--amount', '5']],
    ['the periods', ListPeriods, []],
    ['a grant', GrantBudget, [PLAIN, '5', '--for', '1h', '--note', LONG_REASON]],
    ['the grants', ListGrants, []],
    ['unfreezes', UnfreezeSession, [...IDS, '--yes']],
    ['resets', ResetSession, [...IDS, `${PLAIN}n`, '--yes']],
  ])('%s', async (_, command, argv) => {
    const {stdout, stderr} = await runCommand(command, argv, redis);
    const lines = `${stdout}${stderr}`.split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(MOST);
    expect(lines.filter((line) => line.includes('…'))).not.toEqual([]);
  });

  test('JSON, NDJSON, CSV and IDs stay whole', async () => {
    const run = async (...argv: string[]): Promise<string> => (await runCommand(ListSessions, argv, redis)).stdout;
    await redis.client.set(`session:${PLAIN}:budget`, '10');
    const [match, id] = ['--match', 'a*'];
    const json = JSON.parse(await run('--json', match, id)) as {session_id: string}[];
    expect(json.map((session) => session.session_id === PLAIN)).toEqual([true]);
    expect((JSON.parse(await run('--format', 'ndjson', match, id)) as {session_id: string}).session_id === PLAIN).toBe(
      true,
    );
    expect((await run('--format', 'csv', match, id)).includes(`\n${PLAIN},10,`)).toBe(true);
    expect((await run('--format', 'ids', match, id)) === `${PLAIN}\n`).toBe(true);
    const {stderr} = await runCommand(GetBudget, ['--json', `${PLAIN}n`], redis);
    expect((JSON.parse(stderr) as {error: {message: string}}).error.message.includes(`${PLAIN}n`)).toBe(true);
  });

  test('an ID of 120 characters is not cut', async () => {
    const id = 'f'.repeat(120);
    await redis.client.set(`session:${id}:budget`, '10');
    const {stdout} = await runCommand(ListSessions, ['--match', 'f*'], redis);
    expect(stdout).toContain(`║ ${id} ║ $10.0000 ║`);
    const longer = `${id}f`;
    await redis.client.set(`session:${longer}:budget`, '10');
    expect((await runCommand(ListSessions, ['--match', longer], redis)).stdout).toContain(
      `║ ${'f'.repeat(60)}…${'f'.repeat(59)} ║`,
    );
  });
});
