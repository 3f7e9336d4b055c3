import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

const [CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH] = ['\x03', '\x04', '\x1a', '\x1c'];
const FUTURE = '2099-01-01T00:00:00';
const YES = 'y\r';

const BY_NAME = {prompt: 'To confirm, type prod:', yes: 'prod\r'};

/** Every question that there is but that of the live view, and what was done after a yes, or after the store's name. */
const QUESTIONS: [name: string, argv: string[], done: string, asks?: typeof BY_NAME][] = [
  ['reset-session', ['reset-session', 'a'], "Session 'a' reset"],
  ['reset-session of many', ['reset-session', '--all'], 'Reset 1'],
  ['freeze-session', ['freeze-session', '--all'], 'Frozen 1'],
  ['unfreeze-session', ['unfreeze-session', 'b', 'c'], 'Unfrozen 2'],
  ['undo-change', ['undo-change', '--last'], 'Undone 1'],
  ['check-store', ['check-store', '--fix'], 'fixed 1'],
  ['set-budget on a protected store', ['set-budget', 'a', '5'], 'Budget set', BY_NAME],
  ['reset-session on a protected store', ['reset-session', 'a'], "Session 'a' reset", BY_NAME],
  ['a batch on a protected store', ['reset-session', '--all', '--yes'], 'Reset 1', BY_NAME],
  ['undo-change on a protected store', ['undo-change', '--last'], 'Undone 1', BY_NAME],
  ['check-store on a protected store', ['check-store', '--fix', '--yes'], 'fixed 1', BY_NAME],
  ['protect-store', ['protect-store', '--remove'], 'no longer protected', BY_NAME],
];

let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-questions-'));
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

async function fill(): Promise<void> {
  await redis.client.flushDb();
  const {code} = await runBinary(['set-budget', 'a', '20'], redis);
  expect(code).toBe(0);
  await redis.client.set('anomaly:b:frozen_until', FUTURE, {EX: 1000});
  await redis.client.set('anomaly:c:frozen_until', FUTURE, {EX: 1000});
  // What has no end is a finding with one right answer.
  await redis.client.set('anomaly:d:requests:1min', '3');
}

describe.each(QUESTIONS)('the question of %s', (_, argv, done, asks) => {
  const {prompt, yes} = asks ?? {prompt: '(y/N)', yes: YES};
  let before: unknown;
  const prepare = async (): Promise<void> => {
    await fill();
    if (asks !== undefined) await redis.client.set('tokengate:store', 'prod');
    before = await dumpKeyspace(redis);
  };

  describe.concurrent('changes nothing:', () => {
    beforeAll(prepare);

    test.each([
      ['the end of the input', CTRL_D, 1, 'Error: No answer: nothing was changed.'],
      ['Ctrl-C', CTRL_C, 130, 'Error: Interrupted: nothing was changed.'],
      [String.raw`Ctrl-\ `, CTRL_BACKSLASH, 131, 'Error: Interrupted: nothing was changed.'],
    ])('it is not answered by %s', async (__, key, code, message) => {
      const terminal = openTerminal(argv, {...redis, env: {NO_COLOR: '1'}});
      await terminal.shows(prompt);
      terminal.type(key);
      const end = await terminal.ended;
      expect(end).toEqual({code, screen: expect.stringContaining(message)});
      expect(await dumpKeyspace(redis)).toEqual(before);
    });

    test('it is not answered by what was typed before it', async () => {
      const terminal = openTerminal(argv, redis);
      terminal.type(`${yes}y`);
      await terminal.shows(prompt);
      terminal.type('\r');
      expect(await terminal.ended).toMatchObject({code: 1, screen: expect.stringContaining('Cancelled')});
      expect(await dumpKeyspace(redis)).toEqual(before);
    });

    test('it ends with its terminal', async () => {
      const file = join(folder, 'code');
      const terminal = openTerminal(argv, {
        ...redis,
        // A shell that outlives the terminal, to tell of the end.
        line: (words) => `trap : HUP; ${words}; echo $? > '${file}.new'; mv '${file}.new' '${file}'`,
      });
      await terminal.shows(prompt);
      terminal.hangUp();
      await until(() => Promise.resolve(existsSync(file)));
      expect(await readFile(file, 'utf8')).toBe('129\n');
      await rm(file);
      expect(await dumpKeyspace(redis)).toEqual(before);
    });
  });

  test('is asked again after Ctrl-Z and fg', async () => {
    await prepare();
    const terminal = openTerminal(argv, {
      ...redis,
      // A shell with job control.
      line: (words) => `exec bash -c 'set -m; "$@"; fg; echo "code=$?"' bash ${words}`,
    });
    await terminal.shows(prompt);
    terminal.type(CTRL_Z);
    await terminal.until((screen) => screen.split(prompt).length === 3, 'it was asked again');
    terminal.type(yes);
    const {screen} = await terminal.ended;
    expect(screen).toContain(done);
    expect(screen).toContain('code=0');
  });
});

