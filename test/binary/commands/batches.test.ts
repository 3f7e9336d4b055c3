import type {ChildProcess} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {makeShell, type Shell} from '../../support/program/shell.js';
import {runAndStrike} from '../../support/program/strike.js';
import {dumpKeyspace, gatewayKeys} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const SESSIONS = 20_000;
/** Session s00007 has a budget of 7.5 and has spent 0.07. */
const SEED = `
redis.call('FLUSHDB')
for i = 1, ${SESSIONS} do
  redis.call('MSET', string.format('session:s%05d:budget', i), i .. '.5',
    string.format('session:s%05d:spent', i), string.format('%.2f', i / 100))
end
return redis.call('DBSIZE')`;
const ID = /^s(\d{5})$/;
const RESET_ALL = ['reset-session', '--all', '--yes', '--format', 'ndjson'];

interface Result {
  session_id: string;
  outcome: 'reset' | 'not_found' | 'not_done' | 'unknown';
  removed_budget?: number;
  removed_spent?: number;
  error?: {code: string; message: string};
}

const parseLines = (text: string): Result[] =>
  text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Result);

const numberOf = (id: string): number => Number(ID.exec(id)![1]);
const budgetOf = (id: string): string => `${numberOf(id)}.5`;
const spentOf = (id: string): string => (numberOf(id) / 100).toFixed(2);
const allIds = Array.from({length: SESSIONS}, (_, index) => `s${String(index + 1).padStart(5, '0')}`);

async function seed(redis: TestRedis): Promise<void> {
  expect(await redis.client.sendCommand(['EVAL', SEED, '0'])).toBe(2 * SESSIONS);
}

/** The ID of the change that was recorded last. */
async function lastChange({client}: TestRedis): Promise<string> {
  const entries = await client.xRevRange('tokengate:journal', '+', '-', {COUNT: 1});
  return entries![0]!.message['change']!;
}

/** Which sessions are still there; each with both of its old values, or with none. */
async function findLeft({client}: TestRedis): Promise<Set<string>> {
  const values = await client.mGet(allIds.flatMap((id) => [`session:${id}:budget`, `session:${id}:spent`]));
  const left = new Set<string>();
  const odd: unknown[] = [];
  for (const [index, id] of allIds.entries()) {
    const [budget, spent] = values.slice(2 * index, 2 * index + 2);
    if (budget === null && spent === null) continue;
    if (budget !== budgetOf(id) || spent !== spentOf(id)) odd.push([id, budget, spent]);
    left.add(id);
  }
  expect(odd).toEqual([]);
  return left;
}

/** The lines of a report without the one that says that nothing could be looked at again. */
function withoutLook(text: string): Result[] {
  const lines = parseLines(text);
  const isOfSession = ({session_id: id}: {session_id: string | null}): boolean => id !== null;
  expect(lines.filter((line) => !isOfSession(line))).toMatchObject([{second_look: {outcome: 'failed'}}]);
  return lines.filter(isOfSession);
}

/** Compares a report that has a line for each session with what is there. */
function expectTruth(results: readonly Result[], left: ReadonlySet<string>): Map<Result['outcome'], number> {
  expect(results.map(({session_id: id}) => id)).toEqual(allIds);
  const counts = new Map<Result['outcome'], number>();
  const lies: Result[] = [];
  for (const result of results) {
    const {session_id: id, outcome} = result;
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const isLeft = left.has(id);
    const isTrue =
      outcome === 'reset'
        ? !isLeft && result.removed_budget === Number(budgetOf(id)) && result.removed_spent === Number(spentOf(id))
        : outcome === 'not_done'
          ? isLeft
          : outcome === 'unknown' && result.error?.code === 'OUTCOME_UNKNOWN';
    if (!isTrue) lies.push(result);
  }
  expect(lies).toEqual([]);
  return counts;
}

/** Early enough that the command has more to do than what is in the pipe and in flight when the test has read so far. */
const someLines = (): number => 1 + Math.floor(Math.random() * 12_000);

