import {constants} from 'node:fs';
import {type FileHandle, open, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import type {Output} from '../../support/program/run.js';
import {makeShell, type Shell} from '../../support/program/shell.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

let redis: TestRedis;
let shell: Shell;
beforeAll(async () => {
  redis = await startRedis();
  shell = await makeShell();
});
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.mSet({'session:dev-team:budget': '45.00', 'session:a "b"\n:budget': '7.5E-7'});
});
afterAll(async () => {
  await redis.stop();
  await shell.remove();
});

const run = (script: string): Promise<Output> => shell.run(script, {url: redis.url});

test('what one process exports another applies, and nothing changes', async () => {
  const before = await dumpKeyspace(redis);
  for (const format of ['yaml', 'json']) {
    const script = `tokengate export-budgets --format ${format} | tokengate apply-budgets -f - --yes`;
    expect(await run(script)).toEqual({code: 0, stdout: '✓ Changed 0, unchanged 2\n', stderr: ''});
  }
  expect(await dumpKeyspace(redis)).toEqual(before);
});

test('an edit is a difference until it is applied, and again once that is undone', async () => {
  await run('tokengate export-budgets --out budgets.yaml');
  const file = join(shell.folder, 'budgets.yaml');
  await writeFile(file, `${(await readFile(file, 'utf8')).replace('budget: 45', 'budget: 50')}  bot: {budget: 5}\n`);
  const edit = await run('tokengate diff-budgets -f budgets.yaml');
  expect(edit).toEqual({
    code: 2,
    stdout: '+ bot: budget $5.00\n~ dev-team: budget $45.00 → $50.00\n2 to change, 1 as it should be\n',
    stderr: '',
  });
  expect(await run('tokengate apply-budgets -f budgets.yaml --yes --quiet')).toMatchObject({code: 0});
  expect(await run('tokengate diff-budgets -f budgets.yaml')).toMatchObject({code: 0});
  expect(await run('tokengate undo-change --last --yes --quiet')).toMatchObject({code: 0});
  expect(await run('tokengate diff-budgets -f budgets.yaml')).toEqual(edit);
});

test('the question names the server and the count, and n changes nothing', async () => {
  const file = join(shell.folder, 'asked.yaml');
  await writeFile(file, "version: 1\nscope: ['*']\nsessions: {dev-team: {budget: 50}}\n");
  const before = await dumpKeyspace(redis);
  const terminal = openTerminal(['apply-budgets', '-f', file, '--unlisted', 'zero'], {
    ...redis,
    columns: 250,
    env: {NO_COLOR: '1'},
  });
  await terminal.shows('(y/N)');
  terminal.type('n\r');
  const {code, screen} = await terminal.ended;
  expect(code).toBe(1);
  expect(screen).toMatch(/Set the budget to 0 of 1 not listed and change 1 session, in all 2 sessions on \S+ db 0 \(/);
  expect(screen).toContain('Cancelled: nothing was changed.');
  expect(await dumpKeyspace(redis)).toEqual(before);
});

test('a named pipe is read once somebody writes to it, and Ctrl-C ends the waiting for that', async () => {
  const pipe = join(shell.folder, 'pipe');
  await run(`mkfifo ${pipe}`);
  const terminal = openTerminal(['diff-budgets', '-f', pipe], redis);
  // That can be written to only once it is read.
  let writer: FileHandle | undefined;
  const {O_WRONLY, O_NONBLOCK} = constants;
  await until(async () => (writer = await open(pipe, O_WRONLY | O_NONBLOCK).catch(() => undefined)) !== undefined);
  terminal.type('\u0003');
  expect(await terminal.ended).toMatchObject({code: 130});
  await writer?.close();
  const {code, stdout} = await run(
    `(printf 'version: 1\\n'; echo 'sessions: {dev-team: {budget: 50}}') > ${pipe} & tokengate diff-budgets -f ${pipe}`,
  );
  expect({code, stdout}).toEqual({
    code: 2,
    stdout: expect.stringContaining('~ dev-team: budget $45.00 → $50.00\n1 to change,') as string,
  });
});

test('a diff has colours on a terminal, but not with NO_COLOR, nor in a pipe', async () => {
  const file = join(shell.folder, 'colours.yaml');
  await writeFile(file, 'version: 1\nsessions:\n  dev-team: {budget: 50}\n  bot: {budget: 5}\n');
  const show = async (env: Record<string, string>): Promise<string> =>
    (await openTerminal(['diff-budgets', '-f', file], {...redis, env}).ended).screen;
  expect(await show({})).toContain('\u001b[33m~ dev-team: budget $45.00 → $50.00\u001b[39m');
  const {stdout} = await run('tokengate diff-budgets -f colours.yaml | cat');
  expect(stdout).not.toContain('\u001b');
  expect((await show({NO_COLOR: '1'})).replaceAll('\r\n', '\n')).toBe(stdout);
});
