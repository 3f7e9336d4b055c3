import {readFile} from 'node:fs/promises';

import {beforeEach, describe, expect, test} from 'vitest';

import CheckStore from '../../src/commands/check-store.js';
import UndoChange from '../../src/commands/undo-change.js';
import {checkStore} from '../../src/lib/audit/audit.js';
import {type Fixable, isFixable} from '../../src/lib/audit/finding.js';
import {makeRepairs, type RepairOptions} from '../../src/lib/audit/repairs.js';
import {DEFAULT_BUDGET} from '../../src/lib/gateway/budget-judgement.js';
import {explainSession} from '../../src/lib/gateway/next-request.js';
import {readJournal} from '../../src/lib/journal/entry.js';
import {connect} from '../../src/lib/redis/connect.js';
import {parseSessionId} from '../../src/lib/values/session-id.js';
import {openTerminal} from '../support/program/pty.js';
import {type Output, runBinary, runCommand} from '../support/program/run.js';
import {makeShell} from '../support/program/shell.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';
import {ROOT} from '../support/root.js';

const redis = useRedis();

const check = (...argv: string[]): Promise<Output> => runCommand(CheckStore, argv, redis);
const gatewayTime = (at: number): string => new Date(at).toISOString().slice(0, -1);
const HOUR = 3_600_000;
const options = (stop: AbortSignal): RepairOptions => ({now: new Date(), journal: undefined, stop});

interface FindingJson {
  key: string;
  session_id: string;
  problem: string;
  http_status: number | null;
  fix: string | null;
  commands: string[];
}
interface Document {
  findings: FindingJson[];
  repairs: {key: string; problem: string; outcome: string; change_id?: string | null}[];
  summary: Record<string, number | boolean>;
}
async function checkJson(...argv: string[]): Promise<Document & {code: number | null}> {
  const {code, stdout} = await check('--json', ...argv);
  return {...(JSON.parse(stdout) as Document), code};
}
test.each([
  ['session:x:budget', 'ten', true],
  ['session:x:spent', 'inf', true],
  ['anomaly:x:frozen_until', 'soon', false],
])('%s that is %s makes the dashboard of the gateway fail: %s', async (key, value, fails) => {
  await redis.client.set('session:x:budget', '10');
  await redis.client.set(key, value);
  expect((await checkJson()).summary).toMatchObject({dashboard_fails: fails});
  const text =
    "The gateway's own dashboard answers HTTP 500 for all sessions, because it cannot read 1 value of these.\n";
  expect((await check()).stdout.includes(text)).toBe(fails);
});

test('a long value is judged by all of it', async () => {
  const long = (end: string): string => `1${' '.repeat(3000)}${end}`;
  await redis.client.mSet({
    'session:a:budget': long('x'),
    'session:b:budget': long(''),
    'session:c:budget': `0.${'0'.repeat(3000)}1`,
    'anomaly:c:frozen_until': '2099-01-01T00:00:00',
    'anomaly:c:freeze_reason': `x${'ü'.repeat(3000)}`,
  });
  await redis.client.expire('anomaly:c:frozen_until', 100);
  await redis.client.expire('anomaly:c:freeze_reason', 100);
  expect(await problems()).toEqual(['session:a:budget budget_not_money']);
});

async function problems(...argv: string[]): Promise<string[]> {
  return (await checkJson(...argv)).findings.map(({key, problem}) => `${key} ${problem}`).sort();
}

type Value = string | Buffer | {list: string};
async function write(key: string, value: Value, ttl?: number): Promise<void> {
  if (typeof value === 'string' || Buffer.isBuffer(value)) await redis.client.set(key, value);
  else await redis.client.lPush(key, value.list);
  if (ttl !== undefined) await redis.client.pExpire(key, ttl);
}

