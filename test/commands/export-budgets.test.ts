import {readFile} from 'node:fs/promises';

import {describe, expect, test} from 'vitest';

import {useBudgetFiles} from '../support/budget-files.js';
import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const {file, load} = useBudgetFiles(redis);

describe('export-budgets', () => {
  test('lists sorted sessions with how they renew, and nothing of what is spent', async () => {
    await load({'team:b': '10.50', 'team:a': '1e1', '7': '5'});
    await redis.client.set('session:team:a:spent', '3');
    await run('set-period team:b --every week --on tuesday --at 09:00 --timezone Europe/Berlin --amount 10.5', redis);
    await run('set-period 7 --every month --amount 4 --rollover unused --max-rollover 20', redis);
    await run('add-budget 7 2', redis);
    await run('grant-budget 7 9 --for 1h', redis);
    const {code, stdout, stderr} = await run('export-budgets', redis);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=budgets.schema.json
      version: 1
      sessions:
        "7": {budget: 6, amount: 4, period: month, rollover: unused, max-rollover: 20}
        team:a: {budget: 10}
        team:b: {budget: 10.5, period: week, timezone: Europe/Berlin, at: 09:00, on: tuesday}
      "
    `);
    expect((await run('export-budgets', redis)).stdout).toBe(stdout);
    expect((await run('export-budgets --json', redis)).stdout).toMatchInlineSnapshot(`
      "{
        "version": 1,
        "sessions": {
          "7": {"budget": 6, "amount": 4, "period": "month", "rollover": "unused", "max-rollover": 20},
          "team:a": {"budget": 10},
          "team:b": {"budget": 10.5, "period": "week", "timezone": "Europe/Berlin", "at": "09:00", "on": "tuesday"}
        }
      }
      "
    `);
  });

  test('of a session that the user may not read is an error, and the file says which', async () => {
    await load({mine: '1', yours: '2'});
    await redis.client.sendCommand([
      ...['ACL', 'SETUSER', 'half', 'reset', 'on', '>a-password', '+@all', '~tokengate:*', '~session:mine:*'],
    ]);
    const url = redis.url.replace('unix://', 'unix://half:a-password@');
    const {code, stdout, stderr} = await run('export-budgets --json', {url});
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({sessions: {mine: {budget: 1}, yours: {}}});
    expect(JSON.parse(stderr)).toMatchObject({
      error: {code: 'EXPORT_INCOMPLETE', message: expect.stringMatching(/^The file is .* of 1 session\. .*\.$/)},
    });
  });

  test('lists what no file can say without it, with a warning', async () => {
    await load({nan: 'nan', minus: '-5', long: `0.${'1'.repeat(40)}`, fine: '1', hash: '3'});
    await redis.client.lPush('session:list:budget', 'x');
    await redis.client.set('tokengate:period:fine', '{');
    await redis.client.hSet('tokengate:period:hash', 'every', 'day');
    await redis.client.set(Buffer.from('session:\xff:budget', 'latin1'), '4');
    const {code, stdout, stderr} = await run('export-budgets', redis);
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=budgets.schema.json
      version: 1
      sessions:
        # its period or its grants cannot be read
        fine: {}
        # its period or its grants cannot be read
        hash: {}
        # its budget is of a wrong Redis type
        list: {}
        # its budget is '0.1111111111111111111111111111111111111111', which no file can say
        long: {}
        # its budget is '-5', which no file can say
        minus: {}
        # its budget is 'nan', which is not an amount
        nan: {}
      id_hex:
        ff: {budget: 4}
      "
    `);
    expect(stderr).toMatchInlineSnapshot(`
      "Warning: Session 'fine': its period or its grants cannot be read.
      Warning: Session 'hash': its period or its grants cannot be read.
      Warning: Session 'list': its budget is of a wrong Redis type.
      Warning: Session 'long': its budget is '0.1111111111111111111111111111111111111111', which no file can say.
      Warning: Session 'minus': its budget is '-5', which no file can say.
      Warning: Session 'nan': its budget is 'nan', which is not an amount.
      "
    `);
  });

  test('speaks for what --match selects, and for nothing with --where', async () => {
    await load({'team:a': '10', b: '5'});
    expect((await run("export-budgets --match 'team:*'", redis)).stdout).toContain(
      `version: 1\nscope: ["team:*"]\nsessions:\n  team:a: {budget: 10}\n`,
    );
    const {stdout} = await run("export-budgets --match 'team:*' --where 'budget > 5'", redis);
    expect(stdout).not.toContain('scope');
    expect((await run("export-budgets --match 'x*' --json", redis)).stdout).toBe(
      '{\n  "version": 1,\n  "scope": ["x*"]\n}\n',
    );
  });

  test('--out replaces a file', async () => {
    await load({a: '1'});
    const path = await file('old');
    expect(await run(`export-budgets --out ${path}`, redis)).toMatchObject({code: 0, stdout: ''});
    expect(await readFile(path, 'utf8')).toContain('  a: {budget: 1}\n');
  });

  test('--schema needs no Redis', async () => {
    const {code, stdout} = await run('export-budgets --schema', {url: 'redis://localhost:1'});
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({title: 'Budgets of TokenGate sessions'});
  });
});
