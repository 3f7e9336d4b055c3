import {Readable} from 'node:stream';

import fc from 'fast-check';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';

import {readIds} from '../../../src/cli/views/id-lines.js';
import FreezeSession from '../../../src/commands/freeze-session.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import ResetSession from '../../../src/commands/reset-session.js';
import UndoChange from '../../../src/commands/undo-change.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import {nameOf} from '../../../src/lib/values/session-id.js';
import {anyCharacter} from '../../support/fuzz.js';
import {type Output, runCommand} from '../../support/program/run.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(async () => {
  await redis.client.configSet('maxmemory', '0');
  await redis.client.mSet({
    'session:a:budget': '10.0',
    'session:a:spent': '9.5',
    'session:b:budget': '20',
    'session:c:budget': '30',
    'session:c:spent': '1e-05',
    'anomaly:c:history': 'kept',
    'session:orphan:spent': '1',
  });
});

const resetAndLook = (...argv: string[]): Promise<Output> => runCommand(ResetSession, [...argv, '--yes'], redis);
/** Without the half second that the second look waits for. */
const reset = (...argv: string[]): Promise<Output> => resetAndLook(...argv, '--no-second-look');
const budgets = async (): Promise<string[]> =>
  (await redis.client.keys('session:*:budget')).map((key) => key.slice('session:'.length, -':budget'.length)).sort();

test.each([
  [['a', 'b', '--match', 'b*'], "--match: 'a'"],
  [['b', 'c', 'a', '--where', 'used > 90'], "--where: 'b', 'c'"],
  [['a', 'c', 'd', 'e', 'f', '--match', '[b]', '--where', 'used < 0'], "--match or --where: 'a', 'c', 'd', and 2 more"],
])('typed sessions that a filter leaves out are told: %j', async (argv, told) => {
  expect(await reset(...argv, '--dry-run')).toMatchObject({code: 0, stderr: `Warning: Left out by ${told}.\n`});
});

interface Result {
  session_id: string;
  outcome: string;
  [field: string]: unknown;
}

function parseLines(text: string): Result[] {
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Result);
}

describe('the sessions that are meant', () => {
  test.each([
    [['a', 'b'], ['c']],
    [
      ['a', 'a', 'a'],
      ['b', 'c'],
    ],
    [['--all'], []],
    [['--match', '[ab]'], ['c']],
    [['--match', '[ab'], ['c']],
    [['--match', '[^c]'], ['c']],
    [
      ['--match', String.raw`\a`],
      ['b', 'c'],
    ],
    [['--match', '?'], []],
    [
      ['a', 'b', '--match', 'b*'],
      ['a', 'c'],
    ],
    [
      ['a', '--match', 'b*'],
      ['a', 'b', 'c'],
    ],
    [
      ['--where', 'used > 90'],
      ['b', 'c'],
    ],
    [
      ['--where', 'budget >= 20 && spent == 0'],
      ['a', 'c'],
    ],
    [
      ['--where', 'spent == 0.00001'],
      ['a', 'b'],
    ],
    [
      ['a', 'b', '--where', 'used > 90'],
      ['b', 'c'],
    ],
    [
      ['--all', '--match', '[bc]', '--where', 'spent > 0'],
      ['a', 'b'],
    ],
    [['a', '--all'], []],
    [
      ['--match', 'nothing*'],
      ['a', 'b', 'c'],
    ],
    [
      ['--match', ''],
      ['a', 'b', 'c'],
    ],
    [
      ['--where', 'frozen'],
      ['a', 'b', 'c'],
    ],
  ])('of %j leave %j, and exit with 0', async (argv, left) => {
    expect((await reset(...argv)).code).toBe(0);
    expect(await budgets()).toEqual(left);
    expect(await redis.client.exists(['session:orphan:spent', 'anomaly:c:history'])).toBe(2);
  });

  test('a glob takes a star or a bracket after a backslash as it stands', async () => {
    await redis.client.mSet({'session:a*:budget': '1', 'session:[x]:budget': '1'});
    await reset('--match', String.raw`a\*`);
    await reset('--match', String.raw`\[*\]`);
    expect(await budgets()).toEqual(['a', 'b', 'c']);
  });

  test('a glob never reaches past the ID', async () => {
    // Only the unclosed bracket matches an ID, a.
    await redis.client.mSet({'session:a:b:budget': '1', 'session:t:spent': '1'});
    const globs = ['a:spent', 'b:budget', '*:spent', '[a', '*[:]budget'];
    for (const glob of globs) await reset('--match', glob, '--max', '1');
    expect(await redis.client.keys('session:*')).toHaveLength(6);
    expect(await budgets()).toEqual(['a:b', 'b', 'c']);
  });

  test('an ID that is named once more is changed once', async () => {
    const {stdout} = await reset('a', 'b', 'a', '--format', 'ndjson');
    expect(parseLines(stdout).map(({session_id: id}) => id)).toEqual(['a', 'b']);
  });

  test('spending without a budget is reset when it is named', async () => {
    expect(await reset('orphan', 'a')).toMatchObject({code: 0});
    expect(await redis.client.exists('session:orphan:spent')).toBe(0);
  });

  test('a freeze of a wrong type is neither frozen nor not', async () => {
    await redis.client.rPush('anomaly:a:frozen_until', 'x');
    for (const where of ['frozen', '!frozen']) {
      const {code, stdout} = await reset('a', '--where', where, '--dry-run');
      expect([code, stdout]).toEqual([0, 'Would reset 0\n']);
    }
  });

  test('--where is asked of sessions with a budget: others that are named are not found', async () => {
    const {code, stdout, stderr} = await reset('a', 'orphan', '--where', 'spent > 0', '--format', 'ndjson');
    expect(code).toBe(1);
    expect(parseLines(stdout).map(({session_id: id, outcome}) => [id, outcome])).toEqual([
      ['orphan', 'not_found'],
      ['a', 'reset'],
    ]);
    expect(stderr).toBe('Error: Reset 1, not found 1.\n');
    expect(await redis.client.exists('session:orphan:spent')).toBe(1);
  });
});

