import {describe, expect, test, vi} from 'vitest';

import FreezeSession from '../../src/commands/freeze-session.js';
import ListChanges from '../../src/commands/list-changes.js';
import ResetSession from '../../src/commands/reset-session.js';
import SetBudget from '../../src/commands/set-budget.js';
import UndoChange from '../../src/commands/undo-change.js';
import {type Output, runCommand} from '../support/program/run.js';
import {backdate, changesOf} from '../support/redis/journal.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const reset = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
const set = (...argv: string[]): Promise<Output> => runCommand(SetBudget, argv, redis);
const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, argv, redis);
const undo = (...argv: string[]): Promise<Output> => runCommand(UndoChange, argv, redis);
const list = (...argv: string[]): Promise<Output> => runCommand(ListChanges, argv, redis);

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
    expect(await changesOf(redis)).toMatchObject([
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
    await backdate(redis, 7_200_000);
    await reset('--all');
    await set('a', '3');
    expect(await changesOf(redis, '--limit', '2')).toHaveLength(4);
    expect(await changesOf(redis, '--since', '1h')).toHaveLength(4);
    expect(await changesOf(redis, '--since', '3h')).toHaveLength(5);
    expect(await changesOf(redis, '--since', '999999999w')).toHaveLength(5);
    expect(await changesOf(redis, '--since', new Date(Date.now() - 3_600_000).toISOString())).toHaveLength(4);
    expect(await list('--since', 'tomorrow')).toMatchObject({code: 1});
  });
});
