import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, afterEach, beforeAll, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {openScreen, type Screen} from '../../support/program/screen.js';
import {loadSessions} from '../../support/program/shell.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
let folder: string;
let screen: Screen | undefined;
beforeAll(async () => {
  redis = await startRedis();
  folder = mkdtempSync(join(tmpdir(), 'tokengate-pager-'));
  const ids = Array.from({length: 60}, (_, index) => `team:${String(index).padStart(2, '0')}`);
  await loadSessions(redis, {...Object.fromEntries(ids.map((id) => [id, ['10', '1']])), odd: ['much']});
});
afterEach(() => {
  screen?.kill();
  screen = undefined;
});
afterAll(async () => {
  rmSync(folder, {recursive: true});
  await redis.stop();
});

/** A pager that keeps what it is given, shows its first line, and waits for a line from the keyboard. */
function makePager(name = 'pager'): {program: string; text: () => string} {
  const [program, kept] = [join(folder, name), join(folder, `${name}.txt`)];
  const lines = [
    '#!/bin/sh',
    `cat > '${kept}'`,
    `echo "PAGED LESS=$LESS"`,
    'trap "echo ENDED; exit 0" TERM',
    'trap : INT',
    'until read -r key < /dev/tty; do :; done',
  ];
  writeFileSync(program, `${lines.join('\n')}\n`);
  chmodSync(program, 0o755);
  return {program, text: () => readFileSync(kept, 'utf8')};
}

function list(argv: string[], env: Record<string, string>, rows = 20): Screen {
  screen = openScreen(argv, {url: redis.url, rows, columns: 100, env});
  return screen;
}

test('a list longer than the screen goes through $PAGER, whole, and warnings come after it', async () => {
  const {program, text} = makePager();
  const shown = list(['list-sessions'], {PAGER: program});
  await shown.shows('PAGED LESS=FRX');
  expect(text().match(/team:\d\d/g)).toHaveLength(60);
  expect(shown.output).not.toContain('Warning');
  shown.type('\n');
  expect((await shown.ended).code).toBe(0);
  expect(shown.output).toContain('Warning');
  expect(shown.output).not.toContain('team:30');
});

test.each([
  ['a list that fits', ['list-sessions', '--limit', '5'], (program: string) => program],
  ['--no-pager', ['list-sessions', '--no-pager'], (program: string) => program],
  ['an empty $PAGER', ['list-sessions'], () => ''],
  ['cat', ['list-sessions'], () => 'cat'],
] as const)('no pager for %s', async (_, argv, toPager) => {
  const shown = list([...argv], {PAGER: toPager(makePager().program)});
  expect((await shown.ended).code).toBe(0);
  expect(shown.output).toContain('team:03');
  expect(shown.output).not.toContain('PAGED');
});

test('a pager that is not there: the list, with a warning', async () => {
  const shown = list(['list-sessions'], {PAGER: join(folder, 'nothing')});
  expect((await shown.ended).code).toBe(0);
  expect(shown.output.match(/team:\d\d/g)).toHaveLength(60);
  expect(shown.output).toMatch(/Cannot start the pager '.*nothing'/);
});

test('a pager that ends before it has read all ends the list without an error', async () => {
  const shown = list(['list-sessions', '--format', 'ndjson'], {PAGER: 'head -n 2'});
  expect((await shown.ended).code).toBe(0);
  expect(shown.output).not.toContain('Error');
  expect(shown.output).toContain('team:00');
});

test('$PAGER may be a line for a shell', async () => {
  const piped = list(['list-sessions'], {PAGER: "sed 's/^/> /' | tail -n 3"});
  expect((await piped.ended).code).toBe(0);
  expect(piped.output).toMatch(/^> .*team:59/m);
});

test('Ctrl-C is the pager’s, which keeps the terminal; a signal to tokengate ends both', async () => {
  const {program} = makePager();
  const shown = list(['list-sessions'], {PAGER: program});
  await shown.shows('PAGED');
  shown.signal('SIGINT');
  shown.type('\n');
  expect(await shown.ended).toMatchObject({code: 130, modes: 'echo icanon'});
  const ended = list(['list-sessions'], {PAGER: program});
  await ended.shows('PAGED');
  ended.signal('SIGTERM');
  expect((await ended.ended).code).toBe(143);
  expect(ended.output).toContain('ENDED');
});

test('in the background of the terminal nothing is paged: a pager would be stopped for ever', async () => {
  const {program} = makePager('background');
  const {code, screen: shown} = await openTerminal(['list-sessions'], {
    url: redis.url,
    env: {PAGER: program},
    line: (words) => `timeout 20 ${words}`,
  }).ended;
  expect(code).toBe(0);
  expect(shown.match(/team:\d\d/g)).toHaveLength(60);
  expect(shown).not.toContain('PAGED');
});
