import {afterAll, beforeAll, beforeEach, describe, expect, test, vi} from 'vitest';

import {BatchReport} from '../../../src/cli/batches/batch-report.js';
import AddBudget from '../../../src/commands/add-budget.js';
import FreezeSession from '../../../src/commands/freeze-session.js';
import ListChanges from '../../../src/commands/list-changes.js';
import ResetSession from '../../../src/commands/reset-session.js';
import SetBudget from '../../../src/commands/set-budget.js';
import UndoChange from '../../../src/commands/undo-change.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import {TokengateError} from '../../../src/lib/values/errors.js';
import {type Output, runCommand} from '../../support/program/run.js';
import {dumpKeyspace, gatewayKeys} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  vi.unstubAllEnvs();
  await redis.client.configSet('maxmemory', '0');
  await redis.client.flushDb();
});
afterAll(() => redis.stop());

const reset = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
const set = (...argv: string[]): Promise<Output> => runCommand(SetBudget, argv, redis);
const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, argv, redis);
const unfreeze = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, argv, redis);
const undo = (...argv: string[]): Promise<Output> => runCommand(UndoChange, argv, redis);
const list = (...argv: string[]): Promise<Output> => runCommand(ListChanges, argv, redis);

interface ChangeJson {
  change_id: string;
  at: string;
  actor: string;
  command: string;
  reason: string;
  version: string;
  undoes: string | null;
  undone_by: string | null;
  session_id: string;
  before: Record<string, unknown>;
  after: Record<string, unknown>;
}

async function changes(...argv: string[]): Promise<ChangeJson[]> {
  const {stdout, stderr, code} = await list('--json', ...argv);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  return JSON.parse(stdout) as ChangeJson[];
}

const last = async (): Promise<string> => (await changes('--limit', '1'))[0]!.change_id;
const text = (value: string): unknown => ({value, ttl_ms: null});

