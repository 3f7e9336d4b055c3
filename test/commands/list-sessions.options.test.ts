import {Big} from 'big.js';
import fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';

import {readIds} from '../../src/cli/views/id-lines.js';
import ListSessions from '../../src/commands/list-sessions.js';
import {type Output, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(async () => {
  await redis.client.mSet({
    'session:alpha:budget': '10',
    'session:alpha:spent': '9.5',
    'session:beta:budget': '100',
    'session:gamma:budget': '1',
    'session:gamma:spent': '3',
    'session:odd:budget': 'nan',
    'session:team:one:budget': '10',
    'session:team:one:spent': '0.5',
  });
});

const list = (...argv: string[]): Promise<Output> => runCommand(ListSessions, argv, redis);
const idsOf = async (...argv: string[]): Promise<string[]> => {
  const {code, stdout} = await list('--format', 'ids', ...argv);
  expect(code).toBe(0);
  return stdout === '' ? [] : stdout.trimEnd().split('\n');
};

async function freeze(id: string, until: string, reason: string): Promise<void> {
  await redis.client.mSet({[`anomaly:${id}:frozen_until`]: until, [`anomaly:${id}:freeze_reason`]: reason});
}

test.each([
  [['--match', '*a'], 'alpha beta gamma'],
  [['--match', 'team:*'], 'team:one'],
  [['--match', '[ab]*'], 'alpha beta'],
  [['--match', '[^ab]*'], 'gamma odd team:one'],
  [['--match', '?eta'], 'beta'],
  [['--match', String.raw`\alpha`], 'alpha'],
  [['--match', 'alph[a'], 'alpha'],
  [['--match', 'alpha:budget'], ''],
  [['--match', 'ALPHA'], ''],
  [['--match', ''], ''],
  [['--where', 'used > 90'], 'alpha gamma'],
  [['--where', 'used > 90 && budget >= 10'], 'alpha'],
  [['--where', '!(used > 90)'], 'beta team:one'],
  [['--where', "id == 'odd'"], 'odd'],
  [['--where', 'remaining == 0'], 'gamma'],
  [['--where', 'spent == 0.5', '--match', 'b*'], ''],
  [['--where', 'frozen'], 'alpha'],
  [['--where', '!frozen && used < 10'], 'beta team:one'],
  [['--frozen'], 'alpha'],
  [['--frozen', '--where', 'used < 50'], ''],
  [['--sort', 'id'], 'alpha beta gamma odd team:one'],
  [['--sort', 'id', '--reverse'], 'team:one odd gamma beta alpha'],
  [['--sort', 'budget'], 'gamma alpha team:one beta odd'],
  [['--sort', 'budget', '--reverse'], 'beta alpha team:one gamma odd'],
  [['--sort', 'spent'], 'beta odd team:one gamma alpha'],
  [['--sort', 'spent', '--reverse'], 'alpha gamma team:one beta odd'],
  [['--sort', 'remaining'], 'gamma alpha team:one beta odd'],
  [['--sort', 'remaining', '--reverse'], 'beta team:one alpha gamma odd'],
  [['--sort', 'used'], 'beta team:one alpha gamma odd'],
  [['--sort', 'used', '--reverse'], 'gamma alpha team:one beta odd'],
  [['--limit', '0'], ''],
  [['--limit', '1'], 'alpha'],
  [['--limit', '2', '--reverse'], 'team:one odd'],
  [['--limit', '2', '--sort', 'used', '--reverse'], 'gamma alpha'],
  [['--limit', '100'], 'alpha beta gamma odd team:one'],
  [['--limit', '1', '--where', 'used > 90', '--reverse'], 'gamma'],
])('%j lists %j', async (argv, ids) => {
  await freeze('alpha', '2099-01-01T00:00:00', 'Bot');
  await freeze('beta', '2020-01-01T00:00:00', 'over');
  expect((await idsOf(...argv)).join(' ')).toBe(ids);
});

test('amounts that differ by less than a binary number can tell are sorted exactly, and equal ones by ID', async () => {
  const budgets = {a: '0.10000000000000000003', b: '0.1', c: '0.10000000000000000002', d: '0.1'};
  await redis.client.mSet(
    Object.fromEntries(Object.entries(budgets).map(([id, budget]) => [`session:tie-${id}:budget`, budget])),
  );
  const sorted = async (...argv: string[]): Promise<string[]> => idsOf('--match', 'tie-*', '--sort', 'budget', ...argv);
  expect(await sorted()).toEqual(['tie-b', 'tie-d', 'tie-c', 'tie-a']);
  expect(await sorted('--reverse')).toEqual(['tie-a', 'tie-c', 'tie-b', 'tie-d']);
  expect(await sorted('--limit', '2')).toEqual(['tie-b', 'tie-d']);
});

test('of many in another order the first are listed', async () => {
  const ids = Array.from({length: 3000}, (_, index) => `many-${String((index * 7919) % 3000).padStart(4, '0')}`);
  await redis.client.mSet(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, id.slice(5)])));
  expect(await idsOf('--match', 'many-*', '--sort', 'budget', '--reverse', '--limit', '3')).toEqual([
    'many-2999',
    'many-2998',
    'many-2997',
  ]);
});

