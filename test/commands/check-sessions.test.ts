import fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';

import CheckSessions from '../../src/commands/check-sessions.js';
import {toSession} from '../../src/lib/gateway/session.js';
import {holds} from '../../src/lib/monitoring/limits.js';
import {Decimal} from '../../src/lib/values/decimal.js';
import {parseSessionId} from '../../src/lib/values/session-id.js';
import {type Output, runCommand} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(async () => {
  await loadSessions(redis, {
    calm: ['100.00', '12.5'],
    fresh: ['10.0'],
    high: ['50.00', '47.10'],
    over: ['10', '10.000001'],
  });
});

const check = (...argv: string[]): Promise<Output> => runCommand(CheckSessions, argv, redis);

interface Report {
  status: string;
  checked: number;
  critical: number;
  warning: number;
  reported_before: number | null;
  findings: {session_id: string; check: string; severity: string; threshold: number | null; message: string}[];
}
async function report(...argv: string[]): Promise<Report & {code: number | null}> {
  const {code, stdout} = await check('--json', ...argv);
  return {code, ...(JSON.parse(stdout) as Report)};
}
/** `high used 80`, each crossing in a few words. */
async function found(...argv: string[]): Promise<string[]> {
  const {findings} = await report(...argv);
  return findings.map((finding) => `${finding.session_id} ${finding.check} ${finding.threshold ?? ''}`.trim());
}
async function freeze(id: string, until: string, reason = 'Bot'): Promise<void> {
  await redis.client.mSet({[`anomaly:${id}:frozen_until`]: until, [`anomaly:${id}:freeze_reason`]: reason});
}

test('the worst comes first, below a status that monitoring plugins know', async () => {
  const {code, stdout, stderr} = await check();
  expect({code, stderr}).toEqual({code: 2, stderr: ''});
  expect(stdout).toMatchInlineSnapshot(`
    "CRITICAL - 1 critical, 1 warning; 4 sessions checked
    CRITICAL 'over': used 100.0% of its budget, at or above 95% ($10.000001 of $10.00, $0.00 left)
    WARNING 'high': used 94.2% of its budget, at or above 80% ($47.10 of $50.00, $2.90 left)
    "
  `);
  expect(await check('--match', 'h*')).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/^WARNING - 1 warning; 1 session checked\n/) as string,
  });
});

test('nothing found is exit code 0, and nothing to check too', async () => {
  expect(await check('--match', 'c*')).toEqual({
    code: 0,
    stdout: 'OK - nothing found; 1 session checked\n',
    stderr: '',
    result: undefined,
  });
  await redis.client.flushDb();
  expect(await check()).toMatchObject({code: 0, stdout: 'OK - nothing found; 0 sessions checked\n'});
});

test('--quiet says nothing when nothing is found', async () => {
  expect(await check('--quiet', '--match', 'c*')).toMatchObject({code: 0, stdout: '', stderr: ''});
  expect((await check('-q')).stdout).toBe((await check()).stdout);
  expect((await check('-q', '--new-only')).stdout).toBe((await check()).stdout);
  expect(await check('-q', '--new-only')).toMatchObject({code: 0, stdout: '', stderr: ''});
  expect(await report('-q', '--new-only')).toMatchObject({code: 0, status: 'ok'});
});

test('--json has the numbers, exact', async () => {
  await redis.client.set('session:high:spent', '47.10000000000000000001');
  await freeze('high', '2099-01-01T00:00:00', 'Why');
  const {stdout, code} = await check('--json', '--match', 'high', '--frozen');
  expect(code).toBe(2);
  expect(stdout).toMatchInlineSnapshot(`
    "{
      "status": "critical",
      "checked": 1,
      "critical": 1,
      "warning": 1,
      "reported_before": null,
      "findings": [
        {
          "session_id": "high",
          "severity": "critical",
          "check": "frozen",
          "threshold": null,
          "budget": 50,
          "spent": 47.10000000000000000001,
          "remaining": 2.89999999999999999999,
          "percentage_used": 94.20000000000000000002,
          "is_frozen": true,
          "frozen_until": "2099-01-01T00:00:00.000Z",
          "freeze_reason": "Why",
          "message": "is frozen until 2099-01-01 00:00:00 UTC (Why)"
        },
        {
          "session_id": "high",
          "severity": "warning",
          "check": "used",
          "threshold": 80,
          "budget": 50,
          "spent": 47.10000000000000000001,
          "remaining": 2.89999999999999999999,
          "percentage_used": 94.20000000000000000002,
          "is_frozen": true,
          "frozen_until": "2099-01-01T00:00:00.000Z",
          "freeze_reason": "Why",
          "message": "used 94.2% of its budget, at or above 80% ($47.10000000000000000001 of $50.00, $2.89999999999999999999 left)"
        }
      ],
      "notifications": []
    }
    "
  `);
});

