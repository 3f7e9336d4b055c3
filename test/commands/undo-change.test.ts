import {describe, expect, test, vi} from 'vitest';

import FreezeSession from '../../src/commands/freeze-session.js';
import ResetSession from '../../src/commands/reset-session.js';
import SetBudget from '../../src/commands/set-budget.js';
import UndoChange from '../../src/commands/undo-change.js';
import UnfreezeSession from '../../src/commands/unfreeze-session.js';
import {type Output, run, runCommand} from '../support/program/run.js';
import {backdate, changesOf, isAbout, lastChange} from '../support/redis/journal.js';
import {dumpKeyspace, gatewayKeys} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const reset = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
const set = (...argv: string[]): Promise<Output> => runCommand(SetBudget, argv, redis);
const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, argv, redis);
const unfreeze = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, argv, redis);
const undo = (...argv: string[]): Promise<Output> => runCommand(UndoChange, argv, redis);

describe('undo-change', () => {
  test('puts back what a reset removed, exactly, and says so', async () => {
    await redis.client.mSet({'session:x:budget': '1e+16', 'session:x:spent': '7.5E-7'});
    const before = await dumpKeyspace(redis);
    await reset('x');
    const id = await lastChange(redis);
    const output = await undo(id, '--yes');
    expect(output).toMatchObject({
      code: 0,
      stdout: "Session 'x' undone: budget $10000000000000000.00, spent $0.00000075\n✓ Undone 1\n",
      stderr: '',
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
    const [undoing, original] = await changesOf(redis);
    expect(undoing).toMatchObject({command: 'undo-change', undoes: id, undone_by: null});
    expect(original).toMatchObject({command: 'reset-session', undone_by: undoing!.change_id});
  });

  test('of a change that is undone already changes nothing; the undoing can be undone', async () => {
    await redis.client.set('session:x:budget', '7');
    await set('x', '8');
    const id = await lastChange(redis);
    await undo(id, '--yes');
    const undoing = await lastChange(redis);
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
    return lastChange(redis);
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
    expect(await changesOf(redis)).toHaveLength(1);
  });

  test('gives a freeze the time that is left of it', async () => {
    await freeze('x', '--for', '2h', '--reason', 'Bot');
    const until = await redis.client.get('anomaly:x:frozen_until');
    await unfreeze('x');
    // As if the unfreeze had been an hour ago.
    await backdate(redis, 3_600_000);
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
    await backdate(redis, 3_600_000);
    expect(await undo(await lastChange(redis), '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('already as it was'),
    });
    expect(await gatewayKeys(redis)).toEqual([]);
  });

  test('--last passes over what there is nothing left of, and says so', async () => {
    await redis.client.set('session:x:budget', '1');
    await set('x', '2');
    await freeze('x', '--for', '30m');
    await backdate(redis, 3_600_000);
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
    const ids = (await changesOf(redis)).map(({change_id: id}) => id);
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
    const [newest, ...rows] = await changesOf(redis);
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
    await backdate(redis, 3_600_000);
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
    const [second, first] = await changesOf(redis);
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

  test('does not take an entry that was taken back for one that was dropped', async () => {
    await redis.client.mSet({'session:x:budget': '1', 'session:y:budget': '2'});
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', '~*', '+@all', '-del']);
    const few = {url: redis.url.replace('unix://', 'unix://few:pw@')};
    expect((await run('reset-session x y --yes --no-second-look', few)).code).toBe(1);
    expect(await redis.client.xLen('tokengate:journal')).toBe(0);
    await reset('--all');
    expect(await undo('--last', '--yes', '--quiet')).toMatchObject({code: 0, stderr: '', stdout: '✓ Undone 2\n'});
  });

  test('warns when the journal has dropped a part of a batch', async () => {
    const ids = Array.from({length: 220}, (_, index) => `s${index}`);
    await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '1']]));
    await reset('--all');
    const id = await lastChange(redis);
    await redis.client.xTrim('tokengate:journal', 'MAXLEN', 2);
    const {code, stderr, stdout} = await undo(id, '--yes', '--quiet');
    expect({code, stdout}).toEqual({code: 0, stdout: '✓ Undone 120\n'});
    expect(stderr).toBe(`Warning: The journal no longer has all of change ${id}: its oldest entries were dropped.\n`);
  });
});