test('that no session matches a condition does not mean that there is none', async () => {
  for (const condition of [
    ['--where', 'budget > 1000'],
    ['--frozen', '--match', 'tie-*'],
  ]) {
    expect(await list(...condition)).toMatchObject({stdout: 'No active sessions found that match.\n', stderr: ''});
  }
});

test('nothing to list is said in each format', async () => {
  const none = ['--match', 'none'];
  expect(await list(...none)).toMatchObject({
    code: 0,
    stdout: 'No active sessions found.\n',
    stderr: "Warning: No session was found for --match 'none'. There are 5.\n",
  });
  expect(await list(...none, '--json')).toMatchObject({code: 0, stdout: '[]\n', stderr: ''});
  expect(await list(...none, '--format', 'ndjson')).toMatchObject({code: 0, stdout: '', stderr: ''});
  expect(await list(...none, '--format', 'ids')).toMatchObject({code: 0, stdout: '', stderr: ''});
  expect((await list(...none, '--format', 'csv')).stdout).toBe('session_id,budget,spent,remaining,percentage_used\n');
  expect(JSON.parse((await list(...none, '--json', '--totals')).stdout)).toEqual({
    sessions: [],
    totals: {count: 0, budget: 0, spent: 0, remaining: 0, percentage_used: 0},
  });
});

test('none that are asked for are not said to be none that there are', async () => {
  expect(await list('--limit', '0')).toMatchObject({code: 0, stdout: '', stderr: ''});
  expect(await list('--limit', '0', '--json')).toMatchObject({code: 0, stdout: '[]\n', stderr: ''});
});

test.each([
  [['--limit', '-1']],
  [['--limit', 'ten']],
  [['--sort', 'name']],
  [['--where', 'used >']],
  [['--columns', 'id,price']],
  [['--columns', '']],
  [['--columns', 'id,budget, id']],
  [['--columns', 'constructor']],
  [['--totals', '--format', 'csv']],
  [['--totals', '--format', 'ndjson']],
  [['--totals', '--format', 'ids']],
  [['-0']],
  [['-0', '--format', 'json']],
  [['--json', '--format', 'ids']],
])('%j is refused before anything is read', async (argv) => {
  const {code, stdout, stderr} = await runCommand(ListSessions, argv, {url: 'redis://127.0.0.1:1'});
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  expect(stderr).not.toContain('127.0.0.1');
});

