import {afterAll, beforeAll, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const SESSIONS = 10_000;
/** IDs of any kind, amounts of any kind, a few freezes. */
const SEED = `
for i = 1, ${SESSIONS} do
  local id = 'team:' .. i % 7 .. ' job ' .. i .. (i % 100 == 0 and 'ü' or '')
  redis.call('SET', 'session:' .. id .. ':budget', i % 3 == 0 and '1e+3' or i .. '.50')
  if i % 2 == 0 then redis.call('SET', 'session:' .. id .. ':spent', '0.0' .. i) end
end`;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.sendCommand(['EVAL', SEED, '0']);
});
afterAll(() => redis.stop());

test('a batch reset of 10,000 sessions is undone by one command', async () => {
  const before = await dumpKeyspace(redis);
  expect(await runBinary(['reset-session', '--all', '--yes', '--quiet'], redis)).toMatchObject({
    code: 0,
    stdout: '✓ Reset 10,000\n',
  });
  expect(await dumpKeyspace(redis)).toEqual({});
  expect(await runBinary(['undo-change', '--last', '--yes', '--quiet'], redis)).toEqual({
    code: 0,
    stdout: '✓ Undone 10,000\n',
    stderr: '',
  });
  expect(await dumpKeyspace(redis)).toEqual(before);
});

test('a terminal is told how to undo, and the question says what would be undone', async () => {
  await redis.client.set('session:one:budget', '5');
  const options = {url: redis.url, columns: 200, env: {NO_COLOR: '1', TOKENGATE_ACTOR: 'alice'}};
  const reset = openTerminal(['reset-session', 'one', '--yes'], options);
  const {screen} = await reset.ended;
  const [, id = ''] = /Undo: tokengate undo-change ([0-9a-z]{10})/.exec(screen) ?? [];
  expect(id).not.toBe('');
  const undo = openTerminal(['undo-change', id], options);
  await undo.shows(
    `Undo reset-session (change ${id} by alice), of 1 session on ${redis.url.slice('unix://'.length)} db 0`,
  );
  undo.type('y\r');
  expect(await undo.ended).toMatchObject({code: 0});
  expect(await redis.client.get('session:one:budget')).toBe('5');
});

test('a terminal is told how to undo the undoing of several changes, of each that undid something', async () => {
  const own = await startRedis();
  try {
    const options = {url: own.url, columns: 200, env: {NO_COLOR: '1'}};
    const run = async (...argv: string[]): Promise<string[]> => {
      const {screen} = await openTerminal([...argv, '--yes'], options).ended;
      return /Undo: tokengate undo-change ([0-9a-z ]+)/.exec(screen)?.[1]?.split(' ') ?? [];
    };
    const ids: string[] = [];
    for (const id of ['a', 'b', 'c']) {
      await own.client.set(`session:${id}:budget`, '5');
      ids.push(...(await run('reset-session', id)));
    }
    expect(ids).toHaveLength(3);
    await own.client.set('session:b:budget', '6'); // So that its undoing is refused.
    const undoings = await run('undo-change', ...ids);
    expect(undoings).toHaveLength(2);
    expect(await own.client.dbSize()).toBe(4);
    await run('undo-change', ...undoings);
    expect(await own.client.keys('session:*')).toEqual(['session:b:budget']);
  } finally {
    await own.stop();
  }
});

test('a terminal that is too narrow for the table shows each change in a few lines', async () => {
  const own = await startRedis();
  try {
    const env = {NO_COLOR: '1', TOKENGATE_ACTOR: 'alice'};
    await runBinary(['set-budget', 'one', '5', '--note', 'more'], {url: own.url, env});
    await runBinary(['reset-session', 'one', '--yes'], {url: own.url, env});
    const show = async (columns: number): Promise<string[]> => {
      const {screen} = await openTerminal(['list-changes'], {url: own.url, env, columns}).ended;
      return screen.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME').split('\r\n');
    };
    const id = expect.stringMatching(/^TIME UTC {2}[0-9a-z]{10} {2}alice {2}(set-budget|reset-session) {2}one$/);
    expect(await show(80)).toEqual([
      ...[id, '  budget $5.00 → none', ''],
      ...[id, '  budget none → $5.00', '  Note: more', '', ''],
    ]);
    // Where there is room for it, it is a table.
    for (const columns of [90, 110, 140]) {
      const lines = await show(columns);
      expect(lines[0]).toMatch(/^╔═+╦/);
      expect(Math.max(...lines.map(({length}) => length))).toBeLessThanOrEqual(columns);
    }
  } finally {
    await own.stop();
  }
});