describe('the journal', () => {
  test('has each command with what was there before and after', async () => {
    await redis.client.mSet({'session:x:budget': '10.0', 'session:x:spent': '7.5E-7'});
    await set('x', '25.50', '--note', 'ticket 7');
    await runCommand(AddBudget, ['x', '0.5'], redis);
    await reset('x', '--keep-budget');
    await reset('x');
    const all = await changes();
    expect(all.map(({command, reason, before, after}) => ({command, reason, before, after}))).toEqual([
      {command: 'reset-session', reason: '', before: {budget: text('26')}, after: {budget: null}},
      {command: 'reset-session', reason: '', before: {spent: text('7.5E-7')}, after: {spent: null}},
      {command: 'add-budget', reason: '', before: {budget: text('25.50')}, after: {budget: text('26')}},
      {command: 'set-budget', reason: 'ticket 7', before: {budget: text('10.0')}, after: {budget: text('25.50')}},
    ]);
    for (const {change_id: id, session_id: session, undoes, undone_by: undoneBy, at, version} of all) {
      expect(id).toMatch(/^[0-9a-z]{10}$/);
      expect({session, undoes, undoneBy}).toEqual({session: 'x', undoes: null, undoneBy: null});
      expect(Math.abs(Date.now() - Date.parse(at))).toBeLessThan(60_000);
      expect(version).toMatch(/^\d+\.\d+\.\d+/);
    }
    expect(new Set(all.map(({change_id: id}) => id)).size).toBe(4);
  });

  test('has freezes with their time to live, and the counters that an unfreeze clears', async () => {
    await redis.client.set('anomaly:x:identical_count', '3', {EX: 300});
    await freeze('x', '--reason', 'Bot', '--for', '2h');
    await unfreeze('x');
    const [unfrozen, frozen] = await changes();
    // The reason is that of the freeze, and no note.
    expect((await list('--change', frozen!.change_id)).stdout).toMatch(/\(Bot\) ║ +║\n/);
    expect(frozen).toMatchObject({reason: 'Bot', before: {frozen_until: null, freeze_reason: null}});
    expect(frozen!.after['freeze_reason']).toEqual({value: 'Bot', ttl_ms: expect.toSatisfy(isAbout(7_200_000))});
    expect(unfrozen!.after).toEqual({frozen_until: null, freeze_reason: null, identical_count: null});
    expect(unfrozen!.before['identical_count']).toEqual({value: '3', ttl_ms: expect.toSatisfy(isAbout(300_000))});
  });

  test('says nothing of what changed nothing', async () => {
    await redis.client.set('session:x:budget', '1');
    await freeze('x', '--forever');
    await freeze('x');
    await reset('nobody');
    await reset('x', '--keep-budget');
    await unfreeze('nobody');
    expect((await changes()).map(({command}) => command)).toEqual(['freeze-session']);
  });

  test('names who it was: TOKENGATE_ACTOR, or else user@host', async () => {
    await set('x', '1');
    vi.stubEnv('TOKENGATE_ACTOR', 'alice (on call)');
    // `runCommand` takes back what was stubbed when it ends.
    await set('x', '2');
    const [second, first] = await changes();
    expect(first!.actor).toMatch(/^[^@]+@.+$/);
    expect(second!.actor).toBe('alice (on call)');
    expect(await changes('--actor', 'alice (on call)')).toEqual([second]);
  });

  test('has a batch as one change, with each session', async () => {
    const ids = Array.from({length: 220}, (_, index) => `s${index}`);
    await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '1']]));
    await reset('--all', '--note', 'new month');
    const all = await changes();
    expect(all.map(({session_id: id}) => id).sort()).toEqual([...ids].sort());
    expect(new Set(all.map(({change_id: id, reason}) => `${id} ${reason}`)).size).toBe(1);
    expect(await redis.client.xLen('tokengate:journal')).toBe(3);
    const {stdout} = await list();
    expect(stdout).toMatch(/ s0 and 219 more +║ budget \$1\.00 → none ║ new month /);
    expect(stdout.trimEnd().split('\n')).toHaveLength(5);
    expect((await list('--session', 's7')).stdout).toContain('budget $1.00 → none');
    const {stdout: each} = await list('--change', all[0]!.change_id);
    expect(each.trimEnd().split('\n')).toHaveLength(224);
  });

  test.each([
    ['--no-journal', ['--no-journal'], {}],
    ['TOKENGATE_JOURNAL=off', [], {TOKENGATE_JOURNAL: 'off'}],
  ])('is not kept with %s', async (_, flags, env) => {
    const run = async (command: Parameters<typeof runCommand>[0], ...argv: string[]): Promise<void> => {
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      expect(await runCommand(command, [...argv, ...flags], redis)).toMatchObject({code: 0});
    };
    await run(SetBudget, 'x', '5');
    await run(AddBudget, 'x', '5');
    await run(FreezeSession, 'x');
    await run(UnfreezeSession, 'x');
    await run(ResetSession, 'x', '--yes');
    await run(SetBudget, 'x', '5');
    await run(ResetSession, '--all', '--yes');
    expect(await redis.client.dbSize()).toBe(0);
  });

  test.each([
    ['TOKENGATE_JOURNAL', 'maybe'],
    ['TOKENGATE_JOURNAL', ''],
    ['TOKENGATE_JOURNAL_LIMIT', '0'],
    ['TOKENGATE_JOURNAL_LIMIT', '1e3'],
  ])('%s=%s is refused, and nothing is changed', async (name, value) => {
    vi.stubEnv(name, value);
    expect(await set('x', '5')).toMatchObject({code: 1, stderr: expect.stringContaining(`${name} is '${value}'.`)});
    expect(await redis.client.dbSize()).toBe(0);
  });

  test('keeps at most about as many entries as TOKENGATE_JOURNAL_LIMIT says', async () => {
    for (let count = 0; count < 350; count++) await redis.client.xAdd('tokengate:journal', '*', {old: String(count)});
    vi.stubEnv('TOKENGATE_JOURNAL_LIMIT', '10');
    await set('x', '5');
    // Redis drops whole nodes of a stream, of 100 entries.
    expect(await redis.client.xLen('tokengate:journal')).toBeLessThanOrEqual(110);
    expect((await list('--json')).stderr).toMatch(/^Warning: \d+ entries of the journal were not written by tokengate/);
  });
});

