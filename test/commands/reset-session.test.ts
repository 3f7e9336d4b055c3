import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import ResetSession from '../../src/commands/reset-session.js';
import {type Output, run, runCommand} from '../support/program/run.js';
import {gatewayKeys} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(() => redis.client.flushDb());
afterEach(() => redis.client.configSet('maxmemory', '0'));
afterAll(() => redis.stop());

const reset = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
const keys = (): Promise<string[]> => gatewayKeys(redis);

describe('reset-session', () => {
  beforeEach(async () => {
    await redis.client.set('session:x:budget', '25.50');
    await redis.client.set('session:x:spent', '0.02643664999999999982');
  });

  test('removes both keys and says exactly what it removed', async () => {
    expect(await reset('x')).toMatchObject({
      code: 0,
      stdout: "✓ Session 'x' reset\nRemoved: budget $25.50, spent $0.02643664999999999982\n",
      stderr: '',
    });
    expect(await keys()).toEqual([]);
  });

  test('gives what it removed as JSON', async () => {
    expect((await reset('x', '--json', '--no-journal')).stdout).toMatchInlineSnapshot(`
      "{
        "session_id": "x",
        "removed_budget": 25.5,
        "removed_spent": 0.02643664999999999982,
        "second_look": {
          "outcome": "lasts"
        },
        "change_id": null
      }
      "
    `);
  });

  test('takes grants along with the budget that they added to, and says so', async () => {
    await run('grant-budget x 5 --for 1d', redis);
    expect((await run('reset-session x --keep-budget --yes --no-second-look', redis)).stdout).not.toContain('grants');
    expect((await run('reset-session --all --dry-run', redis)).stdout).toContain(
      "Would reset session 'x': budget $30.50, spent none, grants $5.00 → no budget, nothing spent, no grants\n",
    );
    expect((await reset('x')).stdout).toBe("✓ Session 'x' reset\nRemoved: budget $30.50, grants $5.00\n");
    expect(await redis.client.exists('tokengate:grants:x')).toBe(0);
    expect((await run('undo-change --last --yes', redis)).code).toBe(0);
    expect(JSON.parse((await run('list-grants --json', redis)).stdout)).toMatchObject([{session_id: 'x', amount: 5}]);
    expect(JSON.parse((await reset('x', '--json')).stdout)).toMatchObject({removed_budget: 30.5, removed_grants: 5});
    expect((await run('renew-budgets --quiet', redis)).stdout).toBe('');
  });

  test('records grants only where a session of the hundred has some', async () => {
    const recorded = async (): Promise<string[]> => {
      const entries = await redis.client.xRevRange('tokengate:journal', '+', '-', {COUNT: 1});
      return (entries ?? []).flatMap(({message}) => [message['keys'] ?? '', message['sessions'] ?? '']);
    };
    await redis.client.set('session:y:budget', '1');
    await run('reset-session --all --yes --no-second-look', redis);
    expect(await recorded()).toEqual([
      'budget spent',
      '["x","25.50",false,"0.02643664999999999982",false,"y","1",false,false,true]',
    ]);
    await run('undo-change --last --yes', redis);
    await run('grant-budget x 5 --for 1d', redis);
    await run('reset-session --all --yes --no-second-look', redis);
    expect(await recorded()).toEqual(['budget spent grants', expect.stringMatching(/,0,false,"y",.*,false,true\]$/)]);
  });

  test('leaves grants to a user who may not see them', async () => {
    await run('grant-budget x 5 --for 1d', redis);
    const rights = ['~session:*', '%RW~tokengate:journal', '+@all'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'some', 'reset', 'on', '>pw', ...rights]);
    const some = {url: redis.url.replace('unix://', 'unix://some:pw@')};
    expect((await run('reset-session --all --dry-run', some)).stdout).not.toContain('grants');
    expect(await run('reset-session --all --yes --no-second-look', some)).toMatchObject({code: 0});
    expect(await keys()).toEqual([]);
    expect(await redis.client.exists('tokengate:grants:x')).toBe(1);
  });

  test('refuses only the session whose grants this user may not change', async () => {
    await redis.client.mSet(
      Array.from({length: 120}, (_, index): [string, string] => [`session:s${index}:budget`, '1']),
    );
    await run('grant-budget s5 5 --for 1d', redis);
    const rights = ['%RW~session:*', '%RW~tokengate:journal', '%R~tokengate:grants:*', '+@all'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', ...rights]);
    const few = {url: redis.url.replace('unix://', 'unix://few:pw@')};
    const {stderr} = await run("reset-session --match 's*' --yes --quiet --no-second-look", few);
    expect(stderr).toContain("Session 's5': ");
    expect(stderr).toContain('Reset 119, failed 1.');
    expect(await keys()).toEqual(expect.arrayContaining(['session:s5:budget']));
    expect(await redis.client.exists('session:s6:budget')).toBe(0);
  });

  test('removes nothing of any other session', async () => {
    await redis.client.mSet({'session:x*:budget': '1', 'session:xx:spent': '1', 'anomaly:x:history': '1'});
    await reset('x*');
    expect((await keys()).sort()).toEqual([
      'anomaly:x:history',
      'session:x:budget',
      'session:x:spent',
      'session:xx:spent',
    ]);
  });

  test('without a terminal and without --yes it fails at once and changes nothing', async () => {
    const output = await runCommand(ResetSession, ['x'], {url: 'redis://127.0.0.1:1'});
    expect(output).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('--yes')});
    expect(await keys()).toHaveLength(2);
  });

  test('an unknown session is an error', async () => {
    expect(await reset('nope')).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('not found')});
  });

  test('spending without a budget can be reset', async () => {
    await redis.client.set('session:orphan:spent', '1e-05');
    expect((await reset('orphan')).stdout).toContain('Removed: spent $0.00001\n');
  });

  test('a text that is not money is reported as it was', async () => {
    await redis.client.set('session:bad:budget', 'nan\u001b');
    expect((await reset('bad')).stdout).toContain("Removed: budget 'nan\\x1b'\n");
    await redis.client.set('session:bad:budget', 'nan\u001b');
    expect(JSON.parse((await reset('bad', '--json')).stdout)).toEqual({
      session_id: 'bad',
      removed_budget: 'nan\u001b',
      removed_spent: null,
      second_look: null,
      change_id: expect.stringMatching(/^[0-9a-z]{10}$/) as string,
    });
  });

  test('a key of a wrong type is refused and nothing is removed', async () => {
    await redis.client.set('session:typed:budget', '1');
    await redis.client.lPush('session:typed:spent', 'x');
    expect(await reset('typed')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('its spent is of a wrong Redis type. Nothing was removed.'),
    });
    expect(await keys()).toHaveLength(4);
  });

  test('works when Redis is out of memory', async () => {
    await redis.client.configSet('maxmemory', '1');
    expect(await reset('x')).toMatchObject({
      code: 0,
      stdout: "✓ Session 'x' reset\nRemoved: budget $25.50, spent $0.02643664999999999982\n",
    });
    expect(await keys()).toEqual([]);
  });

  test('works on a Redis that has no GETDEL', async () => {
    const old = await startRedis({args: ['--rename-command', 'GETDEL', '']});
    try {
      await old.client.set('session:x:spent', '2');
      const output = await runCommand(ResetSession, ['x', '--yes'], old);
      expect(output).toMatchObject({code: 0, stdout: "✓ Session 'x' reset\nRemoved: spent $2.00\n"});
      expect(await gatewayKeys(old)).toEqual([]);
    } finally {
      await old.stop();
    }
  });

  test('loses nothing that is spent meanwhile', async () => {
    await redis.client.set('session:x:spent', '0');
    const increments = 3000;
    let removed = 0;
    const writer = (async () => {
      for (let count = 0; count < increments; count++) await redis.client.incrByFloat('session:x:spent', 1);
    })();
    for (let round = 0; round < 20; round++) {
      const {result} = await runCommand(ResetSession, ['x', '--yes', '--json'], redis);
      const {removed_spent: spent = 0, second_look: look} = (result ?? {}) as {
        removed_spent?: unknown;
        second_look?: {outcome: string; removed_spent?: unknown} | null;
      };
      removed += Number(spent);
      // What was spent once the writer was done looks like what was removed, and is taken off again; it is said.
      if (look?.outcome === 'taken_off') removed += Number(look.removed_spent);
    }
    await writer;
    expect(removed + Number((await redis.client.get('session:x:spent')) ?? 0)).toBe(increments);
  });
});