test.each([
  [['--warn', '94.2', '--crit', 'off'], 'over used 94.2,high used 94.2'],
  [['--warn', '94.2%', '--crit', '100'], 'over used 100,high used 94.2'],
  [['--warn', '94.20000000000000000001', '--crit', 'off'], 'over'],
  [['--warn', 'off', '--crit', '100.00001'], 'over used 100.00001'],
  [['--warn', 'off', '--crit', '100.000011'], ''],
  [['--warn', 'off', '--crit', 'off'], ''],
  [['--warn', 'off', '--crit', 'off', '--min-left', '10'], 'high left 10,over left 10'],
  [['--warn', 'off', '--crit', 'off', '--min-left', '10.0000000001'], 'fresh,high,over'],
  [['--where', "id != 'over'"], 'high used 80'],
  [['--match', 'o*'], 'over used 95'],
])('%j finds %j', async (argv, expected) => {
  const all = (await found(...argv)).sort();
  // A threshold of so many digits is no JavaScript number.
  const shown = expected.includes(' ') || expected === '' ? all : all.map((line) => line.split(' ')[0]);
  expect(shown).toEqual(expected === '' ? [] : expected.split(',').sort());
});

test('a share is compared without rounding, however many digits it has', () => {
  const amount = fc.bigInt(1n, 10n ** 30n);
  fc.assert(
    fc.property(amount, amount, fc.integer({min: 1, max: 100_000}), (budget, spent, thousandths) => {
      const session = toSession(parseSessionId('x'), {
        budget: {state: 'money', text: '', amount: Decimal.of(String(budget))},
        spent: {state: 'money', text: '', amount: Decimal.of(String(spent))},
      });
      const rule = {kind: 'used', threshold: Decimal.of(thousandths).div(1000)} as const;
      const subject = {id: 'x', key: session.key, session, freeze: null};
      expect(holds(rule, subject)).toBe(spent * 100_000n >= budget * BigInt(thousandths));
    }),
  );
});

test('what is not used up does not look as if it were, and has the digits of the list', async () => {
  await redis.client.set('session:high:spent', '49.99999999');
  expect((await check('--match', 'high')).stdout).toContain('used 99.9% of its budget, at or above 95%');
});

describe('a budget of 0', () => {
  beforeEach(() => loadSessions(redis, {blocked: ['0'], spent: ['0', '0.01']}));

  test('is used up only when something is spent', async () => {
    expect(await found()).toEqual(['over used 95', 'spent used 95', 'high used 80']);
    expect(await found('--where', 'budget > 0')).toEqual(['over used 95', 'high used 80']);
  });

  test('has nothing left', async () => {
    expect(await found('--warn', 'off', '--crit', 'off', '--min-left', '1')).toEqual([
      'blocked left 1',
      'over left 1',
      'spent left 1',
    ]);
  });
});

describe('what cannot be read', () => {
  beforeEach(async () => {
    await loadSessions(redis, {'nan-budget': ['nan'], 'no-limit': ['inf', '5'], 'odd-spent': ['10', 'many']});
    await redis.client.lPush('session:list:budget', 'x');
  });
  const UNREADABLE = ['list', 'nan-budget', 'no-limit', 'odd-spent'].map((id) => `${id} unreadable_money`);

  test('is always found', async () => {
    expect(await found('--warn', 'off', '--crit', 'off')).toEqual(UNREADABLE);
    const {stdout} = await check('--match', 'no-limit');
    expect(stdout).toContain("CRITICAL 'no-limit': The budget of session 'no-limit' is 'inf', which is not an amount");
    expect(stdout).toContain('the gateway takes it as no limit');
  });

  test('is left out only by a filter that certainly excludes it', async () => {
    const only = async (where: string): Promise<string[]> =>
      (await found('--warn', 'off', '--crit', 'off', '--where', where)).map((line) => line.split(' ')[0] ?? '');
    expect(await only('budget > 0')).toEqual(['list', 'nan-budget', 'no-limit', 'odd-spent']);
    expect(await only('budget > 50')).toEqual(['list', 'nan-budget', 'no-limit']);
    expect(await only("budget > 0 && id != 'list'")).toEqual(['nan-budget', 'no-limit', 'odd-spent']);
    expect(await only("id == 'calm'")).toEqual([]);
  });

  test('a key that the user may not read is found too', async () => {
    await redis.client.sendCommand([
      'ACL',
      'SETUSER',
      'half',
      'on',
      '>a-password',
      '+@all',
      '%R~session:calm:*',
      '~anomaly:*',
    ]);
    const url = redis.url.replace('unix://', 'unix://half:a-password@');
    const {stdout, code} = await runCommand(CheckSessions, ['--json', '--match', '[ch]*'], {url});
    expect(code).toBe(2);
    expect((JSON.parse(stdout) as Report).findings).toMatchObject([{session_id: 'high', check: 'unreadable_money'}]);
  });
});