describe('a journal that cannot be written', () => {
  const refusals: [string, (argv: string[]) => Promise<Output>][] = [
    ['set-budget x 5', () => set('x', '5')],
    ['freeze-session x', () => freeze('x', '--reason', 'y')],
    ['reset-session x', () => reset('x')],
  ];

  test.each(refusals)('for its type refuses %s, and nothing is changed', async (_, run) => {
    await redis.client.mSet({'session:x:budget': '1', 'tokengate:journal': 'no stream'});
    const before = await dumpKeyspace(redis);
    expect(await run([])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^Error: The journal of changes cannot be written: .*wrong kind of value\.\nNothing was changed\. To change it without a record: --no-journal, or TOKENGATE_JOURNAL=off\.\n$/,
      ),
      result: undefined,
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test.each([
    ['its key', ['~session:*', '~anomaly:*', '+@all']],
    ['XADD', ['~*', '+@all', '-xadd']],
    ['XTRIM', ['~*', '+@all', '-xtrim']],
  ])('for a user without the right to %s refuses a reset, and nothing is changed', async (_, rights) => {
    await redis.client.mSet({'session:x:budget': '1', 'session:y:budget': '1'});
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', ...rights]);
    const url = redis.url.replace('unix://', 'unix://few:pw@');
    const before = await dumpKeyspace(redis);
    const one = await runCommand(ResetSession, ['x', '--yes', '--json'], {url});
    expect(one).toMatchObject({code: 1, stdout: ''});
    expect(JSON.parse(one.stderr)).toMatchObject({
      error: {code: 'JOURNAL_REFUSED', hint: expect.stringContaining('--no-journal')},
    });
    const many = await runCommand(ResetSession, ['--all', '--yes', '--json'], {url});
    expect(many.code).toBe(1);
    expect(JSON.parse(many.stdout)).toMatchObject({results: [{error: {code: 'JOURNAL_REFUSED'}}, {outcome: 'failed'}]});
    const hint = 'Nothing was changed. To change it without a record: --no-journal, or TOKENGATE_JOURNAL=off.';
    expect(JSON.parse(many.stderr)).toMatchObject({error: {code: 'BATCH_INCOMPLETE', hint}});
    expect((await runCommand(ResetSession, ['x', 'y', '--yes'], {url})).stderr).toMatch(
      new RegExp(`^(Error: Session '[xy]': The journal .*\\n){2}Error: Reset 0, failed 2\\.\\n${hint}\\n$`),
    );
    expect(await dumpKeyspace(redis)).toEqual(before);
    expect(await runCommand(ResetSession, ['--all', '--yes', '--no-journal'], {url})).toMatchObject({code: 0});
  });

  test('in the middle of a batch is not told as nothing changed', async () => {
    const report = new BatchReport(
      {verb: 'reset', done: 'reset', describe: () => '', toJson: () => ({})},
      {format: 'text', quiet: true, dryRun: false},
    );
    const error = new TokengateError('JOURNAL_REFUSED', 'No.', {hint: 'Nothing was changed. Try --no-journal.'});
    await report.add([
      {id: 'x', state: 'failed', error},
      {id: 'y', state: 'failed', error},
    ]);
    await expect(report.close()).rejects.toMatchObject({hint: error.hint});
    await report.add([{id: 'z', state: 'done', result: undefined}]);
    await expect(report.close()).rejects.toMatchObject({hint: 'Try --no-journal.'});
  });

  test.each([
    ['freeze-session', '-set', () => FreezeSession, ['x']],
    ['reset-session', '-del', () => ResetSession, ['x', '--yes']],
  ])('is not written when %s may not %s', async (_, right, command, argv) => {
    await redis.client.set('session:x:budget', '1');
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', '~*', '+@all', right]);
    const url = redis.url.replace('unix://', 'unix://few:pw@');
    const output = await runCommand(command(), argv, {url});
    expect(output).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/this user lacks a permission \((a command that a script runs|'\w+' command)\)/),
    });
    expect(await changes()).toEqual([]);
    expect(await gatewayKeys(redis)).toEqual(['session:x:budget']);
  });

  test('is written when memory is full, for a reset, which frees some', async () => {
    await redis.client.mSet({'session:x:budget': '1', 'session:y:budget': '2'});
    await redis.client.configSet('maxmemory', '1');
    expect(await reset('x')).toMatchObject({code: 0});
    expect(await reset('--all')).toMatchObject({code: 0});
    expect(await freeze('x')).toMatchObject({code: 1, stderr: expect.stringContaining('is out of memory')});
    expect((await changes()).map(({command}) => command)).toEqual(['reset-session', 'reset-session']);
  });
});

