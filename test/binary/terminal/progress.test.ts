import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {makeShell} from '../../support/program/shell.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

const SESSIONS = 3000;
const SEED = `
for i = 1, ${SESSIONS} do redis.call('SET', string.format('session:s%04d:budget', i), '1') end
return redis.call('DBSIZE')`;
const BAR = /[=-]{30} \d+\/3000, \d+ a second, \d+ s left/;

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  expect(await redis.client.sendCommand(['EVAL', SEED, '0'])).toBe(SESSIONS);
});
afterAll(() => redis.stop());

const SERVER = /^Server: \S+ db 0$/;
const UNDO = /^Undo: tokengate undo-change [0-9a-z]{10}$/;

/** Holds back every write until the command has waited for one for longer than a second. */
async function makeSlow(): Promise<void> {
  await redis.client.sendCommand(['CLIENT', 'PAUSE', '60000', 'WRITE']);
}
async function untilBlocked(): Promise<void> {
  const reader = redis.client.duplicate();
  await reader.connect();
  try {
    // Idle counts whole seconds since the client sent what waits.
    await until(async () =>
      / age=\d+ idle=([2-9]|\d\d+) .* cmd=eval /m.test(await reader.sendCommand<string>(['CLIENT', 'LIST'])),
    );
    await reader.sendCommand(['CLIENT', 'UNPAUSE']);
  } finally {
    reader.destroy();
  }
}