describe('--columns', () => {
  test.each([
    ['id', 'session_id', 'alpha'],
    ['budget', 'budget', '10'],
    ['spent', 'spent', '9.5'],
    ['remaining', 'remaining', '0.5'],
    ['used', 'percentage_used', '95'],
    ['frozen', 'is_frozen', 'true'],
    ['until', 'frozen_until', '2099-01-01T00:00:00.000Z'],
    ['reason', 'freeze_reason', '"a, ""b"""'],
    ['spent,id', 'spent,session_id', '9.5,alpha'],
    ['id, frozen', 'session_id,is_frozen', 'alpha,true'],
  ])('%s is %s as CSV', async (columns, header, row) => {
    await freeze('alpha', '2099-01-01T00:00:00', 'a, "b"');
    expect((await list('--match', 'alpha', '--columns', columns, '--format', 'csv')).stdout).toBe(
      `${header}\n${row}\n`,
    );
  });

  test('of the freeze tell who is not frozen, and which end the gateway cannot read', async () => {
    await freeze('alpha', '9999-12-31T23:59:59', 'incident\u001b[31m');
    await freeze('beta', '2020-01-01T00:00:00', 'over');
    await freeze('gamma', '2099-01-01T00:00:00Z', 'bad');
    const {stdout, stderr} = await list('--match', '*a', '--columns', 'id,frozen,until,reason');
    expect(stdout).toMatchInlineSnapshot(`
      "╔════════════╦═════════╦══════════════╦══════════════════╗
      ║ Session ID ║ Frozen  ║ Frozen until ║ Reason           ║
      ╠════════════╬═════════╬══════════════╬══════════════════╣
      ║ alpha      ║ yes     ║ without end  ║ incident\\x1b[31m ║
      ║ beta       ║ no      ║ -            ║ -                ║
      ║ gamma      ║ invalid ║ -            ║ -                ║
      ╚════════════╩═════════╩══════════════╩══════════════════╝
      "
    `);
    expect(stderr).toContain("Warning: The freeze end of session 'gamma' is '2099-01-01T00:00:00Z', with an offset");
    const json = JSON.parse((await list('--match', '*a', '--columns', 'id,frozen,until,reason', '--json')).stdout);
    expect(json).toEqual([
      {
        session_id: 'alpha',
        is_frozen: true,
        frozen_until: '9999-12-31T23:59:59.000Z',
        freeze_reason: 'incident\u001b[31m',
      },
      {session_id: 'beta', is_frozen: false, frozen_until: null, freeze_reason: null},
      {session_id: 'gamma', is_frozen: null, frozen_until: null, freeze_reason: null},
    ]);
  });

  test('an unknown name is refused with all that there are', async () => {
    expect(await list('--columns', 'id,price')).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        "Error: There is no column 'price'.\n" +
        'Columns: id, budget, spent, remaining, used, frozen, until, reason, status, rate, period, resets, grants, hourly, daily, empties.\n',
    });
  });
});