describe('undo-change', () => {
  test('puts back what a reset removed, exactly, and says so', async () => {
    await redis.client.mSet({'session:x:budget': '1e+16', 'session:x:spent': '7.5E-7'});
    const before = await dumpKeyspace(redis);
    await reset('x');
    const id = await last();
    const output = await undo(id, '--yes');
    expect(output).toMatchObject({
      code: 0,
      stdout: "Session 'x' undone: budget $10000000000000000.00, spent $0.00000075\n✓ Undone 1\n",
      stderr: '',
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
    const [undoing, original] = await changes();
    expect(undoing).toMatchObject({command: 'undo-change', undoes: id, undone_by: null});
    expect(original).toMatchObject({command: 'reset-session', undone_by: undoing!.change_id});
  });

  test('of a change that is undone already changes nothing; the undoing can be undone', async () => {
    await redis.client.set('session:x:budget', '7');
    await set('x', '8');
    const id = await last();
    await undo(id, '--yes');
    const undoing = await last();
    expect(await undo(id, '--yes', '--format', 'ndjson')).toMatchObject({
      code: 0,
      stdout: `{"session_id":"x","outcome":"unchanged","change_id":"${id}","undone_by":null,"restored":{}}\n`,
    });
    await undo(undoing, '--yes');
    expect(await redis.client.get('session:x:budget')).toBe('8');
    // It counts again, and can be undone again.
    await undo(id, '--yes');
    expect(await redis.client.get('session:x:budget')).toBe('7');
  });

  const spendAfterReset = async (): Promise<string> => {
    await redis.client.mSet({'session:x:budget': '500.00', 'session:x:spent': '123.456'});
    await reset('x');
    await redis.client.mSet({'session:x:budget': '10.0', 'session:x:spent': '1e-05'});
    return last();
  };

  test('refuses what the gateway has changed since, with both values', async () => {
    const id = await spendAfterReset();
    const before = await dumpKeyspace(redis);
    expect(await undo(id, '--yes')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        "Error: Session 'x': its budget is $10.00 now, not none as that change left it (it was $500.00 before); " +
        'its spent is $0.00001 now, not none as that change left it (it was $123.456 before). ' +
        '--merge adds what was spent since to what was removed. --force puts back what was there.\n' +
        'Error: Undone 0, failed 1.\n',
      result: undefined,
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('--merge adds up what was spent, exactly, and replaces the default budget', async () => {
    const id = await spendAfterReset();
    expect(await undo(id, '--merge', '--yes')).toMatchObject({
      code: 0,
      stdout: "Session 'x' undone: budget $500.00, spent $123.45601\n✓ Undone 1\n",
    });
    expect(await redis.client.mGet(['session:x:budget', 'session:x:spent'])).toEqual(['500.00', '123.45601']);
  });

  test('--merge does not replace a budget that somebody has set since', async () => {
    const id = await spendAfterReset();
    await set('x', '42');
    const {code, stderr} = await undo(id, '--merge', '--yes');
    expect(code).toBe(1);
    expect(stderr).toMatch(/its budget is \$42\.00 now.*It was changed since by set-budget \([0-9a-z]{10}\)\./);
    expect(await redis.client.get('session:x:budget')).toBe('42');
  });

  test('--force puts back what was there, whatever stands there', async () => {
    const id = await spendAfterReset();
    expect(await undo(id, '--force', '--yes')).toMatchObject({code: 0});
    expect(await redis.client.mGet(['session:x:budget', 'session:x:spent'])).toEqual(['500.00', '123.456']);
  });

  test('--dry-run says what it would do, and does nothing', async () => {
    const id = await spendAfterReset();
    const before = await dumpKeyspace(redis);
    expect(await undo(id, '--merge', '--dry-run')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^Would undo session 'x': budget \$10\.00, spent \$0\.00001 → budget .*, spent .*\nWould undo 1\n$/,
      ) as string,
    });
    expect(await undo(id, '--dry-run')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Would undo 0, failed 1'),
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
    expect(await changes()).toHaveLength(1);
  });

  test('gives a freeze the time that is left of it', async () => {
    await freeze('x', '--for', '2h', '--reason', 'Bot');
    const until = await redis.client.get('anomaly:x:frozen_until');
    await unfreeze('x');
    // As if the unfreeze had been an hour ago.
    await backdate(3_600_000);
    expect(await undo('--last', '--yes')).toMatchObject({code: 0});
    expect(await redis.client.get('anomaly:x:frozen_until')).toBe(until);
    expect(await redis.client.get('anomaly:x:freeze_reason')).toBe('Bot');
    for (const key of ['frozen_until', 'freeze_reason']) {
      expect(await redis.client.pTTL(`anomaly:x:${key}`)).toSatisfy(isAbout(3_600_000));
    }
  });

  test('does not revive a freeze that would be over', async () => {
    await freeze('x', '--for', '30m');
    await unfreeze('x');
    await backdate(3_600_000);
    expect(await undo(await last(), '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('already as it was'),
    });
    expect(await gatewayKeys(redis)).toEqual([]);
  });

  test('--last passes over what there is nothing left of, and says so', async () => {
    await redis.client.set('session:x:budget', '1');
    await set('x', '2');
    await freeze('x', '--for', '30m');
    await backdate(3_600_000);
    await redis.client.del(['anomaly:x:frozen_until', 'anomaly:x:freeze_reason']);
    expect(await undo('--last', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Session 'x' undone: budget $1.00"),
      stderr: expect.stringMatching(
        /^Warning: Nothing is left to undo of freeze-session \(change \w+ by .+\); an older change is undone\.\n/,
      ),
    });
    expect(await undo('--last', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('of which anything is left to undo'),
    });
  });

  test('a dry run of several changes goes on from what it would have undone', async () => {
    await redis.client.set('session:x:budget', '1');
    await set('x', '2');
    await set('x', '3');
    const ids = (await changes()).map(({change_id: id}) => id);
    const dry = await undo(...ids, '--dry-run', '--json');
    expect(dry).toMatchObject({code: 0});
    expect(JSON.parse(dry.stdout)).toMatchObject({
      results: ids.map((id) => ({session_id: 'x', outcome: 'would_undo', change_id: id})),
    });
    const real = await undo(...ids, '--yes', '--json');
    expect(JSON.parse(real.stdout)).toMatchObject({
      results: [
        {session_id: 'x', outcome: 'undone', change_id: ids[0], restored: {budget: '2'}},
        {session_id: 'x', outcome: 'undone', change_id: ids[1], restored: {budget: '1'}},
      ],
    });
  });

  test('that was refused for a session leaves that one not undone, and stays the last', async () => {
    await redis.client.mSet({'session:a:budget': '5', 'session:a:spent': '1', 'session:b:budget': '6'});
    await set('b', '7');
    await reset('a', 'b');
    await redis.client.set('session:b:budget', '10.0');
    expect(await undo('--last', '--yes')).toMatchObject({code: 1});
    const [newest, ...rows] = await changes();
    expect(
      rows.filter(({command}) => command === 'reset-session').map((row) => [row.session_id, row.undone_by]),
    ).toEqual([
      ['a', newest!.change_id],
      ['b', null],
    ]);
    expect(await undo('--last', '--force', '--yes')).toMatchObject({code: 0});
    expect(await redis.client.get('session:b:budget')).toBe('7');
  });

  test('of a freeze leaves one that has run out as it is, and restores the one before it', async () => {
    await freeze('x', '--for', '3h', '--reason', 'first');
    await freeze('x', '--for', '30m', '--reason', 'second', '--force');
    await backdate(3_600_000);
    await redis.client.del(['anomaly:x:frozen_until', 'anomaly:x:freeze_reason']);
    expect(await undo('--last', '--yes')).toMatchObject({code: 0});
    expect(await redis.client.get('anomaly:x:freeze_reason')).toBe('first');
    expect(await redis.client.pTTL('anomaly:x:frozen_until')).toSatisfy(isAbout(7_200_000));
  });

  test('leaves counters that the gateway has moved on, and puts back those that stand still', async () => {
    await redis.client.mSet({
      'anomaly:x:identical_count': '3',
      'anomaly:x:last_hash': 'abc',
      'anomaly:x:requests:1min': '101',
    });
    await freeze('x', '--forever');
    await unfreeze('x');
    await redis.client.set('anomaly:x:requests:1min', '2');
    expect(await undo('--last', '--yes')).toMatchObject({code: 0});
    expect(
      await redis.client.mGet(['anomaly:x:identical_count', 'anomaly:x:last_hash', 'anomaly:x:requests:1min']),
    ).toEqual(['3', 'abc', '2']);
    expect(await redis.client.exists('anomaly:x:frozen_until')).toBe(1);
  });

  test('puts back a key of a wrong type, and bytes that are not text', async () => {
    await redis.client.lPush('anomaly:x:frozen_until', ['1', '2']);
    await redis.client.sendCommand(['SET', 'anomaly:x:freeze_reason', Buffer.from([0xff, 0x00, 0x7f, 0x22, 0x5c])]);
    const before = await dumpKeyspace(redis);
    await unfreeze('x');
    expect(await gatewayKeys(redis)).toEqual([]);
    expect(await undo('--last', '--yes')).toMatchObject({code: 0});
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('--last is the newest change of the same actor that is not undone', async () => {
    await redis.client.set('session:x:budget', '1');
    for (const [actor, amount] of [
      ['alice', '2'],
      ['alice', '3'],
      ['bob', '4'],
    ] as const) {
      vi.stubEnv('TOKENGATE_ACTOR', actor);
      await set(actor === 'bob' ? 'y' : 'x', amount);
    }
    const undoLast = async (actor: string): Promise<Output> => {
      vi.stubEnv('TOKENGATE_ACTOR', actor);
      return undo('--last', '--yes');
    };
    expect(await undoLast('alice')).toMatchObject({stdout: expect.stringContaining("'x' undone: budget $2.00")});
    expect(await undoLast('alice')).toMatchObject({stdout: expect.stringContaining("'x' undone: budget $1.00")});
    expect(await undoLast('alice')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('has no change by alice that is not undone'),
    });
    expect(await undoLast('bob')).toMatchObject({stdout: expect.stringContaining("'y' undone: budget none")});
  });

  test('takes several changes, and undoes the newest first', async () => {
    await redis.client.set('session:x:budget', '1');
    await set('x', '2');
    await set('x', '3');
    const [second, first] = await changes();
    expect(await undo(first!.change_id, second!.change_id, '--yes')).toMatchObject({
      code: 0,
      stdout: "Session 'x' undone: budget $2.00\nSession 'x' undone: budget $1.00\n✓ Undone 2\n",
    });
    expect(await redis.client.get('session:x:budget')).toBe('1');
  });

  test.each([
    [[], 'Name either changes or --last.'],
    [['abc', '--last'], 'Name either changes or --last.'],
    [['nope'], "The journal has no change 'nope'."],
  ])('%j is refused', async (argv, message) => {
    await set('x', '1');
    expect(await undo(...argv, '--yes')).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining(message)});
  });

  test('needs a confirmation', async () => {
    await set('x', '1');
    expect(await undo('--last')).toMatchObject({code: 1, stderr: expect.stringContaining('Add --yes')});
    expect(await redis.client.get('session:x:budget')).toBe('1');
  });

  test('warns when the journal has dropped a part of a batch', async () => {
    const ids = Array.from({length: 220}, (_, index) => `s${index}`);
    await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '1']]));
    await reset('--all');
    const id = await last();
    await redis.client.xTrim('tokengate:journal', 'MAXLEN', 2);
    const {code, stderr, stdout} = await undo(id, '--yes', '--quiet');
    expect({code, stdout}).toEqual({code: 0, stdout: '✓ Undone 120\n'});
    expect(stderr).toBe(`Warning: The journal no longer has all of change ${id}: its oldest entries were dropped.\n`);
  });
});