describe('while 20,000 sessions are reset', () => {
  let redis: TestRedis;
  beforeAll(async () => (redis = await startRedis()));
  beforeEach(() => seed(redis));
  afterAll(() => redis.stop());

  test.each([
    ['SIGINT', 130],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s at a random moment: the report is the truth, and running again finishes', async (signal, code) => {
    const lines = someLines();
    const output = await runAndStrike(RESET_ALL, {...redis, lines, strike: (child) => child.kill(signal)});
    expect({code: output.code, lines}).toEqual({code, lines});
    const counts = expectTruth(parseLines(output.stdout), await findLeft(redis));
    expect(counts.get('reset')).toBeGreaterThanOrEqual(lines);
    expect(counts.get('not_done')).toBeGreaterThan(0);
    expect(counts.has('unknown')).toBe(false);
    expect(output.stderr).toBe(
      `Error: Reset ${withCommas(counts.get('reset')!)}, not done ${withCommas(counts.get('not_done')!)}. ` +
        `Not done from '${allIds[counts.get('reset')!]!}' on, in the order of the IDs.\n` +
        'Running it again finishes the work.\n',
    );

    const again = await runBinary(RESET_ALL, redis);
    expect(again).toMatchObject({code: 0, stderr: ''});
    expect(parseLines(again.stdout)).toHaveLength(counts.get('not_done')!);
    expect(await gatewayKeys(redis)).toEqual([]);
  });

  test('SIGINT: the JSON is one whole document all the same', async () => {
    const argv = ['reset-session', '--all', '--yes', '--json'];
    const lines = 5 * someLines();
    const output = await runAndStrike(argv, {...redis, lines, strike: (child) => child.kill('SIGINT')});
    expect(output.code).toBe(130);
    const {summary, results} = JSON.parse(output.stdout) as {summary: Record<string, number>; results: Result[]};
    const counts = expectTruth(results, await findLeft(redis));
    expect(summary).toMatchObject({reset: counts.get('reset'), not_done: counts.get('not_done'), unknown: 0});
    expect(JSON.parse(output.stderr)).toMatchObject({error: {code: 'BATCH_INCOMPLETE'}});
  });

  test('SIGINT: what was done is looked at again', async () => {
    const written = async (child: ChildProcess): Promise<void> => {
      await redis.client.set('session:s00001:spent', '2.4');
      child.kill('SIGINT');
    };
    await redis.client.set('session:s00001:spent', '1.4');
    const {code, stderr} = await runAndStrike(RESET_ALL, {...redis, lines: someLines(), strike: written});
    expect(code).toBe(130);
    expect(stderr).toContain("Warning: Session 's00001': its spending jumped to ");
    expect(stderr).toContain('which leaves $1.00.');
    expect(await redis.client.get('session:s00001:spent')).toBe('1');
  });

  test('a second SIGINT ends it at once, while it waits for a Redis that has stopped', async () => {
    const lines = someLines();
    // Longer than this test may take: it does not end by itself.
    const output = await runAndStrike([...RESET_ALL, '--timeout', '600'], {
      ...redis,
      lines,
      strike(child) {
        redis.process.kill('SIGSTOP');
        // Two that are pending count as one, so it goes on until the command has seen a second.
        const again = setInterval(() => child.kill('SIGINT'), 20);
        child.once('exit', () => {
          clearInterval(again);
        });
      },
    });
    redis.process.kill('SIGCONT');
    expect(output.code).toBe(130);
  });

  test.each([1, 2])('the connection is cut: the report is the truth, and what is there now is right (%d)', async () => {
    const lines = someLines();
    const cut = (): unknown => redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
    const output = await runAndStrike(RESET_ALL, {...redis, lines, strike: cut});
    expect({code: output.code, lines}).toEqual({code: 1, lines});
    const left = await findLeft(redis);
    const results = withoutLook(output.stdout);
    const counts = expectTruth(results, left);
    expect(counts.get('reset')).toBeGreaterThanOrEqual(lines);
    expect(counts.get('not_done')).toBeGreaterThan(0);
    expect(output.stderr).toContain('Error: Lost the connection to Redis at ');
    expect(output.stderr).toContain(`Reset ${withCommas(counts.get('reset')!)}, `);
    for (const {session_id: id, outcome, error} of results) {
      if (outcome !== 'unknown') continue;
      const was = `budget $${numberOf(id)}.50, spent $${spentOf(id)}`;
      const now = left.has(id) ? was : 'budget none, spent none';
      expect(error!.message).toBe(
        `Session '${id}': it is unknown whether it was changed. Before: ${was}. Now: ${now}. ` +
          (left.has(id)
            ? 'The journal has no such change.'
            : `The journal has it, as change ${await lastChange(redis)}: it was done.`),
      );
    }

    expect(await runBinary(RESET_ALL, redis)).toMatchObject({code: 0, stderr: ''});
    expect(await gatewayKeys(redis)).toEqual([]);
  });

  test('a text report of it tells of what is unknown, too', async () => {
    const cut = (): unknown => redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
    const argv = ['reset-session', '--all', '--yes'];
    const output = await runAndStrike(argv, {...redis, lines: someLines(), strike: cut});
    expect(output.code).toBe(1);
    const left = await findLeft(redis);
    const told = [...output.stdout.matchAll(/^Session '(s\d{5})' reset: budget \$\S+, spent \$\S+$/gm)];
    const unknown = [...output.stderr.matchAll(/^Error: Session '(s\d{5})': it is unknown whether/gm)];
    const gone = allIds.filter((id) => !left.has(id));
    const doubtful = new Set(unknown.map(([, id]) => id));
    expect(told.map(([, id]) => id)).toEqual(gone.filter((id) => !doubtful.has(id)));
    expect(output.stdout).not.toContain('✓');
  });

  test('the reader goes away: it stops, and says what it did on stderr', async () => {
    const shell = await makeShell();
    try {
      const script = `tokengate ${RESET_ALL.join(' ')} | head -1; exit "\${PIPESTATUS[0]}"`;
      const {code, stdout, stderr} = await shell.run(script, redis);
      expect(code).toBe(1);
      expect(parseLines(stdout)).toMatchObject([{session_id: 's00001', outcome: 'reset'}]);
      const left = await findLeft(redis);
      const gone = SESSIONS - left.size;
      expect([...left]).toEqual(allIds.slice(gone));
      // The reader took the first; a pipe that nobody read took some; all that follow are told of.
      const told = parseLines(stderr.replace(/^Error: [^]*/m, ''));
      expect(told.map(({session_id: id}) => id)).toEqual(allIds.slice(SESSIONS - told.length));
      expect(told.length).toBeGreaterThan(SESSIONS - gone);
      expect(told.filter(({session_id: id, outcome}) => outcome !== (left.has(id) ? 'not_done' : 'reset'))).toEqual([]);
      expect(stderr).toContain(
        `Error: The reader of the output has gone. Reset ${withCommas(gone)}, not done ${withCommas(left.size)}.`,
      );
    } finally {
      await shell.remove();
    }
  });
});