describe('the name of a protected store', () => {
  beforeAll(async () => {
    await fill();
    await redis.client.set('tokengate:store', 'prod');
  });

  test.concurrent.each(['stagin', 'Prod', 'y', 'yes', 'prod x'])('is not %s', async (typed) => {
    const before = await dumpKeyspace(redis);
    const terminal = openTerminal(['set-budget', 'a', '5'], redis);
    await terminal.shows('To confirm, type prod:');
    terminal.type(`${typed}\r`);
    const {code, screen} = await terminal.ended;
    expect({code, screen}).toEqual({
      code: 1,
      screen: expect.stringContaining(`'${typed}' is not the name of this server`),
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('is asked for with all that the answer depends on', async () => {
    const terminal = openTerminal(['freeze-session', '--all', '--yes'], {...redis, columns: 200});
    await terminal.shows(`? Freeze 1 session on prod (`);
    await terminal.shows(" db 0) ('a')? To confirm, type prod:");
    terminal.type('prod\r');
    expect(await terminal.ended).toEqual({code: 0, screen: expect.stringMatching(/Server: prod \(.*\)\r\nUndo: /)});
  });
});

describe('a question', () => {
  beforeAll(fill);

  test.concurrent.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGQUIT', 131],
  ] as const)('ends at %s', async (signal, code) => {
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows('(y/N)');
    terminal.signal(signal);
    expect(await terminal.ended).toEqual({code, screen: expect.stringContaining('nothing was changed')});
  });

  test('is asked again after what is no answer', async () => {
    const terminal = openTerminal(['reset-session', 'a'], redis);
    await terminal.shows('(y/N)');
    terminal.type('perhaps\r');
    await terminal.until((screen) => screen.split('(y/N)').length === 3, 'it was asked again');
    terminal.type(YES);
    expect((await terminal.ended).code).toBe(0);
  });
});

describe.concurrent('the live view', () => {
  beforeAll(fill);

  test.each([
    ['itself', '', 'Sessions'],
    ['a question of it', 'r', 'Reset '],
  ])('ends with its terminal, without a word: %s', async (_, keys, shown) => {
    const before = await dumpKeyspace(redis);
    const [code, errors] = [join(folder, `code${keys}`), join(folder, `errors${keys}`)];
    const terminal = openTerminal(['watch-sessions'], {
      ...redis,
      line: (words) => `trap : HUP; ${words} 2> '${errors}'; echo $? > '${code}.new'; mv '${code}.new' '${code}'`,
    });
    await terminal.shows('a');
    await terminal.shows('?1049h');
    terminal.type(keys);
    await terminal.shows(shown);
    terminal.hangUp();
    await until(() => Promise.resolve(existsSync(code)));
    expect(await readFile(code, 'utf8')).toBe('129\n');
    expect(await readFile(errors, 'utf8')).toBe('');
    expect(await dumpKeyspace(redis)).toEqual(before);
  });
});

describe('in the background of its terminal', () => {
  beforeAll(fill);
  /** `timeout` makes a process group of its own, which does not have the terminal. */
  const inBackground = (argv: string[], seconds: number) =>
    openTerminal(argv, {...redis, line: (words) => `timeout ${seconds} ${words}; echo "code=$?"; stty -a`});

  test.concurrent.each([['reset-session', 'a'], ['check-store', '--fix'], ['watch-sessions']])(
    '%s waits, is not stopped, and ends at a signal',
    async (...argv) => {
      const {screen} = await inBackground(argv, 2).ended;
      expect(screen).toContain('Waiting for the terminal, which another process has');
      expect(screen).toContain('code=124');
      expect(screen).toMatch(/ icanon /);
      expect(screen).not.toContain('\x1b[?1049h');
    },
  );

  test('a question is asked once the process has the terminal', async () => {
    const terminal = openTerminal(['reset-session', 'a'], {
      ...redis,
      line: (words) => `exec bash -c 'set -m; "$@" & read -r line; fg; echo "code=$?"' bash ${words}`,
    });
    await terminal.shows('Waiting for the terminal');
    terminal.type('\r');
    await terminal.shows('(y/N)');
    terminal.type(YES);
    expect((await terminal.ended).screen).toContain('code=0');
  });
});