describe('--stdin', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });
  const resetFrom = (input: string, ...argv: string[]): Promise<Output> => {
    vi.spyOn(process as {stdin: Readable}, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(input)]));
    return reset('--stdin', ...argv);
  };

  test.each([
    ['lines', 'a\n\nb\n', [], ['c']],
    ['lines of Windows', 'a\r\nb\r\n', [], ['c']],
    ['a last line without an end', 'a\nb', [], ['c']],
    ['IDs that end with NUL', 'a\0b\0', ['-0'], ['c']],
    ['more than the words name', 'a\n', ['b'], ['c']],
    ['what --match lets through', 'a\nb\n', ['--match', 'b*'], ['a', 'c']],
    ['what --where lets through', 'a\nb\n', ['--where', 'used > 90'], ['b', 'c']],
    ['an ID twice', 'a\na\n', [], ['b', 'c']],
    ['objects', '{"session_id":"a","budget":10}\n{"session_id":"b"}\n', [], ['c']],
    ['nothing', '', [], ['a', 'b', 'c']],
    ['nothing but line breaks', '\n\r\n', [], ['a', 'b', 'c']],
    ['nothing, with --match', '', ['--match', '*'], ['a', 'b', 'c']],
    ['nothing, with --where', '', ['--where', 'true'], ['a', 'b', 'c']],
  ])('takes %s', async (_, input, argv, left) => {
    expect(await resetFrom(input, ...argv)).toMatchObject({code: 0, stderr: ''});
    expect(await budgets()).toEqual(left);
  });

  test('takes an option for an ID like any other', async () => {
    const {code, stderr} = await resetFrom('--all\n-0\n*\n{"session_id":"victim"\n', '--quiet');
    expect(code).toBe(1);
    expect(stderr).toContain("Error: Session '--all' not found.\n");
    expect(stderr).toContain('Error: Reset 0, not found 4.\n');
    expect(await budgets()).toEqual(['a', 'b', 'c']);
  });
});