const LIST = {list: 'x'};
/** A key, its TTL, and what is wrong with it; what the gateway answers every request; whether one answer is right. */
const POISONS: [
  key: string,
  value: Value,
  ttl: number | undefined,
  problem: string,
  http: number | null,
  fix: boolean,
][] = [
  ['session:x:budget', 'nan', undefined, 'budget_not_money', 503, false],
  ['session:x:budget', '', undefined, 'budget_not_money', 503, false],
  ['session:x:budget', '$5', undefined, 'budget_not_money', 503, false],
  ['session:x:budget', Buffer.from([255]), undefined, 'budget_not_money', 500, false],
  ['session:x:budget', '1e309', undefined, 'budget_infinite', null, false],
  ['session:x:budget', LIST, undefined, 'budget_wrong_type', 503, false],
  ['session:x:budget', 'inf', undefined, 'budget_infinite', null, false],
  ['session:x:budget', '-Infinity', undefined, 'budget_infinite', 500, false],
  ['session:x:budget', '5', HOUR, 'budget_expires', null, false],
  ['session:x:spent', 'NaN', undefined, 'spent_not_money', 503, false],
  ['session:x:spent', LIST, undefined, 'spent_wrong_type', 503, false],
  ['session:x:spent', 'inf', undefined, 'spent_infinite', 500, false],
  ['session:x:spent', '1e309', undefined, 'spent_infinite', 500, false],
  ['session:x:spent', '-inf', undefined, 'spent_infinite', null, false],
  ['session:x:spent', '-0.5', undefined, 'spent_negative', null, false],
  ['session:x:spent', '0.5', HOUR, 'spent_expires', null, true],
  ['anomaly:x:frozen_until', `${gatewayTime(Date.now() + HOUR)}Z`, HOUR, 'frozen_until_offset', 500, true],
  ['anomaly:x:frozen_until', '2020-01-01T00:00:00+00:00', undefined, 'frozen_until_offset', 500, true],
  ['anomaly:x:frozen_until', '2099-01-01T00:00:00+01:00', undefined, 'frozen_until_offset', 500, true],
  ['anomaly:x:frozen_until', 'soon', HOUR, 'frozen_until_unreadable', 500, false],
  ['anomaly:x:frozen_until', '', undefined, 'frozen_until_unreadable', null, true],
  ['anomaly:x:frozen_until', LIST, HOUR, 'frozen_until_wrong_type', 500, false],
  ['anomaly:x:frozen_until', '2020-01-01T00:00:00', HOUR, 'freeze_over', null, true],
  ['anomaly:x:frozen_until', '2099-01-01T00:00:00', undefined, 'freeze_without_ttl', null, true],
  ['anomaly:x:freeze_reason', 'why', HOUR, 'freeze_reason_without_freeze', null, true],
  ['anomaly:x:freeze_reason', 'why', undefined, 'freeze_reason_without_freeze', null, true],
  ['anomaly:x:freeze_reason', LIST, HOUR, 'freeze_reason_wrong_type', null, true],
  ['anomaly:x:requests:1min', '07', 60_000, 'requests_not_count', 500, true],
  ['anomaly:x:requests:1min', '9223372036854775807', 60_000, 'requests_not_count', 500, true],
  ['anomaly:x:requests:1min', LIST, 60_000, 'requests_wrong_type', 500, true],
  ['anomaly:x:requests:1min', '7', undefined, 'requests_without_ttl', null, true],
  ['anomaly:x:identical_count', 'one', 60_000, 'identical_count_not_count', null, true],
  ['anomaly:x:identical_count', LIST, 60_000, 'identical_count_wrong_type', null, true],
  ['anomaly:x:identical_count', '1', undefined, 'identical_count_without_ttl', null, true],
  ['anomaly:x:last_hash', LIST, 60_000, 'last_hash_wrong_type', 500, true],
  ['anomaly:x:last_hash', 'abc', undefined, 'last_hash_without_ttl', null, true],
  ['anomaly:x:last_hash', Buffer.from([255]), 60_000, 'last_hash_not_text', 500, true],
  ['anomaly:x:history', '[]', HOUR, 'history_wrong_type', 500, true],
  ['anomaly:x:velocity', LIST, HOUR, 'velocity_wrong_type', 500, false],
  ['anomaly:x:velocity', '0', HOUR, 'velocity_wrong_type', 500, true],
];

