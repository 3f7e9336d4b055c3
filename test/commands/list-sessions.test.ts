import {describe, expect, test} from 'vitest';

import ListSessions from '../../src/commands/list-sessions.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const list = (...argv: string[]): Promise<Output> => runCommand(ListSessions, argv, redis);
const listJson = async (): Promise<unknown[]> => JSON.parse((await list('--json')).stdout) as unknown[];

async function seed(id: string, budget: string, spent?: string): Promise<void> {
  await redis.client.set(`session:${id}:budget`, budget);
  if (spent !== undefined) await redis.client.set(`session:${id}:spent`, spent);
}

describe('list-sessions', () => {
  test('draws the documented table, in the order of the IDs', async () => {
    await seed('session-2', '25.0', '15.6789');
    await seed('session-1', '10.0', '2.3456');
    await seed('zero', '0.0');
    await seed('over', '1', '3');
    await seed('日本:夜', '10');
    expect(await list()).toMatchInlineSnapshot(`
      {
        "code": 0,
        "result": undefined,
        "stderr": "",
        "stdout": "╔════════════╦══════════╦══════════╦═══════════╦════════╗
      ║ Session ID ║ Budget   ║ Spent    ║ Remaining ║ Used % ║
      ╠════════════╬══════════╬══════════╬═══════════╬════════╣
      ║ over       ║ $1.0000  ║ $3.0000  ║ $0.0000   ║ 300.0% ║
      ║ session-1  ║ $10.0000 ║ $2.3456  ║ $7.6544   ║ 23.5%  ║
      ║ session-2  ║ $25.0000 ║ $15.6789 ║ $9.3211   ║ 62.7%  ║
      ║ zero       ║ $0.0000  ║ $0.0000  ║ $0.0000   ║ -      ║
      ║ 日本:夜    ║ $10.0000 ║ $0.0000  ║ $10.0000  ║ 0.0%   ║
      ╚════════════╩══════════╩══════════╩═══════════╩════════╝
      ",
      }
    `);
  });

  test('gives every digit in JSON', async () => {
    await seed('tiny', '10.0', '7.5E-7');
    await seed('trial', '0.05', '0.02643664999999999982');
    await seed('vast', '1e+16', '1e-05');
    expect((await list('--json')).stdout).toMatchInlineSnapshot(`
      "[
        {
          "session_id": "tiny",
          "budget": 10,
          "spent": 0.00000075,
          "remaining": 9.99999925,
          "percentage_used": 0.0000075,
          "is_frozen": false,
          "frozen_until": null,
          "freeze_reason": null
        },
        {
          "session_id": "trial",
          "budget": 0.05,
          "spent": 0.02643664999999999982,
          "remaining": 0.02356335000000000018,
          "percentage_used": 52.87329999999999964,
          "is_frozen": false,
          "frozen_until": null,
          "freeze_reason": null
        },
        {
          "session_id": "vast",
          "budget": 10000000000000000,
          "spent": 0.00001,
          "remaining": 9999999999999999.99999,
          "percentage_used": 0.0000000000000000001,
          "is_frozen": false,
          "frozen_until": null,
          "freeze_reason": null
        }
      ]
      "
    `);
    expect((await list('--format', 'json')).stdout).toBe((await list('--json')).stdout);
  });

  test('gives one object a line as ndjson, and numbers as they are as csv', async () => {
    await seed('a,b', '10.0', '2.5');
    await seed('=cmd', '1');
    expect((await list('--format', 'ndjson')).stdout).toMatchInlineSnapshot(`
      "{"session_id":"=cmd","budget":1,"spent":0,"remaining":1,"percentage_used":0,"is_frozen":false,"frozen_until":null,"freeze_reason":null}
      {"session_id":"a,b","budget":10,"spent":2.5,"remaining":7.5,"percentage_used":25,"is_frozen":false,"frozen_until":null,"freeze_reason":null}
      "
    `);
    expect((await list('--format', 'csv')).stdout).toMatchInlineSnapshot(`
      "session_id,budget,spent,remaining,percentage_used
      '=cmd,1,0,1,0
      "a,b",10,2.5,7.5,25
      "
    `);
  });

  test.each([
    [[], 'No active sessions found.\n'],
    [['--json'], '[]\n'],
    [['--format', 'ndjson'], ''],
    [['--format', 'csv'], 'session_id,budget,spent,remaining,percentage_used\n'],
  ])('with %j an empty Redis gives %j', async (argv, stdout) => {
    expect(await list(...argv)).toMatchObject({code: 0, stdout, stderr: ''});
  });

  test('a value that is not money is invalid, and is warned of once', async () => {
    await seed('bad', 'nan', 'ten');
    await seed('endless', 'inf', '1');
    await seed('good', '10', '1');
    await redis.client.lPush('session:typed:budget', 'x');
    await redis.client.set('session:spent-list:budget', '5');
    await redis.client.lPush('session:spent-list:spent', 'x');
    const {code, stdout, stderr} = await list();
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "╔════════════╦══════════╦═════════╦═══════════╦═════════╗
      ║ Session ID ║ Budget   ║ Spent   ║ Remaining ║ Used %  ║
      ╠════════════╬══════════╬═════════╬═══════════╬═════════╣
      ║ bad        ║ invalid  ║ invalid ║ invalid   ║ invalid ║
      ║ endless    ║ invalid  ║ $1.0000 ║ invalid   ║ invalid ║
      ║ good       ║ $10.0000 ║ $1.0000 ║ $9.0000   ║ 10.0%   ║
      ║ spent-list ║ $5.0000  ║ invalid ║ invalid   ║ invalid ║
      ║ typed      ║ invalid  ║ $0.0000 ║ invalid   ║ invalid ║
      ╚════════════╩══════════╩═════════╩═══════════╩═════════╝
      "
    `);
    expect(stderr).toMatchInlineSnapshot(`
      "Warning: The budget of session 'bad' is 'nan', which is not an amount: the gateway answers its requests with HTTP 503.
      Warning: The spent of session 'bad' is 'ten', which is not an amount: the gateway answers its requests with HTTP 503.
      Warning: The budget of session 'endless' is 'inf', which is not an amount: the gateway takes it as no limit.
      Warning: The spent of session 'spent-list' is of a wrong Redis type: the gateway answers its requests with HTTP 503.
      Warning: The budget of session 'typed' is of a wrong Redis type: the gateway answers its requests with HTTP 503.
      "
    `);
    expect(await listJson()).toContainEqual({
      session_id: 'bad',
      budget: null,
      spent: null,
      remaining: null,
      percentage_used: null,
      is_frozen: false,
      frozen_until: null,
      freeze_reason: null,
    });
  });

  test('a key name that is not UTF-8 is shown escaped, with its values', async () => {
    await redis.client.set(Buffer.from('session:caf\xe9:budget', 'latin1'), '10');
    await redis.client.set(Buffer.from('session:caf\xe9:spent', 'latin1'), '4');
    await seed('caf\uFFFD', '1');
    const {code, stdout, stderr} = await list('--format', 'csv');
    expect(code).toBe(0);
    expect(stdout).toContain('caf\\xe9,10,4,6,40\n');
    expect(stdout).toContain('caf\uFFFD,1,0,1,0\n');
    expect(stderr).toBe("Warning: The ID of session 'caf\\xe9' is invalid: its key is not UTF-8 text.\n");
  });

  test('many poisoned sessions are not as many warnings', async () => {
    await Promise.all(Array.from({length: 50}, (_, index) => seed(`bad-${index}`, 'nan')));
    const {stderr} = await list('--json');
    expect(stderr.trimEnd().split('\n')).toHaveLength(21);
    expect(stderr).toContain('30 more of this kind');
  });

  test('a session whose ID looks like a key, or like a pattern, is itself', async () => {
    const ids = ['a:budget', 'a:spent', 'a', 'session:a', '*', 'a*', '[a]', 'a?b', '\\', ' ', '-x', '\n', ':', '::'];
    for (const id of ids) await seed(id, '1');
    await redis.client.set('session::budget', '1');
    await redis.client.set('session:no-budget:spent', '1');
    await redis.client.set('anomaly:x:history', '1');
    const listed = (await listJson()) as {session_id: string}[];
    expect(listed.map((session) => session.session_id).sort()).toEqual([...ids].sort());
  });

  test('every one of 25,000 sessions is listed once while others come and go', async () => {
    const ids = Array.from({length: 25_000}, (_, index) => `s-${index}`);
    await redis.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, '1']));
    const ended = new AbortController();
    const churn = (async () => {
      for (let round = 0; !ended.signal.aborted; round++) {
        const passing = Array.from({length: 3000}, (_, index) => `session:passing-${round}-${index}:budget`);
        await redis.client.mSet(passing.map((key): [string, string] => [key, '1']));
        await redis.client.del(passing);
      }
    })();
    const listed = (await listJson()) as {session_id: string}[];
    ended.abort();
    await churn;
    const seen = listed.map((session) => session.session_id);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => id.startsWith('s-')).sort()).toEqual([...ids].sort());
  });

  test('never calls KEYS', async () => {
    await seed('a', '1');
    await redis.client.configResetStat();
    await list();
    const stats = await redis.client.info('commandstats');
    expect(stats).toContain('cmdstat_scan');
    expect(stats).not.toContain('cmdstat_keys:');
  });

  test('--json and another format contradict each other', async () => {
    expect(await list('--json', '--format', 'csv')).toMatchObject({code: 1, stdout: ''});
    expect(await list('--json', '--format', 'json')).toMatchObject({code: 0, stdout: '[]\n'});
  });

  test('a key that the user may not read is invalid, the others are shown', async () => {
    await seed('mine', '1');
    await seed('theirs', '2');
    await redis.client.aclSetUser('reader', ['on', '>pw', '+get', '+mget', '+scan', '%R~session:mine:*']);
    const url = redis.url.replace('unix://', 'unix://reader:pw@');
    const {code, stdout, stderr} = await runCommand(ListSessions, ['--format', 'csv'], {url});
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: 'session_id,budget,spent,remaining,percentage_used\nmine,1,0,1,0\ntheirs,,,,\n',
    });
    expect(stderr).toContain("session 'theirs' is not readable");
  });
});