describe('--totals', () => {
  test('are a last row of the table', async () => {
    expect((await list('--totals', '--match', '[abt]*')).stdout).toMatchInlineSnapshot(`
      "╔════════════╦═══════════╦══════════╦═══════════╦════════╗
      ║ Session ID ║ Budget    ║ Spent    ║ Remaining ║ Used % ║
      ╠════════════╬═══════════╬══════════╬═══════════╬════════╣
      ║ alpha      ║ $10.0000  ║ $9.5000  ║ $0.5000   ║ 95.0%  ║
      ║ beta       ║ $100.0000 ║ $0.0000  ║ $100.0000 ║ 0.0%   ║
      ║ team:one   ║ $10.0000  ║ $0.5000  ║ $9.5000   ║ 5.0%   ║
      ╠════════════╬═══════════╬══════════╬═══════════╬════════╣
      ║ Total (3)  ║ $120.0000 ║ $10.0000 ║ $110.0000 ║ 8.3%   ║
      ╚════════════╩═══════════╩══════════╩═══════════╩════════╝
      "
    `);
  });

  test('are exact in JSON, beside the sessions, and leave out what is not money', async () => {
    await redis.client.set('session:beta:spent', '1e-05');
    const {stdout} = await list('--totals', '--json');
    const plain = (await list('--json')).stdout;
    expect(stdout).toContain('"spent": 13.00001,');
    expect(JSON.parse(stdout)).toEqual({
      sessions: JSON.parse(plain),
      totals: {count: 5, budget: 121, spent: 13.00001, remaining: 109.99999, percentage_used: expect.any(Number)},
    });
  });

  test('compare amounts of the same sessions alone, and say that something is left out', async () => {
    await redis.client.mSet({'session:p:budget': '100', 'session:q:budget': 'inf', 'session:q:spent': '90'});
    const totals = ['--totals', '--match', '[pq]'];
    const {stdout, stderr} = await list(...totals);
    expect(stdout.split('\n').at(-3)).toBe('║ Total (2)  ║ $100.0000 ║ $90.0000 ║ $100.0000 ║ 0.0%    ║');
    const warning = 'Warning: The sums leave out values of one session that are not amounts.\n';
    expect(stderr).toContain(warning);
    const json = await list(...totals, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({totals: {budget: 100, spent: 90, percentage_used: 0}});
    expect(json.stderr).toContain(warning);
    expect((await list('--totals', '--match', 'p')).stderr).toBe('');
  });

  test('are of the sessions that are listed', async () => {
    const {stdout} = await list('--totals', '--json', '--sort', 'budget', '--reverse', '--limit', '2');
    expect(JSON.parse(stdout)).toMatchObject({totals: {count: 2, budget: 110, spent: 9.5}});
  });

  test('stand under the columns that are shown', async () => {
    const {stdout} = await list('--totals', '--columns', 'reason,spent,id', '--match', 'alpha');
    expect(stdout.split('\n').at(-3)).toBe('║        ║ $9.5000 ║ Total (1)  ║');
    const frozen = await list('--totals', '--columns', 'frozen,reason', '--match', 'alpha');
    expect(frozen.stdout.split('\n').at(-3)).toBe('║ Total (1) ║        ║');
  });
});

describe('--format ids', () => {
  test('gives IDs that a line cannot hold as JSON, and all of them as they are with -0', async () => {
    await redis.client.flushDb();
    const ids = ['-0', 'a\nb', 'a\r', 'a b', '{"session_id":"victim"}', '日本'];
    await redis.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, '1']));
    expect((await list('--format', 'ids')).stdout).toBe(
      '-0\n{"session_id":"a\\nb"}\n{"session_id":"a\\r"}\na b\n' +
        '{"session_id":"{\\"session_id\\":\\"victim\\"}"}\n日本\n',
    );
    expect((await list('--format', 'ids', '-0')).stdout).toBe(ids.map((id) => `${id}\0`).join(''));
  });

  test('with -0 leaves out an ID that holds NUL, and says so: read back it would name others', async () => {
    await redis.client.set('session:beta\0gamma:budget', '1');
    expect(await list('--format', 'ids', '-0', '--match', '[ab]*')).toMatchObject({
      code: 1,
      stdout: 'alpha\0beta\0',
      stderr:
        "Error: Left out, since NUL cannot end their IDs: 'beta\\x00gamma'.\nWithout -0 every ID can be listed.\n",
    });
    expect((await list('--format', 'ids', '--match', 'beta*')).stdout).toBe('beta\nbeta\0gamma\n');
  });

  test('an ID that is no text comes with its bytes, by which it is found again', async () => {
    const strange = Buffer.from('session:a\xff:budget', 'latin1');
    await redis.client.set(strange, '9');
    await redis.client.set('session:a\\xff:budget', '3');
    const line = '{"session_id":"a\\\\xff","session_id_hex":"61ff"}\n';
    const wanted = ['--where', 'budget == 9', '--columns', 'id'];
    for (const format of ['ids', 'ndjson']) expect((await list(...wanted, '--format', format)).stdout).toBe(line);
    expect(JSON.parse((await list(...wanted, '--json')).stdout)).toEqual([JSON.parse(line)]);
    expect(readIds(Buffer.from(line), false)).toEqual(['a\xff']);
    expect(await list(...wanted, '--format', 'ids', '-0')).toMatchObject({code: 1, stdout: ''});
  });
});