describe('what is no target, or none that is clear,', () => {
  test.each([
    ['reset-session', ResetSession],
    ['freeze-session', FreezeSession],
    ['unfreeze-session', UnfreezeSession],
  ])('changes nothing: %s alone', async (_, command) => {
    const before = await dumpKeyspace(redis);
    for (const flags of [[], ['--dry-run'], ['--max', '5'], ['--quiet']]) {
      const {code, stdout, stderr} = await runCommand(command, [...flags, '--yes', '--json'], redis);
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(JSON.parse(stderr)).toMatchObject({error: {code: 'NO_TARGET'}});
    }
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test.each([
    [['a', '-0'], '-0 goes with --stdin.'],
    [['--all', '--null'], '-0 goes with --stdin.'],
    [['--where', 'used >'], "Invalid filter 'used >'"],
    [['--where', ''], "Invalid filter ''"],
    [['--all', '--max', '-1'], "Error: Invalid number '-1' for --max.\n"],
    [['a', '--max', '0'], 'Error: This would reset 1 session, more than --max 0. Nothing was changed.\n'],
    [['a', 'b', ''], 'The session ID is empty.'],
    [['--all', '--format', 'csv'], '--format'],
  ])('changes nothing: %j', async (argv, why) => {
    const before = await dumpKeyspace(redis);
    expect(await reset(...argv)).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining(why)});
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test.each([
    ['reset-session', ResetSession],
    ['freeze-session', FreezeSession],
    ['unfreeze-session', UnfreezeSession],
    ['undo-change', UndoChange],
  ])('changes nothing: %s that is to print two things', async (name, command) => {
    const before = await dumpKeyspace(redis);
    for (const format of ['text', 'ndjson']) {
      for (const targets of name === 'undo-change' ? [['--last']] : [['a'], ['a', 'b'], ['--all', '--dry-run']]) {
        const argv = [...targets, '--format', format, '--json', '--yes'];
        const {code, stdout, stderr} = await runCommand(command, argv, redis);
        expect({code, stdout}).toEqual({code: 1, stdout: ''});
        expect(JSON.parse(stderr)).toMatchObject({
          error: {code: 'INVALID_USAGE', message: `--json and --format ${format} contradict each other.`},
        });
      }
    }
    expect(await dumpKeyspace(redis)).toEqual(before);
    expect(await reset('a', '--format', 'json', '--json')).toMatchObject({code: 0});
  });

  test('--max refuses a larger batch, its dry run too, and lets one of that size pass', async () => {
    for (const more of [[], ['--dry-run']]) {
      expect(await reset('--all', '--max', '2', ...more)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: 'Error: This would reset 3 sessions, more than --max 2. Nothing was changed.\n',
      });
    }
    expect(await budgets()).toEqual(['a', 'b', 'c']);
    expect(await reset('--all', '--max', '3')).toMatchObject({code: 0});
    expect(await budgets()).toEqual([]);
  });

  test('without a terminal and without --yes it fails before it connects', async () => {
    for (const argv of [['--all'], ['a', 'b'], ['--all', '--json'], ['--stdin']]) {
      expect(await runCommand(ResetSession, argv, {url: 'redis://127.0.0.1:1'})).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringContaining('Add --yes to go ahead without a question.'),
      });
    }
  });
});

test('any IDs go through list-sessions --format ids to --stdin exactly', async () => {
  const id = fc.oneof(
    fc.string({unit: anyCharacter, minLength: 1}),
    fc.string({minLength: 1}).map((text) => JSON.stringify({session_id: text})),
    fc.stringMatching(/^[{}"\\\r\n :a-]{1,12}$/),
    fc.constantFrom('{"session_id":"victim"}', 'victim', '-0', '--all', '--', '🙂', '\n', '\r\n', '\u202e', '\0'),
  );
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(id, {minLength: 1, maxLength: 10}), async (ids) => {
      await redis.client.flushDb();
      await redis.client.mSet(ids.map((name): [string, string] => [`session:${name}:budget`, '1']));
      const lines = await runCommand(ListSessions, ['--format', 'ids'], redis);
      expect(lines).toMatchObject({code: 0, stderr: ''});
      expect(readIds(Buffer.from(lines.stdout), false).map(nameOf).sort()).toEqual([...ids].sort());
      const nul = await runCommand(ListSessions, ['--format', 'ids', '-0'], redis);
      const listable = ids.filter((name) => !name.includes('\0'));
      expect(readIds(Buffer.from(nul.stdout), true).map(nameOf).sort()).toEqual(listable.sort());
      expect(nul.code).toBe(listable.length === ids.length ? 0 : 1);
    }),
    {numRuns: 200},
  );
});