describe('a Redis that is killed while 20,000 sessions are reset', () => {
  test.each([1, 2])('has lost what the report says, and keeps the rest (%d)', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tokengate-killed-'));
    const args = ['--appendonly', 'yes', '--appendfsync', 'always'];
    const killed = await startRedis({folder, args});
    try {
      await seed(killed);
      const lines = someLines();
      const output = await runAndStrike(RESET_ALL, {...killed, lines, strike: () => killed.process.kill('SIGKILL')});
      expect({code: output.code, lines}).toEqual({code: 1, lines});
      expect(output.stderr).toContain('Running it again finishes the work.\n');
      await killed.stop();

      const redis = await startRedis({folder, args});
      try {
        const results = withoutLook(output.stdout);
        const counts = expectTruth(results, await findLeft(redis));
        expect(counts.get('reset')).toBeGreaterThanOrEqual(lines);
        expect(counts.get('not_done')).toBeGreaterThan(0);
        for (const {outcome, error} of results) {
          if (outcome === 'unknown') expect(error!.message).toContain('A second look failed: ');
        }
        expect(await runBinary(RESET_ALL, redis)).toMatchObject({code: 0, stderr: ''});
        expect(await gatewayKeys(redis)).toEqual([]);
      } finally {
        await redis.stop();
      }
    } finally {
      await killed.stop();
      await rm(folder, {recursive: true, force: true});
    }
  });
});

