import {afterAll, beforeAll, expect, test} from 'vitest';

import AnomalyStats from '../../../src/commands/anomaly-stats.js';
import CheckSessions from '../../../src/commands/check-sessions.js';
import CheckStore from '../../../src/commands/check-store.js';
import ExplainSession from '../../../src/commands/explain-session.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import WatchSessions from '../../../src/commands/watch-sessions.js';
import {runCommand} from '../../support/program/run.js';
import {type GatewayState, readGatewayStates, writeStates} from '../../support/redis/gateway-states.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

const money = (budget: string | null, spent: string | null, status: number): GatewayState => ({
  ops: [
    ...(budget === null ? [] : [['session:ID:budget', 'string', budget, null] as GatewayState['ops'][number]]),
    ...(spent === null ? [] : [['session:ID:spent', 'string', spent, null] as GatewayState['ops'][number]]),
  ],
  cost: '0.01',
  status,
  rule: null,
});
const key = (name: string, type: string, value: string, status: number, frozen = false): GatewayState => ({
  ops: [
    ['session:ID:budget', 'string', '10', null],
    [`anomaly:ID:${name}`, type, value, 300],
    ...(frozen ? [['anomaly:ID:frozen_until', 'string', '2099-01-01', 300] as GatewayState['ops'][number]] : []),
  ],
  cost: '0.01',
  status,
  rule: null,
});
const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

/** What follows from the gateway's source, beside what was captured: texts are bytes, one character a byte. */
const DERIVED: GatewayState[] = [
  ...['inf', '+Infinity', '1e309', '1e400', '9'.repeat(1001), '1e999999'].flatMap((huge) => [
    money(huge, '5', 200),
    money('5', huge, 500),
    money(`-${huge.replace('+', '')}`, '5', 500),
    money('5', `-${huge.replace('+', '')}`, 200),
  ]),
  money('inf', 'inf', 503),
  money('-inf', '-inf', 503),
  money('-inf', 'inf', 500),
  money('inf', '-inf', 200),
  money('1e1000000', '1', 503),
  money('-1.7e308', '1.7e308', 500),
  ...[
    '10_',
    '_10',
    '1__0',
    '1_0.0_0',
    '１０',
    '१०',
    '10\x1f',
    '\x1c10',
    '\x8510',
    '\xa010',
    '\u300010',
    '+10',
    '1E1',
    '10.',
  ].flatMap((ten) => [
    money(utf8(ten), '9', 200),
    money(utf8(ten), '11', 429),
    money('5', utf8(ten), 429),
    money(null, utf8(ten), 429),
  ]),
  ...[
    '\ufeff10',
    '',
    ' ',
    'ten',
    '1 0',
    '1,0',
    '0x10',
    '1\0',
    '²',
    '--1',
    '1e',
    'nan',
    'sNaN12',
    '∞',
    '\u200b10',
  ].flatMap((none) => [money(utf8(none), '1', 503), money('10', utf8(none), 503)]),
  money('\xff10', '1', 500),
  money('10', '1\xff', 500),
  money('0.01', `${'0'.repeat(40)}1e-40`, 200),
  money('0.01', '1e-40', 200),
  money('0.01', '1e-20', 429),
  money('1e-99999', null, 429),
  money('0', null, 429),
  key('frozen_until', 'string', '', 200),
  ...[
    '2099-W01-1',
    '2099W011',
    '2099-W01',
    '2099-12-31\x0010',
    '20991231',
    '2099-12-31T10:00:00,5',
    '2099-12-31T10',
  ].map((end) => key('frozen_until', 'string', end, 429)),
  ...['2099-12-31\ufffd10:00', '2099-12-31😀10:00', '2099-12-31é10'].map((end) =>
    key('frozen_until', 'string', utf8(end), 429),
  ),
  ...['2020-W01-1', '2020-01-01', '0001-01-01'].map((end) => key('frozen_until', 'string', end, 200)),
  ...[
    'soon',
    '2099-W54-1',
    '2099-12-31T',
    '2099-12-31T24:00',
    '2099-12-31Z',
    '2099-12-31T10Z',
    '2099-12-31\xff10',
    ' 2099-12-31',
    '0',
  ].map((end) => key('frozen_until', 'string', end, 500)),
  key('freeze_reason', 'string', '\xff', 200),
  key('freeze_reason', 'string', '\xff', 500, true),
  key('freeze_reason', 'list', 'x', 200),
  key('freeze_reason', 'list', 'x', 500, true),
  key('freeze_reason', 'string', utf8('é'), 429, true),
  key('last_hash', 'string', '\xff\xfe', 500),
  key('last_hash', 'string', utf8('ü'), 200),
  key('velocity', 'zmember', '\xff', 500),
  key('velocity', 'zscore', '99999999999', 429),
  key('velocity', 'zscore', 'inf', 429),
  key('velocity', 'zscore', '1000', 200),
  key('requests:1min', 'string', '99', 200),
  key('requests:1min', 'string', '100', 429),
  key('requests:1min', 'string', '\xff', 500),
  key('identical_count', 'string', '\xff', 200),
  key('history', 'list', '\xff', 200),
];