describe('--dry-run', () => {
  test.each([
    [['--all']],
    [['a', 'c', 'nobody']],
    [['--where', 'used > 90']],
    [['--all', '--keep-budget']],
    [['orphan', 'typed', 'a']],
  ])('of %j changes nothing, and names what the real run then changes', async (argv) => {
    await redis.client.lPush('session:typed:spent', '1');
    await redis.client.set('session:typed:budget', '1');
    const before = await dumpKeyspace(redis);
    const dry = await reset(...argv, '--dry-run', '--format', 'ndjson');
    expect(await dumpKeyspace(redis)).toEqual(before);
    const real = await reset(...argv, '--format', 'ndjson');
    const inReality = parseLines(real.stdout).map(({session_id: id, outcome}) => `${id} ${outcome}`);
    const foretold = parseLines(dry.stdout).map(
      ({session_id: id, outcome}) => `${id} ${outcome.replace('would_', '')}`,
    );
    expect(foretold.sort()).toEqual(inReality.sort());
    expect(dry.code).toBe(real.code);
  });

  test('says what is there, on a Redis that refuses writes too', async () => {
    await redis.client.configSet('min-replicas-to-write', '1');
    try {
      expect(await runCommand(ResetSession, ['--all', '--dry-run'], redis)).toMatchObject({
        code: 0,
        stdout:
          "Would reset session 'a': budget $10.00, spent $9.50 → no budget, nothing spent\n" +
          "Would reset session 'b': budget $20.00, spent none → no budget, nothing spent\n" +
          "Would reset session 'c': budget $30.00, spent $0.00001 → no budget, nothing spent\n" +
          'Would reset 3\n',
        stderr: '',
      });
    } finally {
      await redis.client.configSet('min-replicas-to-write', '0');
    }
  });

  test('as JSON is one document', async () => {
    const {code, stdout} = await runCommand(ResetSession, ['a', 'nobody', '--dry-run', '--json'], redis);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      action: 'reset',
      dry_run: true,
      results: [
        {
          session_id: 'a',
          outcome: 'would_reset',
          change_id: null,
          now: 'budget $10.00, spent $9.50',
          then: 'no budget, nothing spent',
        },
        {
          session_id: 'nobody',
          outcome: 'not_found',
          change_id: null,
          error: {code: 'SESSION_NOT_FOUND', message: "Session 'nobody' not found."},
        },
      ],
      second_looks: null,
      change_id: null,
      summary: {would_reset: 1, unchanged: 0, not_found: 1, failed: 0, unknown: 0, not_done: 0},
    });
  });
});