describe('from outside', () => {
  let redis: TestRedis;
  let shell: Shell;
  beforeAll(async () => {
    redis = await startRedis();
    shell = await makeShell();
  });
  beforeEach(async () => {
    await redis.client.flushDb();
    await redis.client.mSet({
      'session:a:budget': '10.0',
      'session:a:spent': '9.5',
      'session:b:budget': '20',
      'session:team:c:budget': '30',
      'session:team:c:spent': '1e-05',
      'anomaly:a:history': 'kept',
    });
  });
  afterAll(async () => {
    await redis.stop();
    await shell.remove();
  });

  test('the documented loop and reset-session --all leave the same state', async () => {
    const before = await gatewayKeys(redis);
    const values = await redis.client.mGet(before);
    const loop = await shell.run(
      `for session in $(tokengate list-sessions --format json | jq -r '.[].session_id'); do
        tokengate reset-session $session --yes
      done`,
      redis,
    );
    expect(loop).toMatchObject({code: 0, stderr: ''});
    const afterLoop = await dumpKeyspace(redis);
    await redis.client.flushDb();
    await redis.client.mSet(before.map((key, index): [string, string] => [key, values[index]!]));
    expect(await runBinary(['reset-session', '--all', '--yes'], redis)).toMatchObject({code: 0, stderr: ''});
    expect(await dumpKeyspace(redis)).toEqual(afterLoop);
    expect(Object.keys(afterLoop)).toEqual(['anomaly:a:history']);
  });

  test.each([
    ['--format ids', '--stdin'],
    ['--format ids -0', '--stdin -0'],
    ['--format ndjson', '--stdin'],
  ])('list-sessions %s | reset-session %s resets exactly those that are listed', async (format, stdin) => {
    const odd = ['{"session_id":"victim"}', 'line\nbreak', '-0', '--all', '"', '🙂', 'cr\r', ' '];
    await redis.client.mSet([
      ...odd.map((id): [string, string] => [`session:${id}:budget`, '1']),
      ...['victim', 'line', 'break'].map((id): [string, string] => [`session:${id}:budget`, '2']),
    ]);
    const script = `tokengate list-sessions --where 'budget == 1' ${format} | tokengate reset-session ${stdin} --yes -q`;
    expect(await shell.run(script, redis)).toEqual({code: 0, stdout: `✓ Reset ${odd.length}\n`, stderr: ''});
    const left = await redis.client.keys('session:*:budget');
    expect(left.map((key) => key.slice(8, -7)).sort()).toEqual(['a', 'b', 'break', 'line', 'team:c', 'victim']);
  });

  test('--stdin that is not UTF-8 is refused whole', async () => {
    const before = await dumpKeyspace(redis);
    expect(await shell.run(String.raw`printf 'a\n\377\nb\n' | tokengate reset-session --stdin --yes`, redis)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Error: The IDs on stdin are not UTF-8 text.\n',
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('--stdin without --yes fails before it reads', async () => {
    // A pipe that its reader itself can write to has no end.
    const script = 'exec 3<> <(:); tokengate reset-session --stdin <&3';
    const output = await shell.run(script, redis);
    expect(output).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('Add --yes')});
  });

  test.each([
    ['text', 'tokengate reset-session --all --yes', /^Session 'a' reset: budget \$10\.00, spent \$9\.50$/m],
    ['ndjson', 'tokengate reset-session --all --yes --format ndjson', /^\{"session_id":"a","outcome":"reset",/m],
  ])('on a full disk the report, as %s, goes to stderr', async (_, command, line) => {
    const {code, stderr} = await shell.run(`${command} > /dev/full`, redis);
    expect(code).toBe(1);
    expect(stderr).toMatch(line);
    expect(stderr).toContain('Error: Cannot write the output: no space left on the device. Reset 3.\n');
    expect(await redis.client.keys('session:*')).toEqual([]);
  });

  describe('on a terminal', () => {
    const ENTER = '\r';
    const question = (): string =>
      `Reset 5 sessions on ${new URL(redis.url).pathname} db 0 ('a', 'b', 'n1', and 2 more)?`;
    beforeEach(() => redis.client.mSet({'session:n1:budget': '1', 'session:n2:budget': '1'}));

    test.each([['y'], ['yes']])(
      'one question names server, database, action, count and first IDs: %s',
      async (answer) => {
        const terminal = openTerminal(['reset-session', '--all'], {...redis, columns: 200, env: {NO_COLOR: '1'}});
        await terminal.shows(question());
        terminal.type(answer + ENTER);
        const {code, screen} = await terminal.ended;
        expect(code).toBe(0);
        expect(screen).toContain('✓ Reset 5\r\n');
        expect(await redis.client.keys('session:*')).toEqual([]);
      },
    );

    test.each([
      ['n', 'n\r', 1, 'Cancelled: nothing was changed.'],
      ['just Enter', '\r', 1, 'Cancelled: nothing was changed.'],
      ['Ctrl-C', '\x03', 130, 'Interrupted: nothing was changed.'],
    ])('%s changes nothing', async (_, keys, code, message) => {
      const before = await dumpKeyspace(redis);
      const terminal = openTerminal(['reset-session', '--all'], {...redis, columns: 200});
      await terminal.shows('(y/N)');
      terminal.type(keys);
      const ended = await terminal.ended;
      expect(ended.code).toBe(code);
      expect(ended.screen).toContain(message);
      expect(await dumpKeyspace(redis)).toEqual(before);
    });

    test.each([
      [['freeze-session', 'a', 'b'], 'Freeze 2 sessions on '],
      [['unfreeze-session', 'a', 'b'], 'Unfreeze 2 sessions on '],
      [['reset-session', '--match', 'a'], 'Reset 1 session on '],
      [['reset-session', 'a', 'nobody'], "('a', 'nobody')?"],
    ])('%j asks', async (argv, text) => {
      const terminal = openTerminal(argv, {...redis, columns: 200});
      await terminal.shows(text);
      terminal.type('n' + ENTER);
      expect(await terminal.ended).toMatchObject({code: 1});
    });

    test.each([[['--all', '--json']], [['--all', '--format', 'json']], [['--stdin']]])(
      '%j asks nothing, and refuses',
      async (argv) => {
        const before = await dumpKeyspace(redis);
        const {code, screen} = await openTerminal(['reset-session', ...argv], redis).ended;
        expect(code).toBe(1);
        expect(screen).toContain('Add --yes to go ahead without a question.');
        expect(await dumpKeyspace(redis)).toEqual(before);
      },
    );

    test('nothing to do is nothing to ask', async () => {
      const terminal = openTerminal(['reset-session', '--match', 'x*'], {...redis, env: {NO_COLOR: '1'}});
      expect(await terminal.ended).toEqual({code: 0, screen: '✓ Reset 0\r\n'});
    });

    test('with --yes nothing is asked', async () => {
      const {code, screen} = await openTerminal(['reset-session', '--all', '-y', '-q'], {
        ...redis,
        env: {NO_COLOR: '1'},
      }).ended;
      expect({code, screen}).toEqual({code: 0, screen: '✓ Reset 5\r\n'});
    });

    test('--stdin with --yes reads what is typed', async () => {
      const terminal = openTerminal(['reset-session', '--stdin', '--yes', '-q'], {...redis, env: {NO_COLOR: '1'}});
      terminal.type('a\nb\n\x04');
      const {code, screen} = await terminal.ended;
      expect(code).toBe(0);
      expect(screen).toContain('✓ Reset 2\r\n');
    });
  });
});

function withCommas(count: number): string {
  return count.toLocaleString('en-US');
}
