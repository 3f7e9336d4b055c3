import {type ChildProcess, spawn} from 'node:child_process';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {isAsleep} from '../../support/program/processes.js';
import {BIN, NODE, userEnv} from '../../support/program/run.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';
import {until} from '../../support/until.js';

const SESSIONS = 20_000;
const SEED = `for i = 1, ${SESSIONS} do redis.call('SET', 'session:s' .. i .. ':budget', '5') end`;

let redis: TestRedis;
let child: ChildProcess | undefined;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.sendCommand(['EVAL', SEED, '0']);
});
afterEach(() => child?.kill('SIGKILL'));
afterAll(() => redis.stop());

/** Runs the built program with pipes, of which those that are named are not read. */
function start(argv: string[], unread: readonly ('stdout' | 'stderr')[], input = '') {
  const running = spawn(NODE, [BIN, ...argv], {env: userEnv(redis), stdio: 'pipe'});
  child = running;
  const text = {stdout: '', stderr: ''};
  const read = (name: 'stdout' | 'stderr'): void => {
    running[name].setEncoding('utf8').on('data', (piece: string) => (text[name] += piece));
  };
  for (const name of ['stdout', 'stderr'] as const) if (!unread.includes(name)) read(name);
  running.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => running.once('exit', resolve));
  return {child: running, text, read, ended};
}

const left = async (): Promise<number> => Number(await redis.client.sendCommand(['EVAL', LEFT, '0']));
const LEFT = `return #redis.call('KEYS', 'session:*:budget')`;

/** Resolves when a count stays as it is while the command sleeps: on a busy machine it may only have no turn. */
async function untilAtRest({child}: ReturnType<typeof start>, count: () => Promise<number>): Promise<void> {
  let [before, same] = [NaN, 0];
  await until(async () => {
    const now = await count();
    same = now === before && isAsleep(child.pid!) ? same + 1 : 0;
    before = now;
    return same > 20;
  });
}

const commands = async (): Promise<number> =>
  Number(/total_commands_processed:(\d+)/.exec(await redis.client.info('stats'))?.[1]);

/** Resolves when the command waits for the reader of its stdout: Redis is asked nothing but this. */
async function untilFull(running: ReturnType<typeof start>): Promise<void> {
  let own = 0;
  await untilAtRest(running, async () => {
    const others = (await commands()) - ++own;
    return running.child.stdout.readableLength > 0 ? others : NaN;
  });
}

/** The same of a batch that has done some. Resolves with the number of sessions that are left. */
async function untilPaused(running: ReturnType<typeof start>): Promise<number> {
  await untilFull(running);
  const undone = await left();
  expect(undone).toBeLessThan(SESSIONS);
  return undone;
}

/** Ends it, and gives how long that took, in seconds. */
async function end(running: ReturnType<typeof start>, signal: NodeJS.Signals): Promise<[number | null, number]> {
  const at = performance.now();
  running.child.kill(signal);
  const code = await running.ended;
  return [code, (performance.now() - at) / 1000];
}

/** On a machine that is busy. */
const SOON = 20;