describe('the report', () => {
  test('names each, and those that are not found do not stop the others', async () => {
    expect(await reset('a', 'b', 'nobody', 'no\u001b[31m')).toEqual({
      code: 1,
      result: undefined,
      stdout: "Session 'a' reset: budget $10.00, spent $9.50\nSession 'b' reset: budget $20.00\n",
      stderr:
        "Error: Session 'no\\x1b[31m' not found.\n" +
        "Error: Session 'nobody' not found.\n" +
        'Error: Reset 2, not found 2.\n',
    });
    expect(await budgets()).toEqual(['c']);
  });

  test('ends with the sum when all went well', async () => {
    expect((await resetAndLook('--all')).stdout.trimEnd().split('\n').at(-1)).toBe('✓ Reset 3');
  });

  test('as JSON is one document, with what was removed', async () => {
    const {code, stdout, stderr} = await resetAndLook('--all', '--json');
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    const {change_id: change} = JSON.parse(stdout) as {change_id: string};
    expect(change).toMatch(/^[0-9a-z]{10}$/);
    expect(stdout.replaceAll(change, 'CHANGE')).toMatchInlineSnapshot(`
      "{
        "action": "reset",
        "dry_run": false,
        "results": [
          {
            "session_id": "a",
            "outcome": "reset",
            "change_id": "CHANGE",
            "removed_budget": 10,
            "removed_spent": 9.5
          },
          {
            "session_id": "b",
            "outcome": "reset",
            "change_id": "CHANGE",
            "removed_budget": 20,
            "removed_spent": null
          },
          {
            "session_id": "c",
            "outcome": "reset",
            "change_id": "CHANGE",
            "removed_budget": 30,
            "removed_spent": 0.00001
          }
        ],
        "second_looks": [],
        "change_id": "CHANGE",
        "summary": {
          "reset": 3,
          "unchanged": 0,
          "not_found": 0,
          "failed": 0,
          "unknown": 0,
          "not_done": 0
        }
      }
      "
    `);
  });

  test('with failures as JSON is one document too, and says the same as exit code and stderr', async () => {
    const {code, stdout, stderr} = await reset('a', 'nobody', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [
        {session_id: 'a', outcome: 'reset'},
        {session_id: 'nobody', outcome: 'not_found', error: {code: 'SESSION_NOT_FOUND'}},
      ],
      summary: {reset: 1, not_found: 1},
    });
    expect(JSON.parse(stderr)).toEqual({
      error: {code: 'BATCH_INCOMPLETE', message: 'Reset 1, not found 1.', hint: null},
    });
  });

  test.each([
    ['text', '✓ Reset 0\n'],
    ['ndjson', ''],
  ])('of no session at all, as %s', async (format, stdout) => {
    const stderr = "Warning: No session was found for --match 'nothing*'. There are 3.\n";
    expect(await reset('--match', 'nothing*', '--format', format)).toMatchObject({code: 0, stdout, stderr});
  });

  test('of no session at all, as JSON', async () => {
    const {code, stdout} = await resetAndLook('--match', 'nothing*', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      action: 'reset',
      dry_run: false,
      results: [],
      second_looks: [],
      change_id: null,
      summary: {reset: 0, unchanged: 0, not_found: 0, failed: 0, unknown: 0, not_done: 0},
    });
  });

  test('with --quiet is the sum, and each failure', async () => {
    expect(await reset('a', 'b', '--quiet')).toMatchObject({code: 0, stdout: '✓ Reset 2\n', stderr: ''});
    expect(await reset('c', 'nobody', '--quiet')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: "Error: Session 'nobody' not found.\nError: Reset 1, not found 1.\n",
    });
  });

  test('of one session as ndjson is one line', async () => {
    const {code, stdout} = await resetAndLook('a', '--format', 'ndjson');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^\{"session_id":"a","outcome":"reset","change_id":"\w{10}","removed_budget":10,"removed_spent":9\.5\}\n$/,
    );
  });

  test.each([
    ['a', 'budget'],
    ['b', 'spent'],
  ])('a session %s whose %s is of a wrong type fails, and nothing of it is removed', async (id, field) => {
    await redis.client.del(`session:${id}:${field}`);
    await redis.client.lPush(`session:${id}:${field}`, 'x');
    const {code, stdout, stderr} = await reset('a', 'b', 'c', '--format', 'ndjson');
    expect(code).toBe(1);
    expect(parseLines(stdout).filter(({outcome}) => outcome === 'failed')).toEqual([
      {
        session_id: id,
        outcome: 'failed',
        change_id: null,
        error: {
          code: 'WRONG_TYPE',
          message: `Session '${id}': its ${field} is of a wrong Redis type. Nothing was removed.`,
        },
      },
    ]);
    expect(stderr).toBe(
      'Error: Reset 2, failed 1.\nThe gateway never writes that. Look at the key with redis-cli, and remove it there.\n',
    );
    expect(await redis.client.keys(`session:${id}:*`)).toHaveLength(2);
  });

  test('the exit code is 0 exactly when every outcome is as wanted', async () => {
    const outcomes = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'nobody', 'typed', 'orphan'), {minLength: 1});
    await fc.assert(
      fc.asyncProperty(outcomes, fc.boolean(), async (ids, keepBudget) => {
        await redis.client.flushDb();
        await redis.client.mSet({'session:a:budget': '1', 'session:b:budget': '1', 'session:b:spent': '1'});
        await redis.client.mSet({'session:c:budget': 'nan', 'session:orphan:spent': '1'});
        await redis.client.lPush('session:typed:budget', 'x');
        const before = await dumpKeyspace(redis);
        const {code, stdout} = await reset(...ids, '--format', 'ndjson', ...(keepBudget ? ['--keep-budget'] : []));
        const results = parseLines(stdout);
        expect(results.map(({session_id: id}) => id)).toEqual([...ids].sort());
        expect(code).toBe(results.every(({outcome}) => outcome === 'reset' || outcome === 'unchanged') ? 0 : 1);
        const gone = results.filter(({outcome}) => outcome === 'reset').map(({session_id: id}) => id);
        const after = await dumpKeyspace(redis);
        const isLeft = (key: string): boolean =>
          !gone.some((id) => key === `session:${id}:spent` || (!keepBudget && key === `session:${id}:budget`));
        expect(Object.keys(after)).toEqual(Object.keys(before).filter(isLeft));
      }),
      {numRuns: 15},
    );
  });
});