test('every command that judges agrees with what the gateway answered, or would', async () => {
  const states = [...readGatewayStates(), ...DERIVED].map((state, index) => ({id: `s${index}`, ...state}));
  expect(states.length).toBeGreaterThan(300);
  await writeStates(redis, states);
  const json = async (command: Parameters<typeof runCommand>[0], ...argv: string[]): Promise<unknown> =>
    JSON.parse((await runCommand(command, [...argv, '--json'], redis)).stdout);

  const explained = new Map<string, {http_status: number | null; refused_by: string | null}>();
  const stats = new Map<string, {is_frozen: boolean | null}>();
  for (const {id, cost} of states) {
    const flags = cost === null ? [] : ['--cost', cost];
    explained.set(id, (await json(ExplainSession, id, ...flags)) as never);
    stats.set(id, (await json(AnomalyStats, id)) as never);
  }
  expect(states.map(({id}) => [id, explained.get(id)?.http_status ?? 200])).toEqual(
    states.map(({id, status}) => [id, status]),
  );

  // A session is frozen just where the freeze refuses, and its freeze is not readable just where that fails.
  for (const {id} of states) {
    const {http_status: status, refused_by: rule} = explained.get(id) ?? {};
    const isFrozen = stats.get(id)?.is_frozen;
    expect([id, isFrozen]).toEqual([
      id,
      rule !== 'freeze' ? false : status === 429 ? true : expect.toSatisfy((is) => is !== false),
    ]);
  }

  const {findings} = (await json(CheckStore)) as {findings: {session_id: string; http_status: number | null}[]};
  for (const {session_id: id, http_status: status} of findings) {
    if (status !== null) expect([id, status]).toEqual([id, explained.get(id)?.http_status]);
  }
  const found = new Set(findings.filter(({http_status: status}) => status !== null).map(({session_id: id}) => id));
  // Of amounts that are too far apart each alone is one.
  const failing = states.filter(({status, ops}) => status >= 500 && ops[0]?.[2] !== '-1.7e308').map(({id}) => id);
  expect(failing.filter((id) => !found.has(id))).toEqual([]);

  // What is listed, or checked, as invalid is what the gateway fails on, or takes for no limit, and says which.
  let told = 0;
  for (const {id} of states) {
    // Of many sessions only the first warnings are printed.
    const {stderr} = await runCommand(ListSessions, ['--json', '--match', id], redis);
    const {http_status: status, refused_by: rule} = explained.get(id)!;
    for (const [, field, by] of stderr.matchAll(/The (budget|spent|freeze end) of session '.*' is .*HTTP (\d+)/g)) {
      if (rule === (field === 'freeze end' ? 'freeze' : 'budget')) expect([id, by]).toEqual([id, String(status)]);
      told++;
    }
  }
  expect(told).toBeGreaterThan(50);

  // The lists agree with what is said of each session alone.
  type Listed = {session_id: string; is_frozen: boolean | null}[];
  const rows = (await json(ListSessions, '--limit', '10000')) as Listed;
  const {sessions: watched} = (await json(WatchSessions, '--once')) as {sessions: Listed};
  const alone = rows.map(({session_id: id}) => [id, stats.get(id)?.is_frozen]);
  expect(rows.length).toBeGreaterThan(300);
  expect(rows.map(({session_id: id, is_frozen: is}) => [id, is])).toEqual(alone);
  expect(new Map(watched.map(({session_id: id, is_frozen: is}) => [id, is]))).toEqual(
    new Map(alone as [string, boolean | null][]),
  );

  const checked = (await json(CheckSessions, '--warn', 'off', '--crit', 'off', '--frozen')) as {
    findings: {session_id: string; check: string; is_frozen: boolean | null}[];
  };
  for (const {session_id: id, check} of checked.findings) {
    if (check === 'frozen') expect([id, stats.get(id)?.is_frozen]).toEqual([id, true]);
    if (check === 'unreadable_freeze') expect([id, explained.get(id)?.http_status]).toEqual([id, 500]);
  }
  const frozen = rows.filter(({is_frozen: is}) => is === true).map(({session_id: id}) => id);
  const isChecked = new Set(checked.findings.filter(({check}) => check === 'frozen').map(({session_id: id}) => id));
  expect(frozen.filter((id) => !isChecked.has(id))).toEqual([]);
});