describe('--frozen', () => {
  test('finds those that are frozen now, without a budget too', async () => {
    await freeze('calm', '2099-01-01T00:00:00', 'Loop\u001b[31m');
    await freeze('high', '2020-01-01T00:00:00');
    await freeze('reset', '9999-12-31T23:59:59', 'Incident');
    const {code, stdout} = await check('--frozen', '--warn', 'off', '--crit', 'off');
    expect(code).toBe(2);
    expect(stdout).toMatchInlineSnapshot(`
      "CRITICAL - 2 critical; 5 sessions checked
      CRITICAL 'calm': is frozen until 2099-01-01 00:00:00 UTC (Loop\\x1b[31m)
      CRITICAL 'reset': is frozen without end (Incident)
      "
    `);
    expect((await report('--warn', 'off', '--crit', 'off')).findings).toEqual([]);
    expect(await found('--frozen', '--where', 'budget > 0', '--match', 'r*')).toEqual([]);
  });

  test.each([
    ['with an offset', '2099-01-01T00:00:00Z'],
    ['that is no time', 'tomorrow'],
  ])('finds an end %s, which the gateway answers with an error', async (_, until) => {
    await freeze('calm', until);
    expect(await found('--frozen', '--match', 'calm')).toEqual(['calm unreadable_freeze']);
  });

  test('finds an end of a wrong type', async () => {
    await redis.client.lPush('anomaly:calm:frozen_until', 'x');
    expect(await found('--frozen', '--match', 'calm')).toEqual(['calm unreadable_freeze']);
  });

  test('a user who may not read freezes is told so, and not that there are none', async () => {
    await freeze('calm', '2099-01-01T00:00:00');
    await redis.client.sendCommand(['ACL', 'SETUSER', 'money', 'on', '>a-password', '+@all', '~session:*']);
    const url = redis.url.replace('unix://', 'unix://money:a-password@');
    for (const argv of [['--frozen'], ['--where', '!frozen']]) {
      const {code, stdout, stderr} = await runCommand(CheckSessions, argv, {url});
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toContain('this user lacks a permission');
    }
  });
});

test.each([
  [['--warn', '96'], '--warn 96 is above --crit 95.'],
  [['--warn', '0'], "Invalid percentage '0'."],
  [['--warn', '-5'], "Invalid percentage '-5'."],
  [['--crit', 'nan'], "Invalid percentage 'nan'."],
  [['--crit', '1e2'], "Invalid percentage '1e2'."],
  [['--min-left', '$5'], "Invalid amount '$5': leave out the currency sign."],
  [['--min-left', '0'], '--min-left 0 finds nothing'],
  [['--where', 'spend > 3'], "there is no field 'spend'"],
  [['--new-only', '--state', 'a b'], "Invalid --state 'a b'."],
  [['--exec', 'true'], '--exec goes with --new-only.'],
  [['--webhook-file', '/x'], '--webhook-file goes with --new-only.'],
  [['--new-only', '--exec', ' '], '--exec is empty.'],
  [['--state', 'x'], '--state goes with --new-only.'],
  [['extra'], 'Unexpected argument'],
])('%j could not be checked: exit code 1', async (argv, message) => {
  const {code, stdout, stderr} = await check(...argv);
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).toContain(message);
});

