import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const ENTER = '\r';
const CTRL_C = '\x03';
const NO_TERMINAL = 'This needs a confirmation, and there is no terminal to ask on.';
const UNDO = /^Undo: tokengate undo-change [0-9a-z]{10}$/;
const ADD_YES = 'Add --yes to go ahead without a question.';

let redis: TestRedis;
let folder: string;
/** How the server is called. */
let server: string;
beforeAll(async () => {
  redis = await startRedis();
  server = redis.url.replace('unix://', '');
  folder = await mkdtemp(join(tmpdir(), 'tokengate-prompts-'));
});
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.mSet({'session:a:budget': '20', 'session:a:spent': '1.5'});
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

describe('reset-session on a terminal', () => {
  test.each(['y', 'yes', 'Y'])('asks, and resets after %s', async (answer) => {
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows(
      `? Session 'a' on ${server} db 0: budget $20.00, spent $1.50. ` +
        "Its next request gets the gateway's default budget. Reset it? (y/N) ",
    );
    terminal.type(answer + ENTER);
    const {code, screen} = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).toContain(" Session 'a' reset\r\nRemoved: budget $20.00, spent $1.50\r\n");
    expect(await dumpKeyspace(redis)).toEqual({});
  });

  test.each([
    ['n', 'n'],
    ['no', 'no'],
    ['just Enter', ''],
  ])('asks, and changes nothing after %s', async (_, answer) => {
    const before = await dumpKeyspace(redis);
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows('(y/N)');
    terminal.type(answer + ENTER);
    const {code, screen} = await terminal.ended;
    expect(code).toBe(1);
    expect(screen).toContain(' Cancelled: nothing was changed.\r\n');
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('ends with 130 after Ctrl-C, and changes nothing', async () => {
    const before = await dumpKeyspace(redis);
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows('(y/N)');
    terminal.type(CTRL_C);
    const {code, screen} = await terminal.ended;
    expect(code).toBe(130);
    expect(screen).toContain(' Interrupted: nothing was changed.\r\n');
    expect(screen).not.toMatch(/ {4}at |ExitPromptError/);
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test.each([[['reset-session', 'a', '--yes']], [['-y', 'reset-session', 'a']]])('asks nothing: %j', async (argv) => {
    const {code, screen} = await openTerminal(argv, {...redis, env: {NO_COLOR: '1'}}).ended;
    expect(code).toBe(0);
    expect(screen.split('\r\n')).toEqual([
      "✓ Session 'a' reset",
      'Removed: budget $20.00, spent $1.50',
      `Server: ${server} db 0`,
      expect.stringMatching(UNDO),
      '',
    ]);
  });

  test('offers no undoing of a reset that removed nothing', async () => {
    await redis.client.del('session:a:spent');
    const argv = ['reset-session', 'a', '--keep-budget', '--yes'];
    const {code, screen} = await openTerminal(argv, redis).ended;
    expect({code, screen}).toEqual({code: 0, screen: "Session 'a' unchanged: it has no spending\r\n"});
    expect(await dumpKeyspace(redis)).toEqual({'session:a:budget': expect.anything()});
  });

  test('asks nothing with --json, and refuses', async () => {
    const before = await dumpKeyspace(redis);
    const {code, screen} = await openTerminal(['reset-session', 'a', '--json'], redis).ended;
    expect(code).toBe(1);
    expect(JSON.parse(screen)).toEqual({error: {code: 'CONFIRMATION_REQUIRED', message: NO_TERMINAL, hint: ADD_YES}});
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('says what stays with --keep-budget', async () => {
    const terminal = openTerminal(['reset-session', 'a', '--keep-budget'], redis);
    await terminal.shows(
      `? Session 'a' on ${server} db 0: budget $20.00, spent $1.50. Its budget stays. Reset it? (y/N) `,
    );
    terminal.type(ENTER);
    expect((await terminal.ended).code).toBe(1);
  });

  test.each([
    ['a session that is not there', 'nobody', undefined, "Session 'nobody' not found."],
    [
      'Redis that is not there',
      'a',
      'redis://127.0.0.1:1',
      'Cannot connect to Redis at 127.0.0.1:1: connection refused (is Redis running?).',
    ],
  ])('asks nothing about %s', async (_, id, url, message) => {
    const {code, screen} = await openTerminal(['reset-session', id], {
      url: url ?? redis.url,
      env: {NO_COLOR: '1'},
    }).ended;
    expect(code).toBe(1);
    expect(screen).toMatch(`Error: ${message}\r\n`);
    expect(screen).not.toContain('(y/N)');
  });

  test('waits longer for an answer than for Redis', async () => {
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows('(y/N)');
    // Nothing is connected that could run into a time limit meanwhile.
    expect(await redis.client.sendCommand<string>(['CLIENT', 'LIST'])).toMatch(/^[^\n]*\n$/);
    terminal.type(`y${ENTER}`);
    expect((await terminal.ended).code).toBe(0);
  });

  test('asks on the terminal when stdout is a file, which gets only the answer', async () => {
    const file = join(folder, 'answer');
    const terminal = openTerminal(['reset-session', 'a'], {...redis, redirect: `> '${file}'`});
    await terminal.shows('(y/N)');
    terminal.type(`y${ENTER}`);
    const {code, screen} = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).not.toContain('Removed');
    expect(await readFile(file, 'utf8')).toBe("✓ Session 'a' reset\nRemoved: budget $20.00, spent $1.50\n");
  });

  test.each([
    ['stdin', '< /dev/null'],
    ['stderr', '2>&1 >/dev/null | cat'],
  ])('fails at once when %s is no terminal', async (_, redirect) => {
    const before = await dumpKeyspace(redis);
    const {screen} = await openTerminal(['reset-session', 'a'], {...redis, redirect, env: {NO_COLOR: '1'}}).ended;
    expect(screen).toBe(`Error: ${NO_TERMINAL}\r\n${ADD_YES}\r\n`);
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('shows an ID in the question without what could act on the terminal', async () => {
    const id = 'x\x1b]0;owned\x07\x1b[2J\u202ey\n';
    await redis.client.set(`session:${id}:budget`, '1');
    const terminal = openTerminal(['reset-session', id], redis);
    await terminal.shows(String.raw`? Session 'x\x1b]0;owned\x07\x1b[2J\u202ey\n' on `);
    terminal.type(`y${ENTER}`);
    const {code, screen} = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).toContain(String.raw` Session 'x\x1b]0;owned\x07\x1b[2J\u202ey\n' reset`);
    for (const harm of ['\x1b]0', '\x1b[2J', '\u202e', '\x07']) expect(screen).not.toContain(harm);
    expect(await redis.client.exists(`session:${id}:budget`)).toBe(0);
  });
});

describe('reset-session without a terminal', () => {
  test.each(['', 'y\n', 'yes\n'])('fails at once and names --yes; stdin is %j', async (input) => {
    const before = await dumpKeyspace(redis);
    expect(await runBinary(['reset-session', 'a'], {...redis, input})).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: ${NO_TERMINAL}\n${ADD_YES}\n`,
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('needs no connection to say so', async () => {
    expect(await runBinary(['reset-session', 'a', '--json'], {url: 'redis://127.0.0.1:1'})).toEqual({
      code: 1,
      stdout: '',
      stderr: `${JSON.stringify({error: {code: 'CONFIRMATION_REQUIRED', message: NO_TERMINAL, hint: ADD_YES}}, null, 2)}\n`,
    });
  });
});

describe('colour', () => {
  const GREEN_TICK = '\x1b[32m✓\x1b[39m';
  const RED_ERROR = '\x1b[31mError:\x1b[39m';
  const YELLOW_WARNING = '\x1b[33mWarning:\x1b[39m';
  test.each([
    ['is there on a terminal', {}, GREEN_TICK, YELLOW_WARNING, RED_ERROR],
    ['is there with an empty NO_COLOR', {NO_COLOR: ''}, GREEN_TICK, YELLOW_WARNING, RED_ERROR],
    ['is not there with NO_COLOR=1', {NO_COLOR: '1'}, '✓', 'Warning:', 'Error:'],
    ['is not there with FORCE_COLOR=0', {FORCE_COLOR: '0'}, '✓', 'Warning:', 'Error:'],
    ['is not there on a dumb terminal', {TERM: 'dumb'}, '✓', 'Warning:', 'Error:'],
  ])('%s', async (_, env, tick, warning, error) => {
    const {code, screen} = await openTerminal(['set-budget', 'b', '5'], {...redis, env: env}).ended;
    expect(code).toBe(0);
    expect(screen.split('\r\n')).toEqual([
      `${tick} Budget set for 'b': $5.00`,
      `Server: ${server} db 0`,
      expect.stringMatching(UNDO),
      `${warning} New session 'b'.`,
      '',
    ]);
    const failed = await openTerminal(['get-budget', 'c'], {...redis, env: env}).ended;
    expect(failed).toEqual({
      code: 1,
      screen:
        `${error} Session 'c' not found.\r\n` +
        'IDs are compared exactly. See them all with: tokengate list-sessions\r\n',
    });
  });

  test.each([
    ['is not there in a pipe', {}, '✓', 'Error:'],
    ['is there in a pipe with FORCE_COLOR=1', {FORCE_COLOR: '1'}, GREEN_TICK, RED_ERROR],
    ['is not there in a pipe with both: NO_COLOR wins', {FORCE_COLOR: '1', NO_COLOR: '1'}, '✓', 'Error:'],
  ])('%s', async (_, env, tick, error) => {
    const options = {...redis, env: env as Record<string, string>};
    expect((await runBinary(['set-budget', 'b', '5'], options)).stdout).toBe(`${tick} Budget set for 'b': $5.00\n`);
    expect((await runBinary(['get-budget', 'c'], options)).stderr).toMatch(`${error} Session 'c' not found.\n`);
  });

  test.each(['> /dev/null', '| cat > /dev/null'])(
    'of an error is there when stdout is not a terminal: %s',
    async (redirect) => {
      const {screen} = await openTerminal(['get-budget', 'c'], {...redis, redirect}).ended;
      expect(screen).toContain(RED_ERROR);
    },
  );

  test('is never in JSON', async () => {
    const {code, screen} = await openTerminal(['get-budget', 'a', '--json'], redis).ended;
    expect(code).toBe(0);
    expect(screen).not.toContain('\x1b');
    expect(JSON.parse(screen)).toMatchObject({session_id: 'a', budget: 20});
  });
});