describe('check-store finds', () => {
  test.each(POISONS)('%s of %o with a TTL of %s: %s', async (key, value, ttl, problem, http, fix) => {
    await write('session:x:budget', '10.0');
    await redis.client.del(key);
    await write(key, value, ttl);
    const {code, findings, summary} = await checkJson();
    expect(
      findings.map((finding) => [finding.key, finding.problem, finding.http_status, finding.fix !== null]),
    ).toEqual([[key, problem, http, fix]]);
    expect({code, findings: summary['findings'], fixable: summary['fixable']}).toEqual({
      code: 2,
      findings: 1,
      fixable: Number(fix),
    });
    expect(findings[0]!.commands.length > 0).toBe(!fix);
  });

  test.each(POISONS)(
    '%s of %o with a TTL of %s, and --fix leaves nothing that it can repair',
    async (key, value, ttl, _, http, fix) => {
      await write('session:x:budget', '10.0');
      await redis.client.del(key);
      await write(key, value, ttl);
      const connection = await connect({url: redis.url});
      const request = {cost: null, isRepeated: false, defaultBudget: DEFAULT_BUDGET};
      const answer = async (): Promise<number | null> =>
        (await explainSession(connection, parseSessionId('x'), request)).answer;
      // What it says of the answer is what explain-session says.
      if (http !== null) expect(await answer()).toBe(http);
      const before = await dumpKeyspace(redis);
      const {code, repairs} = await checkJson('--fix', '--yes');
      expect(repairs.map(({outcome}) => outcome)).toEqual(fix ? ['fixed'] : []);
      expect(code).toBe(fix ? 0 : 2);
      if (fix) {
        expect(await problems()).toEqual([]);
        expect([null, 429]).toContain(await answer());
      } else {
        expect(await dumpKeyspace(redis)).toEqual(before);
      }
      connection.close();
    },
  );

  test('a repair has the ID of its change, by which it is undone', async () => {
    await write('anomaly:x:freeze_reason', 'Bot');
    const {repairs} = await checkJson('--fix', '--yes');
    expect(await redis.client.exists('anomaly:x:freeze_reason')).toBe(0);
    expect(repairs.map(({change_id: change}) => change)).toEqual([expect.stringMatching(/^\w{10}$/)]);
    const {code} = await runCommand(UndoChange, [String(repairs[0]?.change_id), '--yes'], redis);
    expect(code).toBe(0);
    expect(await redis.client.get('anomaly:x:freeze_reason')).toBe('Bot');
    const unrecorded = await checkJson('--fix', '--yes', '--no-journal');
    expect(unrecorded.repairs.map(({change_id: change}) => change)).toEqual([null]);
  });

  test('nothing in what the gateway wrote itself, but IDs that are not printable', async () => {
    const keys = JSON.parse(await readFile(`${ROOT}fixtures/gateway-snapshot.json`, 'utf8')) as {
      key: string;
      type: string;
      ttl_ms: number | null;
      value: string & string[];
    }[];
    for (const {key, type, ttl_ms, value} of keys) {
      const isEnd = key.endsWith(':frozen_until');
      if (type === 'list') await redis.client.rPush(key, value);
      else await redis.client.set(key, isEnd ? gatewayTime(Date.now() + 280_000) : value);
      if (ttl_ms !== null) await redis.client.pExpire(key, ttl_ms);
    }
    const {code, findings, summary} = await checkJson();
    expect(code).toBe(2);
    expect(summary).toEqual({
      dashboard_fails: false,
      keys: keys.length,
      findings: 2,
      fixable: 0,
      fixed: 0,
      not_fixed: 0,
    });
    expect(findings.map(({problem, session_id}) => [problem, session_id]).sort()).toEqual([
      ['id_not_printable', 'evil\u001b[31mred\u001b[0m'],
      ['id_not_printable', 'line\nbreak'],
    ]);
  });

  test('nothing in what this CLI writes', async () => {
    for (const argv of [
      ['set-budget', 'x', '0'],
      ['freeze-session', 'x', '--forever'],
      ['freeze-session', 'y', '--for', '2h'],
    ]) {
      expect(await runBinary(argv, redis)).toMatchObject({code: 0});
    }
    expect(await check()).toMatchObject({code: 0, stderr: ''});
  });

  test('nothing in an empty store, nor in keys of others', async () => {
    expect(await check()).toMatchObject({code: 0, stdout: '✓ Looked at 0 keys: nothing\n', stderr: ''});
    await redis.client.mSet({'session:x': '1', 'session:x:limit': 'nan', 'tokengate:session:x:budget': 'nan', a: '1'});
    expect(await checkJson()).toEqual({
      code: 0,
      findings: [],
      repairs: [],
      summary: {dashboard_fails: false, keys: 0, findings: 0, fixable: 0, fixed: 0, not_fixed: 0},
    });
  });

  test('the same for a user who may not run scripts', async () => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+time', '+hello']);
    for (const [index, [key, value, ttl]] of POISONS.entries()) {
      await write(key.replace(':x:', `:x${index}:`), value, ttl);
    }
    const url = redis.url.replace('unix://', 'unix://reader:secret@');
    const reader = await runCommand(CheckStore, ['--json'], {url});
    expect(reader).toMatchObject({code: 2, stderr: ''});
    const found = (document: string): string[] =>
      (JSON.parse(document) as Document).findings.map(({key, problem}) => `${key} ${problem}`).sort();
    expect(found(reader.stdout).length).toBeGreaterThanOrEqual(POISONS.length);
    expect(found(reader.stdout)).toEqual(await problems());
  });

  test('several things of one key, and of one session', async () => {
    await write('session:x:spent', '-1', HOUR);
    expect(await problems()).toEqual([
      'session:x:spent spent_expires',
      'session:x:spent spent_negative',
      'session:x:spent spent_without_budget',
    ]);
  });

  test('IDs that are not text, with no command for them', async () => {
    await redis.client.set(Buffer.from('session:\xff:budget', 'latin1'), 'nan');
    const {findings} = await checkJson();
    expect(findings.map(({key, problem, commands}) => [key, problem, commands])).toEqual([
      ['session:\\xff:budget', 'budget_not_money', []],
      ['session:\\xff:budget', 'id_not_text', []],
    ]);
  });

  test('only what the glob lets through', async () => {
    for (const id of ['a', 'a:b', 'ab', 'a*']) await redis.client.set(`session:${id}:budget`, 'nan');
    const found = async (glob: string): Promise<string[]> =>
      (await checkJson('--match', glob)).findings.map(({session_id: id}) => id).sort();
    expect(await found('a')).toEqual(['a']);
    expect(await found('a*')).toEqual(['a', 'a*', 'a:b', 'ab']);
    expect(await found('a\\*')).toEqual(['a*']);
    expect(await found('a[:b]*')).toEqual(['a:b', 'ab']);
  });

  test('each thing once among many, whatever comes and goes', async () => {
    const ids = Array.from({length: 3000}, (_, index) => `s${index}`);
    await redis.client.mSet(
      ids.map((id): [string, string] => [`session:${id}:budget`, id.endsWith('7') ? 'nan' : '1']),
    );
    const churn = async (): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const others = Array.from({length: 500}, (_, index) => `session:other${round}-${index}:budget`);
        await redis.client.mSet(others.map((key): [string, string] => [key, '1']));
        await redis.client.del(others);
      }
    };
    const [found] = await Promise.all([problems(), churn()]);
    expect(found).toEqual(
      ids
        .filter((id) => id.endsWith('7'))
        .map((id) => `session:${id}:budget budget_not_money`)
        .sort(),
    );
  });
});