describe('--new-only', () => {
  const fresh = (...argv: string[]): Promise<string[]> => found('--new-only', ...argv);

  test('reports a crossing once, and says how many last', async () => {
    expect(await check('--new-only')).toMatchObject({code: 2, stdout: (await check()).stdout});
    expect(await check('--new-only')).toMatchObject({
      code: 0,
      stdout: 'OK - nothing new, 2 reported before; 4 sessions checked\n',
    });
    expect(await report('--new-only')).toMatchObject({code: 0, status: 'ok', findings: [], reported_before: 2});
    expect(await check()).toMatchObject({code: 2});
  });

  test('a worse threshold is a new crossing, and one that is passed with it is not another', async () => {
    expect(await fresh()).toEqual(['over used 95', 'high used 80']);
    await redis.client.set('session:high:spent', '49');
    expect(await fresh()).toEqual(['high used 95']);
    await redis.client.set('session:calm:spent', '99');
    expect(await fresh()).toEqual(['calm used 95']);
    expect(await fresh()).toEqual([]);
  });

  test('a session that has fallen back is reported when it crosses again', async () => {
    await fresh();
    await redis.client.set('session:high:spent', '49');
    expect(await fresh()).toEqual(['high used 95']);
    // Spending has fallen, so that it is another crossing of the lower threshold.
    await redis.client.set('session:high:spent', '45');
    expect(await fresh()).toEqual(['high used 80']);
    await redis.client.set('session:high:spent', '49');
    expect(await fresh()).toEqual(['high used 95']);
    await redis.client.set('session:high:spent', '1');
    expect(await fresh()).toEqual([]);
    await redis.client.set('session:high:spent', '45');
    expect(await fresh()).toEqual(['high used 80']);
  });

  test('a session that was reset, and has crossed again before the next check, is reported again', async () => {
    await fresh();
    await redis.client.set('session:high:spent', '47.3');
    expect(await fresh()).toEqual([]);
    // The gateway's own dashboard removes it, and the session spends anew.
    await redis.client.set('session:high:spent', '41');
    expect(await fresh()).toEqual(['high used 80']);
    expect(await fresh()).toEqual([]);
  });

  test('spending that has fallen is a new crossing of a lower threshold, a greater budget is none', async () => {
    expect(await fresh('--match', 'over')).toEqual(['over used 95']);
    // Removed by somebody else, and spent anew: not what was reported.
    await redis.client.set('session:over:spent', '8.5');
    expect(await fresh('--match', 'over')).toEqual(['over used 80']);
    await redis.client.set('session:over:spent', '9.6');
    expect(await fresh('--match', 'over')).toEqual(['over used 95']);
    await redis.client.set('session:over:budget', '11');
    expect(await fresh('--match', 'over')).toEqual([]);
  });

  test.each([
    ['end', '2099-01-02T00:00:00', 'a'],
    ['reason', '2099-01-01T00:00:00', 'ü'],
  ])('a freeze with another %s is another one', async (_, until, reason) => {
    const frozen = (): Promise<string[]> => fresh('--frozen', '--match', 'calm');
    await freeze('calm', '2099-01-01T00:00:00');
    await redis.client.set('anomaly:calm:freeze_reason', 'a');
    expect(await frozen()).toEqual(['calm frozen']);
    expect(await frozen()).toEqual([]);
    await redis.client.mSet({'anomaly:calm:frozen_until': until, 'anomaly:calm:freeze_reason': reason});
    expect(await frozen()).toEqual(['calm frozen']);
    expect(await frozen()).toEqual([]);
  });

  test('what an earlier version has reported is not reported again, until something else begins it', async () => {
    await fresh();
    const key = 'tokengate:alerts';
    const claims = await redis.client.hGetAll(key);
    for (const [field, value] of Object.entries(claims)) await redis.client.hSet(key, field, value.split(' ')[0]!);
    expect(await fresh()).toEqual([]);
    expect(await redis.client.hGetAll(key)).toEqual(claims);
    await redis.client.set('session:high:spent', '41');
    expect(await fresh()).toEqual(['high used 80']);
  });

  test('each rule crosses by itself', async () => {
    await freeze('high', '2099-01-01T00:00:00');
    expect(await fresh('--match', 'high')).toEqual(['high used 80']);
    expect(await fresh('--match', 'high', '--frozen')).toEqual(['high frozen']);
    expect(await fresh('--match', 'high', '--min-left', '3')).toEqual(['high left 3']);
    expect(await fresh('--match', 'high', '--min-left', '5')).toEqual(['high left 5']);
    await redis.client.set('session:high:budget', 'nan');
    expect(await fresh('--match', 'high', '--frozen')).toEqual(['high unreadable_money']);
    await redis.client.set('session:high:budget', '50');
    expect(await fresh('--match', 'high', '--frozen', '--min-left', '5')).toEqual([]);
    await redis.client.del('anomaly:high:frozen_until');
    expect(await fresh('--match', 'high')).toEqual([]);
    await freeze('high', '2099-01-01T00:00:00');
    expect(await fresh('--match', 'high', '--frozen')).toEqual(['high frozen']);
  });

  test('checks with other thresholds or sessions do not re-arm what one has reported', async () => {
    await fresh();
    expect(await fresh('--warn', '50')).toEqual(['high used 50']);
    expect(await fresh('--warn', '95', '--match', 'c*')).toEqual([]);
    expect(await fresh('--where', "id == 'calm'")).toEqual([]);
    expect(await fresh()).toEqual([]);
    expect(await fresh('--warn', '50')).toEqual([]);
  });

  test('--state keeps checks apart that are the same', async () => {
    expect(await fresh('--state', 'team-a')).toEqual(['over used 95', 'high used 80']);
    expect(await fresh('--state', 'team-b')).toEqual(['over used 95', 'high used 80']);
    expect(await fresh('--state', 'team-a')).toEqual([]);
    expect(await redis.client.keys('tokengate:*')).toHaveLength(2);
  });

  test('nothing is kept of sessions that are gone, whichever check sees to it', async () => {
    await freeze('reset', '2099-01-01T00:00:00');
    await loadSessions(redis, {'a:b\n*': ['1', '2']});
    expect(await fresh('--frozen')).toHaveLength(4);
    const before = await redis.client.hKeys('tokengate:alerts');
    expect(before.sort()).toEqual([
      'frozen::reset',
      'used:80:a:b\n*',
      'used:80:high',
      'used:80:over',
      'used:95:a:b\n*',
      'used:95:over',
    ]);
    await redis.client.del(['session:a:b\n*:budget', 'session:over:budget', 'anomaly:reset:frozen_until']);
    expect(await fresh('--match', 'calm', '--warn', '1')).toEqual(['calm used 1']);
    expect((await redis.client.hKeys('tokengate:alerts')).sort()).toEqual(['used:1:calm', 'used:80:high']);
    await loadSessions(redis, {over: ['10', '11']});
    expect(await fresh()).toEqual(['over used 95']);
  });

  test('what is kept goes when nobody checks any more', async () => {
    await fresh();
    const ttl = await redis.client.ttl('tokengate:alerts');
    expect(ttl).toBeGreaterThan(89 * 86_400);
    expect(ttl).toBeLessThanOrEqual(90 * 86_400);
  });

  test('without it nothing is written', async () => {
    await check('--frozen');
    expect(await redis.client.exists('tokengate:alerts')).toBe(0);
  });

  test('a crossing that is being reported is taken over only when its time is over', async () => {
    const hold = (end: number): Promise<number> =>
      redis.client.hSet('tokengate:alerts', {'used:80:high': `pending:${end}:other`});
    await hold(Date.now() + 60_000);
    expect(await fresh('--match', 'high')).toEqual([]);
    await hold(Date.now() - 1);
    expect(await fresh('--match', 'high')).toEqual(['high used 80']);
    expect(await redis.client.hGet('tokengate:alerts', 'used:80:high')).toMatch(/^reported:\d{4}-/);
  });

  test('more crossings than one run of a script takes are each reported once', async () => {
    const many = Array.from({length: 1300}, (_, index) => [`s${index}`, ['1', '1']] as const);
    await loadSessions(redis, Object.fromEntries(many));
    expect(await fresh('--match', 's*')).toHaveLength(1300);
    expect(await fresh('--match', 's*')).toEqual([]);
    await redis.client.sendCommand([
      'EVAL',
      "for i = 0, 1299 do redis.call('DEL', 'session:s' .. i .. ':budget') end",
      '0',
    ]);
    expect(await fresh('--match', 's*')).toEqual([]);
    expect(await redis.client.exists('tokengate:alerts')).toBe(0);
  });

  test('an ID that is not UTF-8 crosses once, too', async () => {
    const key = Buffer.concat([Buffer.from('session:'), Buffer.from([0xff]), Buffer.from(':')]);
    await redis.client.set(Buffer.concat([key, Buffer.from('budget')]), '1');
    await redis.client.set(Buffer.concat([key, Buffer.from('spent')]), '1');
    expect(await fresh()).toContain(String.raw`\xff used 95`);
    expect(await fresh()).toEqual([]);
  });

  test('a user without rights on what is kept is told which', async () => {
    await redis.client.sendCommand([
      'ACL',
      'SETUSER',
      'gate',
      'on',
      '>a-password',
      '+@all',
      '~session:*',
      '~anomaly:*',
    ]);
    const url = redis.url.replace('unix://', 'unix://gate:a-password@');
    const {code, stdout, stderr} = await runCommand(CheckSessions, ['--new-only'], {url});
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toMatch(/lacks a permission \(access to a key\)\.\nReported crossings are kept in tokengate:alerts/);
    expect(await runCommand(CheckSessions, [], {url})).toMatchObject({code: 2, stderr: ''});
  });

  test('a key that is no hash is named', async () => {
    await redis.client.set('tokengate:alerts', 'x');
    const {code, stdout, stderr} = await check('--new-only');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain('tokengate:alerts in Redis');
    expect(stderr).toContain('is not a hash');
  });
});
