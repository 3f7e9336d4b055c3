import {beforeEach, describe, expect, test, vi} from 'vitest';

import {BatchReport} from '../../../src/cli/batches/batch-report.js';
import AddBudget from '../../../src/commands/add-budget.js';
import FreezeSession from '../../../src/commands/freeze-session.js';
import ListChanges from '../../../src/commands/list-changes.js';
import ResetSession from '../../../src/commands/reset-session.js';
import SetBudget from '../../../src/commands/set-budget.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import {TokengateError} from '../../../src/lib/values/errors.js';
import {type Output, runCommand} from '../../support/program/run.js';
import {changesOf, isAbout} from '../../support/redis/journal.js';
import {dumpKeyspace, gatewayKeys} from '../../support/redis/keyspace.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(() => redis.client.configSet('maxmemory', '0'));

const reset = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
const set = (...argv: string[]): Promise<Output> => runCommand(SetBudget, argv, redis);
const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, argv, redis);
const unfreeze = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, argv, redis);
const list = (...argv: string[]): Promise<Output> => runCommand(ListChanges, argv, redis);
const text = (value: string): unknown => ({value, ttl_ms: null});

describe('the journal', () => {
  test('has each command with what was there before and after', async () => {
    await redis.client.mSet({'session:x:budget': '10.0', 'session:x:spent': '7.5E-7'});
    await set('x', '25.50', '--note', 'ticket 7');
    await runCommand(AddBudget, ['x', '0.5'], redis);
    await reset('x', '--keep-budget');
    await reset('x');
    const all = await changesOf(redis);
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
    const [unfrozen, frozen] = await changesOf(redis);
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
    expect((await changesOf(redis)).map(({command}) => command)).toEqual(['freeze-session']);
  });

  test('names who it was: TOKENGATE_ACTOR, or else user@host', async () => {
    await set('x', '1');
    vi.stubEnv('TOKENGATE_ACTOR', 'alice (on call)');
    // `runCommand` takes back what was stubbed when it ends.
    await set('x', '2');
    const [second, first] = await changesOf(redis);
    expect(first!.actor).toMatch(/^[^@]+@.+$/);
    expect(second!.actor).toBe('alice (on call)');
    expect(await changesOf(redis, '--actor', 'alice (on call)')).toEqual([second]);
  });

  test('has a batch as one change, with each session', async () => {
    const ids = Array.from({length: 220}, (_, index) => `s${index}`);
    await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '1']]));
    await reset('--all', '--note', 'new month');
    const all = await changesOf(redis);
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
    expect(await changesOf(redis)).toEqual([]);
    expect(await gatewayKeys(redis)).toEqual(['session:x:budget']);
  });

  test('is written when memory is full, for a reset, which frees some', async () => {
    await redis.client.mSet({'session:x:budget': '1', 'session:y:budget': '2'});
    await redis.client.configSet('maxmemory', '1');
    expect(await reset('x')).toMatchObject({code: 0});
    expect(await reset('--all')).toMatchObject({code: 0});
    expect(await freeze('x')).toMatchObject({code: 1, stderr: expect.stringContaining('is out of memory')});
    expect((await changesOf(redis)).map(({command}) => command)).toEqual(['reset-session', 'reset-session']);
  });
});