describe('check-store prints', () => {
  beforeEach(async () => {
    await write('session:x:budget', 'nan');
    await write("session:it's\u001b[31m:budget", '1\n\u202e');
    await write('anomaly:x:requests:1min', 'many\u001b');
  });

  test('a line for each finding, with what to do', async () => {
    const {code, stdout, stderr} = await check();
    expect({code, stderr}).toEqual({code: 2, stderr: ''});
    expect(stdout.split('\n').sort().join('\n')).toMatchInlineSnapshot(`
      "
      The gateway's own dashboard answers HTTP 500 for all sessions, because it cannot read 2 values of these.
      anomaly:x:requests:1min: 'many\\x1b', which is not a count: every request fails with HTTP 500. --fix: delete it
      session:it's\\x1b[31m:budget: '1\\n\\u202e', which is not an amount: every request fails with HTTP 503. Use: tokengate set-budget "$(printf 'it'\\''s\\033[31m')" AMOUNT
      session:it's\\x1b[31m:budget: an ID with characters that are not printable: a program that prints it unescaped may be misled.
      session:x:budget: 'nan', which is not an amount: requests fail with HTTP 503 once the request rate no longer stops them. Use: tokengate set-budget x AMOUNT
      ✗ Looked at 3 keys: 4 findings, of which --fix repairs 1"
    `);
  });

  test('one document, or one object a line', async () => {
    const {stdout} = await check('--format', 'ndjson', '--fix', '--yes');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as {type: string; problem: string});
    expect(lines.map(({type, problem}) => `${type} ${problem}`).sort()).toEqual([
      'finding budget_not_money',
      'finding budget_not_money',
      'finding id_not_printable',
      'finding requests_not_count',
      'repair requests_not_count',
    ]);
    const document = await check('--format', 'json');
    expect(document.stdout).toBe((await check('--json')).stdout);
    expect(JSON.parse(document.stdout)).toMatchObject({summary: {keys: 2, findings: 3}});
    expect(await check('--json', '--format', 'text')).toMatchObject({code: 1, stdout: ''});
    expect(await check('--dry-run')).toMatchObject({code: 1, stdout: ''});
  });

  test('commands that can be pasted into a shell', async () => {
    const shell = await makeShell();
    const {findings} = await checkJson();
    const commands = findings.flatMap((finding) => finding.commands);
    expect(commands).toHaveLength(2);
    for (const command of commands) {
      expect(await shell.run(command.replace('AMOUNT', '5'), {url: redis.url})).toMatchObject({code: 0});
    }
    expect(await redis.client.get("session:it's\u001b[31m:budget")).toBe('5');
    await shell.remove();
  });
});