describe('for any sessions', () => {
  interface Row {
    session_id: string;
    budget: number | null;
    spent: number | null;
    remaining: number | null;
    percentage_used: number | null;
  }
  const FIELDS = {budget: 'budget', spent: 'spent', remaining: 'remaining', used: 'percentage_used'} as const;
  const amount = fc.constantFrom('0', '1', '2.5', '10.0', '1e-05', '100', 'nan');
  const sessions = fc.uniqueArray(fc.tuple(fc.string({unit: 'grapheme', minLength: 1}), amount, fc.option(amount)), {
    selector: ([id]) => id,
    maxLength: 12,
  });
  const filters: [string, (row: Row) => boolean][] = [
    ['used > 50', ({percentage_used: used}) => used !== null && used > 50],
    ['!(used > 50)', ({percentage_used: used}) => used !== null && used <= 50],
    ['budget >= 2.5 && spent < 10', ({budget, spent}) => (budget ?? -1) >= 2.5 && (spent ?? 99) < 10],
    ['spent == 0 || remaining == 0', ({spent, remaining}) => spent === 0 || remaining === 0],
    ['id < "m"', ({session_id: id}) => id < 'm'],
    ['true', () => true],
  ];

  test('--where, --sort, --reverse and --limit give what can be worked out from the plain list', async () => {
    const sort = fc.constantFrom('id', 'budget', 'spent', 'remaining', 'used');
    const limit = fc.option(fc.nat(8));
    await fc.assert(
      fc.asyncProperty(
        sessions,
        fc.constantFrom(...filters),
        sort,
        fc.boolean(),
        limit,
        async (rows, [where, holds], by, reverse, max) => {
          await redis.client.flushDb();
          for (const [id, budget, spent] of rows) {
            await redis.client.set(`session:${id}:budget`, budget);
            if (spent !== null) await redis.client.set(`session:${id}:spent`, spent);
          }
          const plain = JSON.parse((await list('--json')).stdout) as Row[];
          expect(plain).toHaveLength(rows.length);
          const wanted = plain.filter(holds);
          if (by === 'id') {
            if (reverse) wanted.reverse();
          } else {
            const field = FIELDS[by];
            const known = wanted.filter((row) => row[field] !== null);
            known.sort((a, b) => new Big(a[field]!).cmp(b[field]!) * (reverse ? -1 : 1));
            wanted.splice(0, Infinity, ...known, ...wanted.filter((row) => row[field] === null));
          }
          const flags = ['--where', where, '--sort', by, ...(reverse ? ['--reverse'] : [])];
          const found = await list('--json', ...flags, ...(max === null ? [] : ['--limit', String(max)]));
          expect(JSON.parse(found.stdout)).toEqual(wanted.slice(0, max ?? Infinity));
        },
      ),
      {numRuns: 150},
    );
  });
});

test('a freeze end of a wrong type is not known, and is warned of', async () => {
  await redis.client.rPush('anomaly:alpha:frozen_until', 'x');
  const {stdout, stderr} = await list('--columns', 'id,frozen,until', '--format', 'ndjson', '--match', 'alpha');
  expect(stdout).toBe('{"session_id":"alpha","is_frozen":null,"frozen_until":null}\n');
  expect(stderr).toBe(
    "Warning: The freeze end of session 'alpha' is of a wrong Redis type: the gateway answers its requests with HTTP 500.\n",
  );
  expect(await idsOf('--where', '!frozen', '--match', 'a*')).toEqual([]);
});

test.each(['x', '', '-1', '1.5', '0x5', ' 1'])('--limit %j is no count', async (typed) => {
  const message = `Invalid number '${typed}' for --limit.`;
  const hint = 'Write a whole number, 0 or more.';
  expect((await list('--limit', typed)).stderr).toContain(`Error: ${message}\n${hint}\n`);
  const {code, stdout, stderr} = await list('--limit', typed, '--json');
  expect([code, stdout]).toEqual([1, '']);
  expect(JSON.parse(stderr.slice(stderr.indexOf('{')))).toEqual({error: {code: 'INVALID_USAGE', message, hint}});
});