test('a bar shows the count and the rate on a terminal, and is gone at the end', async () => {
  await makeSlow();
  const terminal = openTerminal(['reset-session', '--all', '--yes', '--max', '3000'], {...redis, env: {NO_COLOR: '1'}});
  await untilBlocked();
  const {code, screen} = await terminal.ended;
  expect(code).toBe(0);
  expect(screen).toMatch(BAR);
  // While a bar is drawn the terminal cuts off what is wider than it.
  for (const [, drawn] of screen.matchAll(/\[\?7l([^]*?)\[\?7h/g)) expect(drawn).not.toContain('Session');
  const lines = showScreen(screen);
  expect(lines.filter((line) => BAR.test(line))).toEqual([]);
  expect(lines).toHaveLength(SESSIONS + 3);
  expect(lines.slice(-3)).toEqual(['✓ Reset 3,000', expect.stringMatching(SERVER), expect.stringMatching(UNDO)]);
});

test('the bar is on stderr alone', async () => {
  const shell = await makeShell();
  try {
    await makeSlow();
    const output = `${shell.folder}/output`;
    const terminal = openTerminal(['reset-session', '--all', '--yes'], {...redis, redirect: `> ${output}`});
    await untilBlocked();
    const {code, screen} = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).toMatch(BAR);
    expect(showScreen(screen)).toEqual([expect.stringMatching(SERVER), expect.stringMatching(UNDO)]);
    const {stdout} = await shell.run(`cat ${output}`, {});
    expect(stdout.trimEnd().split('\n')).toHaveLength(SESSIONS + 1);
    expect(stdout).not.toContain('a second');
  } finally {
    await shell.remove();
  }
});

test.each([[['--json']], [['--quiet']]])('with %j there is none', async (flags) => {
  await makeSlow();
  const terminal = openTerminal(['reset-session', '--all', '--yes', ...flags], redis);
  await untilBlocked();
  const {code, screen} = await terminal.ended;
  expect(code).toBe(0);
  expect(screen).not.toContain('a second');
  expect(screen).not.toContain('\x1b[?25');
});

test('without a terminal it is a plain line now and then', async () => {
  await makeSlow();
  const run = runBinary(['reset-session', '--all', '--yes'], redis);
  await untilBlocked();
  const {code, stdout, stderr} = await run;
  expect(code).toBe(0);
  expect(stderr).toMatch(/^(\d+ of 3000, \d+ a second\n)+$/);
  expect(stdout.trimEnd().split('\n')).toHaveLength(SESSIONS + 1);
  expect(stdout).not.toContain('a second');
});

test('of what is over in a moment there is none', async () => {
  const {code, screen} = await openTerminal(['freeze-session', 's0001', 's0002', '--yes', '-q'], {
    ...redis,
    env: {NO_COLOR: '1'},
  }).ended;
  expect({code, screen}).toEqual({code: 0, screen: '✓ Frozen 2\r\n'});
});

/** The lines that are left on a screen of that many rows, and above it. */
function showScreen(text: string, rows = 30): string[] {
  const lines: string[] = [''];
  let [top, row, column] = [0, 0, 0];
  let saved = [0, 0];
  // eslint-disable-next-line no-control-regex -- that is what a terminal gets
  for (const [part, code] of text.matchAll(/\x1b(\[[?\d;]*[A-Za-z]|[78])|[^\x1b]/gu)) {
    const line = lines[top + row] ?? '';
    if (part === '\n' && row === rows - 1) top++;
    else if (part === '\n') row++;
    else if (part === '\r') column = 0;
    else if (code === '7') saved = [row, column];
    else if (code === '8') [row = 0, column = 0] = saved;
    else if (code?.endsWith('G')) column = Number(code.slice(1, -1) || '1') - 1;
    else if (code === '[2K') lines[top + row] = '';
    else if (code?.endsWith('K')) lines[top + row] = line.slice(0, column);
    else if (code === undefined) lines[top + row] = line.padEnd(column).slice(0, column++) + part + line.slice(column);
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== '');
}

/** What a terminal is told to do with its cursor, and its lines. */
// eslint-disable-next-line no-control-regex -- that is what a terminal gets
const modesIn = (screen: string): string[] => screen.match(/\x1b\[\?(?:25|7)[hl]/g) ?? [];

test(
  String.raw`Ctrl-\ at the bar ends the batch, and leaves the cursor and the modes of the terminal as they were`,
  async () => {
    await makeSlow();
    const terminal = openTerminal(['reset-session', '--all', '--yes'], {
      ...redis,
      line: (words) => `trap : QUIT; ${words}; echo "code=$?"; stty -a`,
    });
    await untilBlocked();
    await terminal.shows(' a second, ');
    terminal.type('\x1c');
    const {screen} = await terminal.ended;
    // On a machine that is fast it may be over before.
    expect(screen).toMatch(/code=(131|0)\r/);
    expect(modesIn(screen).filter((mode) => mode.endsWith('l'))).toEqual([]);
    expect(screen).toMatch(/ icanon .* echo /s);
  },
);

test('Ctrl-Z at the bar leaves them too, and fg goes on to the end', async () => {
  await makeSlow();
  const terminal = openTerminal(['reset-session', '--all', '--yes'], {
    ...redis,
    line: (words) => `exec bash -c 'set -m; "$@"; echo STOPPED; fg; echo "code=$?"; stty -a' bash ${words}`,
  });
  await untilBlocked();
  await terminal.shows(' a second, ');
  terminal.type('\x1a');
  const {screen} = await terminal.ended;
  expect(screen).toContain('code=0');
  expect(modesIn(screen).filter((mode) => mode.endsWith('l'))).toEqual([]);
  expect(screen).toMatch(/ icanon .* echo /s);
  expect(await redis.client.keys('session:*')).toEqual([]);
});

test('a terminal that is closed under the bar ends the batch, of which all is known', async () => {
  await makeSlow();
  const terminal = openTerminal(['reset-session', '--all', '--yes'], redis);
  await untilBlocked();
  terminal.hangUp();
  await terminal.ended;
  const left = async (): Promise<number> => (await redis.client.keys('session:*:budget')).length;
  let [before, same] = [-1, 0];
  await until(async () => {
    const now = await left();
    same = now === before ? same + 1 : 0;
    before = now;
    return same > 20 && !(await redis.client.sendCommand<string>(['CLIENT', 'LIST'])).includes('cmd=eval');
  });
  const entries = await redis.client.xLen('tokengate:journal');
  expect(entries > 0).toBe(before < SESSIONS);
});