test('the redis-cli line that is advised deletes on the server and in the database that were looked at', async () => {
  const url = `${redis.url}?db=2`;
  const socket = new URL(redis.url).pathname;
  await write('session:w:spent', LIST);
  await redis.client.select(2);
  const shell = await makeShell();
  try {
    for (const command of ['check-store', 'explain-session w']) {
      await redis.client.set('session:w:budget', '5');
      await write('session:w:spent', LIST);
      const {stdout} = await shell.run(`tokengate ${command} --redis-url '${url}'`, {url: 'redis://127.0.0.1:1'});
      const [line = ''] = /redis-cli .*/.exec(stdout) ?? [];
      expect(line).toBe(`redis-cli -s ${socket} -n 2 DEL session:w:spent`);
      expect(await shell.run(line, {url: 'redis://127.0.0.1:1'})).toMatchObject({code: 0, stdout: '1\n'});
      expect(await redis.client.exists('session:w:spent')).toBe(0);
    }
    await redis.client.flushDb();
    await redis.client.select(0);
    expect(await redis.client.exists('session:w:spent')).toBe(1);
  } finally {
    await redis.client.select(0);
    await shell.remove();
  }
});

describe('check-store --fix', () => {
  test('writes what was meant, and keeps the ends', async () => {
    const end = Date.now() + HOUR;
    await write('anomaly:a:frozen_until', `${gatewayTime(end)}Z`, 2 * HOUR);
    await write('anomaly:a:freeze_reason', 'why', HOUR);
    await write('anomaly:b:frozen_until', new Date(end).toISOString().replace('Z', '+00:00'));
    await write('anomaly:b:freeze_reason', 'y'.repeat(5000));
    await write('anomaly:c:frozen_until', '2020-01-01T00:00:00Z');
    await write('anomaly:c:freeze_reason', 'over', HOUR);
    await write('session:d:budget', '5');
    await write('session:d:spent', '1.50', HOUR);
    await write('anomaly:e:requests:1min', '99');
    expect((await checkJson('--fix', '--yes')).summary).toMatchObject({not_fixed: 0});
    expect(await problems()).toEqual([]);
    expect(await redis.client.get('anomaly:a:frozen_until')).toBe(gatewayTime(end));
    expect(await redis.client.pTTL('anomaly:a:frozen_until')).toBeGreaterThan(1.9 * HOUR);
    expect(await redis.client.get('anomaly:b:frozen_until')).toBe(gatewayTime(end));
    for (const key of ['anomaly:b:frozen_until', 'anomaly:b:freeze_reason']) {
      const ttl = await redis.client.pTTL(key);
      expect(ttl).toBeGreaterThan(0.9 * HOUR);
      expect(ttl).toBeLessThanOrEqual(HOUR + 1000);
    }
    expect(await redis.client.strLen('anomaly:b:freeze_reason')).toBe(5000);
    expect(await redis.client.exists(['anomaly:c:frozen_until', 'anomaly:c:freeze_reason'])).toBe(0);
    expect(await redis.client.get('session:d:spent')).toBe('1.50');
    expect(await redis.client.pTTL('session:d:spent')).toBe(-1);
    expect(await redis.client.pTTL('anomaly:e:requests:1min')).toBeGreaterThan(50_000);
  });

  test.each([
    ['that has no end', [gatewayTime(Date.now() + HOUR), undefined], undefined, 1],
    ['with an offset, without an end', [`${gatewayTime(Date.now() + HOUR)}Z`, undefined], undefined, 1],
    ['with an offset', [`${gatewayTime(Date.now() + HOUR)}Z`, HOUR], undefined, 2],
    ['with an offset, whose reason is no text', [`${gatewayTime(Date.now() + HOUR)}Z`, undefined], LIST, 2],
    ['without end and with an offset', ['9999-12-31T23:59:59Z', undefined], undefined, 1],
    ['that is over', ['2026-01-01T00:00:00', HOUR], undefined, 2],
    ['that is over, whose reason is no text', ['2026-01-01T00:00:00', HOUR], LIST, 2],
    ['that is over, without an end', ['2026-01-01T00:00:00', undefined], undefined, 1],
  ] as [string, [string, number?], Value | undefined, number][])(
    'repairs a freeze %s, and its reason, in one run',
    async (_, [until, ttl], reason = 'why', count) => {
      await write('anomaly:x:frozen_until', until, ttl);
      await write('anomaly:x:freeze_reason', reason);
      const {code, repairs, summary} = await checkJson('--fix', '--yes');
      expect(repairs.map(({outcome}) => outcome)).toEqual(Array.from({length: count}, () => 'fixed'));
      expect({code, summary}).toMatchObject({code: 0, summary: {findings: count, fixed: count, not_fixed: 0}});
      expect(await checkJson()).toMatchObject({code: 0, findings: []});
      const ttls = await Promise.all(
        ['frozen_until', 'freeze_reason'].map((name) => redis.client.pTTL(`anomaly:x:${name}`)),
      );
      if (reason === 'why') expect(Math.abs(ttls[0]! - ttls[1]!)).toBeLessThan(5000);
    },
  );

  test('changes nothing with --dry-run', async () => {
    await write('anomaly:x:requests:1min', 'many');
    const before = await dumpKeyspace(redis);
    const {code, repairs} = await checkJson('--fix', '--dry-run');
    expect({code, repairs}).toMatchObject({code: 2, repairs: [{outcome: 'would_fix', action: 'delete it'}]});
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('leaves alone what has changed since it was found', async () => {
    const FOUND: [string, Value][] = [
      ['anomaly:a:requests:1min', 'many'],
      ['anomaly:b:frozen_until', '2099-01-01T00:00:00Z'],
      ['anomaly:c:history', 'x'],
      ['anomaly:d:freeze_reason', 'why'],
      ['anomaly:e:last_hash', LIST],
    ];
    for (const [key, value] of FOUND) await write(key, value);
    const connection = await connect({url: redis.url});
    const fixable: Fixable[] = [];
    for await (const {findings} of checkStore(connection, {isPrintable: () => true})) {
      fixable.push(...findings.filter(isFixable));
    }
    expect(fixable).toHaveLength(FOUND.length);
    await redis.client.mSet({
      'anomaly:a:requests:1min': '5',
      'anomaly:b:frozen_until': '2099-01-01T00:00:01Z',
      'anomaly:d:frozen_until': '2099-01-01T00:00:00',
      'anomaly:e:last_hash': 'abc',
    });
    await redis.client.del('anomaly:c:history');
    await redis.client.lPush('anomaly:c:history', '{}');
    const before = await dumpKeyspace(redis);
    const outcomes: string[] = [];
    for await (const {outcome} of makeRepairs(connection, fixable, options(new AbortController().signal))) {
      outcomes.push(outcome.state);
    }
    expect(outcomes).toEqual(FOUND.map(() => 'unchanged'));
    expect(await dumpKeyspace(redis)).toEqual(before);
    connection.close();
  });

  test('begins nothing more once it is stopped', async () => {
    await redis.client.mSet(
      Array.from({length: 3500}, (_, index): [string, string] => [`anomaly:${index}:requests:1min`, 'many']),
    );
    const connection = await connect({url: redis.url});
    const fixable: Fixable[] = [];
    for await (const {findings} of checkStore(connection, {isPrintable: () => true})) {
      fixable.push(...findings.filter(isFixable));
    }
    const stop = new AbortController();
    const states: string[] = [];
    for await (const {outcome} of makeRepairs(connection, fixable, options(stop.signal))) {
      states.push(outcome.state);
      stop.abort();
    }
    expect(states).toHaveLength(3500);
    const fixed = states.filter((state) => state === 'done').length;
    expect(fixed).toBeGreaterThanOrEqual(500);
    expect(fixed).toBeLessThanOrEqual(3000);
    expect(await redis.client.dbSize()).toBe(3500 - fixed);
    connection.close();
  });

  test('says of what got no answer that it is unknown, and of the rest that it was not done', async () => {
    for (const key of ['anomaly:x:requests:1min', 'anomaly:x:identical_count']) await write(key, 'many');
    const connection = await connect({url: redis.url});
    const fixable: Fixable[] = [];
    for await (const {findings} of checkStore(connection, {isPrintable: () => true})) {
      fixable.push(...findings.filter(isFixable));
    }
    const journal = {change: 'c', command: 'check-store', actor: 'a', reason: '', version: '1', limit: 10};
    const repairs = makeRepairs(connection, fixable, {...options(new AbortController().signal), journal});
    connection.close();
    const outcomes: string[] = [];
    for await (const {outcome} of repairs) outcomes.push(outcome.state);
    expect(outcomes).toEqual(['unknown', 'not_done']);
    expect(await redis.client.dbSize()).toBe(2);
  });

  test('records what it changes, unless it is told not to', async () => {
    await write('anomaly:x:requests:1min', 'many');
    await write('anomaly:x:history', 'x');
    await write('anomaly:y:frozen_until', '2020-01-01T00:00:00Z');
    await write('anomaly:y:freeze_reason', 'over');
    expect((await check('--fix', '--yes', '--note', 'ticket 7')).code).toBe(0);
    const connection = await connect({url: redis.url});
    const records: string[] = [];
    for await (const {parts, unreadable} of readJournal(connection)) {
      expect(unreadable).toBe(0);
      for (const part of parts) {
        expect(part).toMatchObject({command: expect.stringMatching(/^check-?store$/), reason: 'ticket 7'});
        for (const {id, keys} of part.records) {
          for (const {shape, before, after} of keys) records.push(JSON.stringify([id, shape.suffix, before, after]));
        }
      }
    }
    connection.close();
    const text = (value: string): object => ({kind: 'text', text: value, ttl: -1});
    expect(records.sort()).toEqual(
      [
        ['x', ':history', text('x'), false],
        ['x', ':requests:1min', text('many'), false],
        ['y', ':freeze_reason', text('over'), false],
        ['y', ':frozen_until', text('2020-01-01T00:00:00Z'), false],
      ].map((record) => JSON.stringify(record)),
    );
    await redis.client.flushDb();
    await write('anomaly:x:requests:1min', 'many');
    expect((await check('--fix', '--yes', '--no-journal')).code).toBe(0);
    expect(await redis.client.dbSize()).toBe(0);
  });

  test('asks, and takes Enter as no', async () => {
    await write('anomaly:x:requests:1min', 'many');
    for (const [answer, code, count] of [
      ['\r', 1, 1],
      ['y\r', 0, 0],
    ] as const) {
      const terminal = openTerminal(['check-store', '--fix'], {url: redis.url, columns: 200, env: {NO_COLOR: '1'}});
      await terminal.shows('Repair 1 finding on ');
      terminal.type(answer);
      expect((await terminal.ended).code).toBe(code);
      expect(await redis.client.exists('anomaly:x:requests:1min')).toBe(count);
    }
  });

  test.each([['--fix'], ['--fix', '--json']])('%s needs --yes without a terminal', async (...argv) => {
    await write('anomaly:x:requests:1min', 'many');
    const {code, stdout, stderr} = await runBinary(['check-store', ...argv], redis);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain('--yes');
  });

  test('says what Redis refuses, and goes on', async () => {
    await write('anomaly:x:requests:1min', 'many');
    await redis.client.sendCommand(['ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@all', '-eval']);
    const url = redis.url.replace('unix://', 'unix://reader:secret@');
    const {code, stdout, stderr} = await runCommand(CheckStore, ['--fix', '--yes'], {url});
    expect(code).toBe(1);
    expect(stdout).toContain('✗ Looked at 1 key: 1 finding, fixed 0\n');
    expect(stderr).toContain('Error: Not fixed: anomaly:x:requests:1min (delete it): ');
    expect(stderr).toContain('Fixed 0, not fixed 1.\n');
  });

  describe('whose output takes no more', () => {
    const COUNT = 2500;
    const run = async (rest: string): Promise<Output> => {
      await redis.client.mSet(
        Array.from({length: COUNT}, (_, index): [string, string] => [`anomaly:s${index}:requests:1min`, '5']),
      );
      const shell = await makeShell();
      try {
        return await shell.run(`tokengate check-store --fix --yes ${rest}; exit "\${PIPESTATUS[0]}"`, redis);
      } finally {
        await shell.remove();
      }
    };
    const withoutEnd = async (): Promise<number> => {
      const keys = await redis.client.keys('anomaly:*');
      const ttls = await Promise.all(keys.map((key) => redis.client.ttl(key)));
      return ttls.filter((ttl) => ttl === -1).length;
    };

    test.each([
      ['| head -1', 'The reader of the output has gone.'],
      ['--format ndjson | head -1', 'The reader of the output has gone.'],
      ['> /dev/full', 'Cannot write the output: no space left on the device.'],
    ])('while it tells what it has found, changes nothing: %s', async (rest, why) => {
      const {code, stderr} = await run(rest);
      expect({code, stderr}).toEqual({code: 1, stderr: `Error: ${why} Nothing was fixed.\n`});
      expect(await withoutEnd()).toBe(COUNT);
    });

    test.each([['text'], ['ndjson']])('while it repairs, stops and tells on stderr what it did: %s', async (format) => {
      const {code, stdout, stderr} = await run(`--format ${format} | head -${COUNT + 1}`);
      expect(code).toBe(1);
      const left = await withoutEnd();
      const fixed = COUNT - left;
      const withComma = (count: number): string => count.toLocaleString('en');
      expect(stderr).toContain(
        `Error: The reader of the output has gone. Fixed ${withComma(fixed)}, not fixed ${withComma(left)}.`,
      );
      expect(stderr.includes('Running it again shows what is left.')).toBe(left > 0);
      expect(stdout.trimEnd().split('\n')).toHaveLength(COUNT + 1);
      // A pipe that nobody read took some; all that follow are told of.
      const told = stderr.match(format === 'text' ? /^Fixed: anomaly:/gm : /"outcome":"fixed"/g) ?? [];
      expect(told.length).toBeGreaterThan(0);
      expect(told.length).toBeLessThan(fixed);
    });
  });

  test('a check that could not be made is an error', async () => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'blind', 'on', '>secret', '~session:*', '+@all']);
    await write('anomaly:x:requests:1min', 'many');
    const url = redis.url.replace('unix://', 'unix://blind:secret@');
    expect(await runCommand(CheckStore, [], {url})).toMatchObject({code: 1});
    expect(await runCommand(CheckStore, [], {url: 'redis://127.0.0.1:1'})).toMatchObject({code: 1, stdout: ''});
  });
});