describe('a reader that does not read', () => {
  test.each([
    ['SIGTERM', 143, ['--json']],
    ['SIGINT', 130, ['--format', 'ndjson']],
    ['SIGHUP', 129, ['--json']],
  ] as const)('pauses a batch, which %s ends', async (signal, code, format) => {
    const running = start(['reset-session', '--all', '--yes', ...format], ['stdout']);
    const undone = await untilPaused(running);
    expect(undone).toBeGreaterThan(0);
    const [ended, seconds] = await end(running, signal);
    expect(ended).toBe(code);
    expect(seconds).toBeLessThan(SOON);
    expect(await left()).toBe(undone);
    const words = running.text.stderr.replaceAll(',', '');
    expect(words).toContain('Nobody reads the output.');
    expect(words).toContain(`Reset ${SESSIONS - undone} not done ${undone}`);
    expect(words).not.toContain('nknown');
    const newest = JSON.stringify(await redis.client.xRevRange('tokengate:journal', '+', '-', {COUNT: 1}));
    const [, change = 'none'] = /Recorded as change (\w{10})\./.exec(words) ?? [];
    expect(newest).toContain(change);
  });

  test.each([
    ['SIGHUP', 129],
    ['SIGTERM', 143],
  ] as const)('one that reads gets the whole document of a batch that %s ends', async (signal, code) => {
    const running = start(['reset-session', '--all', '--yes', '--json'], []);
    await until(() => Promise.resolve(running.text.stdout.includes('session_id')));
    running.child.kill(signal);
    const closed = new Promise((resolve) => running.child.once('close', resolve));
    expect(await running.ended).toBe(code);
    await closed;
    const {summary} = JSON.parse(running.text.stdout) as {summary: Record<string, number>};
    expect(summary).toMatchObject({not_done: await left(), unknown: 0});
    expect(summary['reset']).toBe(SESSIONS - (await left()));
  });

  test('and a Redis that has stopped: an interrupt says that nothing was looked at again', async () => {
    await redis.client.sendCommand(['EVAL', SEED.replace(':budget', ':spent'), '0']);
    const running = start(['reset-session', '--all', '--yes', '--json', '--timeout', '60'], ['stdout']);
    await untilPaused(running);
    redis.process.kill('SIGSTOP');
    try {
      const [code, seconds] = await end(running, 'SIGTERM');
      expect(code).toBe(143);
      expect(seconds).toBeLessThan(SOON);
      expect(running.text.stderr).toContain(
        'Warning: The second look, for a request that was under way, failed: Interrupted.',
      );
    } finally {
      redis.process.kill('SIGCONT');
    }
  });

  test('pauses undo-change, which an interrupt ends', async () => {
    const reset = start(['reset-session', '--all', '--yes', '--quiet'], []);
    expect(await reset.ended).toBe(0);
    expect(await left()).toBe(0);
    const running = start(['undo-change', '--last', '--yes', '--json'], ['stdout']);
    await untilFull(running);
    expect(await left()).toBeGreaterThan(0);
    const [code, seconds] = await end(running, 'SIGTERM');
    expect(code).toBe(143);
    expect(seconds).toBeLessThan(SOON);
    const words = running.text.stderr.replaceAll(',', '');
    expect(words).toContain(`Undone ${await left()} not done`);
    expect(words).not.toContain('nknown');
  });

  test('that reads on gets all of it', async () => {
    const running = start(['reset-session', '--all', '--yes', '--json'], ['stdout']);
    await untilPaused(running);
    running.read('stdout');
    expect(await running.ended).toBe(0);
    expect(await left()).toBe(0);
    expect(JSON.parse(running.text.stdout)).toMatchObject({summary: {reset: SESSIONS, unknown: 0, not_done: 0}});
  });

  test('of stderr does not keep an interrupt from ending a batch', async () => {
    // Each that is not found is a line on stderr.
    const ids = Array.from({length: SESSIONS}, (_, index) => `none-${'x'.repeat(100)}-${index}\n`).join('');
    const running = start(['freeze-session', '--yes', '--stdin'], ['stderr'], ids);
    await until(() => Promise.resolve(running.child.stderr.readableLength > 0));
    const [code, seconds] = await end(running, 'SIGTERM');
    expect(code).toBe(143);
    expect(seconds).toBeLessThan(SOON);
  });

  test('of watch-sessions does not keep an interrupt from ending it', async () => {
    const running = start(['watch-sessions', '--format', 'ndjson', '--interval', '1s'], ['stdout']);
    await until(() => Promise.resolve(running.child.stdout.readableLength > 0));
    const [code, seconds] = await end(running, 'SIGTERM');
    expect(code).toBe(143);
    expect(seconds).toBeLessThan(SOON);
  });

  test('of check-sessions leaves the crossings to the next check', async () => {
    await redis.client.sendCommand(['EVAL', SEED.replace(':budget', ':spent'), '0']);
    const running = start(['check-sessions', '--new-only', '--json', '--match', 's1???'], ['stdout']);
    await until(() => Promise.resolve(running.child.stdout.readableLength > 0));
    const [code, seconds] = await end(running, 'SIGTERM');
    expect(code).toBe(143);
    expect(seconds).toBeLessThan(SOON);
    expect(await redis.client.keys('tokengate:*')).toEqual([]);
  });
});

describe('a server that closes a connection on which nothing is said', () => {
  const ours = async (): Promise<number> =>
    (await redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;
  const closeOurs = async (): Promise<void> => {
    await redis.client.sendCommand(['CLIENT', 'KILL', 'SKIPME', 'yes']);
    await until(async () => (await ours()) === 1);
  };
  test.each([
    ['list-sessions', ['list-sessions', '--format', 'ndjson'], SESSIONS],
    ['check-store', ['check-store', '--format', 'ndjson'], SESSIONS],
  ])('does not shorten %s', async (name, argv, count) => {
    if (name === 'check-store') await redis.client.sendCommand(['EVAL', SEED.replace("'5'", "'five'"), '0']);
    const running = start(argv, ['stdout']);
    await untilFull(running);
    await closeOurs();
    running.read('stdout');
    expect(await running.ended).toBe(name === 'check-store' ? 2 : 0);
    expect(running.text.stderr).toBe('');
    expect(new Set(running.text.stdout.trimEnd().split('\n')).size).toBe(count);
  });

  test('does not end a batch, nor leave anything unknown', async () => {
    const running = start(['reset-session', '--all', '--yes', '--json', '--quiet'], ['stdout']);
    await untilPaused(running);
    await closeOurs();
    running.read('stdout');
    expect(await running.ended).toBe(0);
    expect(JSON.parse(running.text.stdout)).toMatchObject({summary: {reset: SESSIONS, unknown: 0, not_done: 0}});
  });
});