describe('list-changes', () => {
  test.each([
    ['an entry past the end of time', '18446744073709551615-0', '', '["x",false,"1"]'],
    ['a beginning that is no time', '*', 'NaN', '["x",false,"1"]'],
    ['a TTL that is no length of time', '*', '', '["x",["1",1e300],false]'],
    ['a TTL in parts of a millisecond', '*', '', '["x",["1",0.5],false]'],
    ['a negative TTL', '*', '', '["x",["1",-2],false]'],
  ])('leaves out %s', async (_, entry, began, sessions) => {
    await redis.client.xAdd('tokengate:journal', entry, {change: 'c', began, keys: 'budget', sessions});
    for (const argv of [[], ['--json']]) {
      expect(await list(...argv)).toMatchObject({
        code: 0,
        stderr: 'Warning: 1 entries of the journal were not written by tokengate, and are left out.\n',
      });
    }
    expect(await undo('c', '--yes')).toMatchObject({code: 1, stderr: expect.stringContaining("has no change 'c'")});
  });

  test('of nothing says so', async () => {
    expect(await list()).toMatchObject({code: 0, stdout: 'No changes found.\n'});
    expect(await list('--json')).toMatchObject({code: 0, stdout: '[]\n'});
    expect(await list('--format', 'ndjson')).toMatchObject({code: 0, stdout: ''});
  });

  test('has a table of when, who, what, before and after', async () => {
    vi.stubEnv('TOKENGATE_ACTOR', 'alice');
    await set('x', '5', '--note', 'ticket 7');
    const {stdout} = await list();
    const rows = stdout.split('\n').map((line) => line.split('║').map((cell) => cell.trim()));
    expect(rows[1]!.slice(1, -1)).toEqual(['When (UTC)', 'Change', 'Who', 'What', 'Session', 'Before → after', 'Note']);
    expect(rows[3]!.slice(3, -1)).toEqual(['alice', 'set-budget', 'x', 'budget none → $5.00', 'ticket 7']);
  });

  test('shows nothing raw of what others have chosen', async () => {
    const evil = '\u001b[2J\u202e\n';
    vi.stubEnv('TOKENGATE_ACTOR', `actor${evil}`);
    await freeze(`id${evil}`, '--reason', `reason${evil}`, '--note', `note${evil}`);
    for (const format of ['table', 'json', 'ndjson']) {
      const {stdout} = await list('--format', format);
      // eslint-disable-next-line no-control-regex -- that is what must not be there
      expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
    }
    expect(await changes()).toMatchObject([
      {
        session_id: `id${evil}`,
        actor: `actor${evil}`,
        reason: `note${evil}`,
        after: {freeze_reason: {value: `reason${evil}`}},
      },
    ]);
  });

  test('--limit counts changes, not sessions, and --since leaves out what is older', async () => {
    await redis.client.mSet({'session:a:budget': '1', 'session:b:budget': '1', 'session:c:budget': '1'});
    await set('a', '2');
    await backdate(7_200_000);
    await reset('--all');
    await set('a', '3');
    expect(await changes('--limit', '2')).toHaveLength(4);
    expect(await changes('--since', '1h')).toHaveLength(4);
    expect(await changes('--since', '3h')).toHaveLength(5);
    expect(await changes('--since', '999999999w')).toHaveLength(5);
    expect(await changes('--since', new Date(Date.now() - 3_600_000).toISOString())).toHaveLength(4);
    expect(await list('--since', 'tomorrow')).toMatchObject({code: 1});
  });
});

function isAbout(milliseconds: number): (value: unknown) => boolean {
  return (value) => typeof value === 'number' && value <= milliseconds && value > milliseconds - 60_000;
}

/** Makes all entries of the journal so much older, in milliseconds. */
async function backdate(age: number): Promise<void> {
  const entries = await redis.client.xRange('tokengate:journal', '-', '+');
  await redis.client.del('tokengate:journal');
  for (const [index, {id, message}] of entries!.entries()) {
    const at = Number(id.split('-')[0]) - age;
    const began = message['began'] === '' ? '' : String(Number(message['began']) - age);
    await redis.client.xAdd('tokengate:journal', `${at}-${index}`, {...message, began});
  }
}