describe('--keep-budget', () => {
  test('removes only what is spent', async () => {
    expect(await reset('a', '--keep-budget')).toMatchObject({
      code: 0,
      stdout: "✓ Session 'a' reset\nRemoved: spent $9.50\n",
    });
    expect(await redis.client.get('session:a:budget')).toBe('10.0');
    expect(await redis.client.exists('session:a:spent')).toBe(0);
  });

  test('of all says which had spent nothing', async () => {
    const {code, stdout} = await reset('--all', '--keep-budget');
    expect({code, stdout}).toEqual({
      code: 0,
      stdout:
        "Session 'a' reset: spent $9.50\nSession 'b' unchanged: nothing\nSession 'c' reset: spent $0.00001\n" +
        '✓ Reset 2, unchanged 1\n',
    });
    expect(await budgets()).toEqual(['a', 'b', 'c']);
    expect(await redis.client.keys('session:*:spent')).toEqual(['session:orphan:spent']);
  });

  test('of an unknown session is an error', async () => {
    expect(await reset('nobody', '--keep-budget')).toMatchObject({code: 1, stdout: ''});
  });
});

describe('a Redis user', () => {
  const seedMany = async (): Promise<void> => {
    const ids = Array.from({length: 120}, (_, index) => `m${index}`);
    await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '1']]));
  };

  test.each([
    ['EVAL', ['-eval'], ['--no-journal']],
    ['any script', ['-@scripting'], ['--no-journal']],
    ['EVALSHA', ['-evalsha'], []],
  ])('without the right to %s can reset a batch', async (_, rights, argv) => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', '~*', '+@all', ...rights]);
    await seedMany();
    const {code, stdout, stderr} = await runCommand(ResetSession, ['--all', '--yes', '--format', 'ndjson', ...argv], {
      url: redis.url.replace('unix://', 'unix://few:pw@'),
    });
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(parseLines(stdout)).toHaveLength(123);
    expect(parseLines(stdout).filter(({outcome}) => outcome !== 'reset')).toEqual([]);
    expect(await budgets()).toEqual([]);
  });

  test('without the right to write fails for each, and the report says so', async () => {
    await redis.client.sendCommand([
      'ACL',
      'SETUSER',
      'few',
      'reset',
      'on',
      '>pw',
      '~*',
      '+@read',
      '+hello',
      '+select',
    ]);
    const before = await dumpKeyspace(redis);
    const url = redis.url.replace('unix://', 'unix://few:pw@');
    const {code, stdout} = await runCommand(ResetSession, ['--all', '--yes', '--json'], {url});
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      results: ['a', 'b', 'c'].map((id) => ({session_id: id, outcome: 'failed', error: {code: 'REDIS_NO_PERMISSION'}})),
      summary: {reset: 0, failed: 3},
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });
});

test('a batch is reset when the memory of Redis is full, and refused when it would freeze', async () => {
  await redis.client.configSet('maxmemory', '1');
  const before = await dumpKeyspace(redis);
  const frozen = await runCommand(FreezeSession, ['--all', '--yes', '--format', 'ndjson'], redis);
  expect(frozen.code).toBe(1);
  expect(parseLines(frozen.stdout).map(({outcome, error}) => [outcome, (error as {code: string}).code])).toEqual(
    Array.from({length: 3}, () => ['failed', 'REDIS_OUT_OF_MEMORY']),
  );
  expect(await dumpKeyspace(redis)).toEqual(before);
  expect(await resetAndLook('--all')).toMatchObject({code: 0, stderr: ''});
  expect(await budgets()).toEqual([]);
});

test('a session whose ID is not UTF-8 is reset with all others', async () => {
  const key = Buffer.from([...Buffer.from('session:'), 0xff, ...Buffer.from(':budget')]);
  await redis.client.sendCommand(['SET', key, '1']);
  expect((await reset('--all')).stdout).toContain("Session '\\xff' reset: budget $1.00\n");
  expect(await redis.client.sendCommand(['EXISTS', key])).toBe(0);
});
