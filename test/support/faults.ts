import type {ChildProcess} from 'node:child_process';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type FakeServer, startServer} from './impostors/servers.js';
import {type Output, runBinary} from './program/run.js';
import {dumpKeyspace} from './redis/keyspace.js';
import {startRedis, type TestRedis} from './redis/redis-server.js';

/** One command of each kind. */
const COMMANDS = {
  read: ['get-budget', 'a'],
  write: ['set-budget', 'a', '5'],
  batch: ['reset-session', '--all', '--yes'],
  listing: ['list-sessions', '--format', 'csv'],
  health: ['health'],
};
export type Kind = keyof typeof COMMANDS;
const KINDS = Object.keys(COMMANDS) as Kind[];

const CREDENTIALS = 'operator:S3cret%2Fpa55@';
/** Parts of every password in use. None may appear. */
const SECRETS = ['S3cret', 'pa55'];

/** For the `args` of a server: the URLs' user, with these rights. */
export function operator(...rights: string[]): string[] {
  return ['--user', 'operator', 'on', '>S3cret/pa55', ...rights];
}

/** The keys in Redis before each command. */
export const KEYS = {'session:a:budget': '20', 'session:a:spent': '7.5E-7', 'session:b:budget': '3'};

/** What a command should print: an error, or other output when it succeeds. */
export type Expected =
  {stderr: string[]; isChanged?: boolean} | {stdout: string[]; stderr?: string[]; isChanged?: boolean};

/** A broken Redis, or a substitute for one. */
export interface Broken {
  /** Without credentials. */
  url: string;
  argv?: string[];
  env?: Record<string, string>;
  /** Other texts in the output that stand for an address. */
  names?: Record<string, string>;
  /** Returns its contents. */
  look?: () => Promise<unknown>;
  stop: () => Promise<unknown>;
}

export interface Fault {
  name: string;
  start: (kind: Kind) => Promise<Broken>;
  /** For `--timeout`; long where nothing should have to be waited for. */
  timeout?: number;
  /** Starts a server for each command, since one command changes what the next one finds. */
  isFresh?: boolean;
  /** Replace the right ones in the URL. */
  credentials?: string;
  expected: Expected | Record<Kind, Expected>;
}

/** Added to the time limits: starting Node.js takes time on a busy machine. */
const GRACE_MS = 15_000;

/** Runs a command of each kind against each fault. TOKENGATE_FAULT_TABLE=1 prints how long each took. */
export function testFaults(title: string, faults: readonly Fault[]): void {
  const rows = new Map(faults.map(({name}) => [name, new Map<Kind, number>()]));
  describe.concurrent(title, () => {
    describe.each(faults.map((fault) => [fault.name, fault] as const))('%s', (name, fault) => {
      let shared: Broken | undefined;
      beforeAll(async () => {
        if (!fault.isFresh) shared = await fault.start('read');
      });
      afterAll(() => shared?.stop());

      test.each(KINDS)('%s', async (kind) => {
        const servers = shared === undefined ? [fault.start(kind), fault.start(kind)] : [shared, shared];
        const [seconds] = await Promise.all([
          using(servers[0], fault, (broken) => expectFailure(kind, fault, broken)),
          using(servers[1], fault, (broken) => expectSilence(kind, fault, broken)),
        ]);
        rows.get(name)?.set(kind, seconds);
      });
    });
  });
  afterAll(() => {
    if (process.env['TOKENGATE_FAULT_TABLE'] !== '1') return;
    const lines = [`| ${title} | ${KINDS.join(' | ')} |`, `| --- |${' --- |'.repeat(KINDS.length)}`];
    for (const [name, times] of rows) {
      const cells = KINDS.map((kind) => (times.has(kind) ? `${times.get(kind)?.toFixed(1)} s` : 'FAILED'));
      lines.push(`| ${name} | ${cells.join(' | ')} |`);
    }
    process.stdout.write(`\n${lines.join('\n')}\n`);
  });
}

async function using<T>(
  server: Broken | Promise<Broken> | undefined,
  {isFresh = false}: Fault,
  run: (broken: Broken) => Promise<T>,
): Promise<T> {
  const broken = await server;
  if (broken === undefined) throw new Error('no server');
  try {
    return await run(broken);
  } finally {
    if (isFresh) await broken.stop();
  }
}

/** Expects the exact output, exit code and keys; resolves with the seconds that the command took. */
async function expectFailure(kind: Kind, fault: Fault, broken: Broken): Promise<number> {
  const before = await broken.look?.();
  const {seconds, ...output} = await run(kind, fault, broken);
  const expected = expectedOf(kind, fault);
  const lines = (list: string[] = []): string => list.map((line) => `${line}\n`).join('');
  const {protocol, host, pathname} = new URL(broken.url);
  const address = protocol === 'unix:' ? pathname : host;
  const neutral = (text: string): string =>
    Object.entries({[address]: 'ADDRESS', ...broken.names})
      .reduce((some, [there, name]) => some.replaceAll(there, name), text)
      .replaceAll(/\bchange [0-9a-z]{10}\b/g, 'change CHANGE')
      .replace(/^Version: \d+\.\d+\.\d+$/m, 'Version: VERSION')
      .replace(/^Latency: \d+\.\d ms$/m, 'Latency: LATENCY');
  expect({...output, stdout: neutral(output.stdout), stderr: neutral(output.stderr)}).toEqual({
    code: 'stdout' in expected && !isError(expected) ? 0 : 1,
    stdout: 'stdout' in expected ? lines(expected.stdout) : '',
    stderr: lines(expected.stderr),
  });
  if (!expected.isChanged) expect(await broken.look?.()).toEqual(before);
  return seconds;
}

/** Expects no password in the output, at any verbosity. */
async function expectSilence(kind: Kind, fault: Fault, broken: Broken): Promise<void> {
  const expected = expectedOf(kind, fault);
  const env = {...broken.env, DEBUG: '*', TOKENGATE_DEBUG: '1'};
  const {code, stdout, stderr} = await run(kind, fault, {...broken, env});
  expect(code).toBe('stdout' in expected && !isError(expected) ? 0 : 1);
  for (const secret of SECRETS) {
    expect(stdout).not.toContain(secret);
    expect(stderr).not.toContain(secret);
  }
}

async function run(kind: Kind, fault: Fault, broken: Broken): Promise<Output & {seconds: number}> {
  const {credentials = CREDENTIALS, timeout = 30} = fault;
  const argv = [...COMMANDS[kind], '--timeout', String(timeout), ...(broken.argv ?? [])];
  let child: ChildProcess | undefined;
  let limit: NodeJS.Timeout | undefined;
  const start = performance.now();
  try {
    const output = await runBinary(argv, {
      url: broken.url.replace('://', `://${credentials}`),
      env: broken.env ?? {},
      detached: true,
      onStart: (started) => {
        child = started;
        limit = setTimeout(() => started.kill('SIGKILL'), 2 * timeout * 1000 + GRACE_MS);
      },
    });
    // Nothing is left in its process group.
    expect(() => process.kill(-(child?.pid ?? 0), 0)).toThrow('ESRCH');
    return {...output, seconds: (performance.now() - start) / 1000};
  } finally {
    clearTimeout(limit);
  }
}

function expectedOf(kind: Kind, {expected}: Fault): Expected {
  return 'read' in expected ? expected[kind] : expected;
}

function isError({stderr = []}: Expected): boolean {
  return stderr.some((line) => line.startsWith('Error:'));
}

/** What a command prints when nothing is wrong. */
export const FINE: Record<Kind, Expected> = {
  read: {
    stdout: [...['Session: a', 'Budget:    $20.0000', 'Spent:     $0.0000', 'Remaining: $20.0000', 'Used:      0.0%']],
  },
  write: {stdout: ["✓ Budget set for 'a': $5.00", 'Previous budget: $20.00'], isChanged: true},
  batch: {
    stdout: ["Session 'a' reset: budget $20.00, spent $0.00000075", "Session 'b' reset: budget $3.00", '✓ Reset 2'],
    isChanged: true,
  },
  listing: {
    stdout: [
      'session_id,budget,spent,remaining,percentage_used',
      'a,20,0.00000075,19.99999925,0.00000375',
      'b,3,0,3,0',
    ],
  },
  health: {
    stdout: [
      '✓ Redis connection healthy',
      'Address: ADDRESS',
      'Version: VERSION',
      'Role:    primary',
      'Latency: LATENCY',
    ],
  },
};

/** The same for each kind of command, except for some. */
export function each(expected: Expected, others: Partial<Record<Kind, Expected>>): Record<Kind, Expected> {
  return {...Object.fromEntries(KINDS.map((kind) => [kind, expected])), ...others} as Record<Kind, Expected>;
}

export function failure(message: string, ...hint: string[]): Expected {
  return {stderr: [`Error: ${message}`, ...hint]};
}

/** What a batch reports when Redis refused every session for the same reason. */
export function bothFailed(reason: string, hint: string): Expected {
  return {
    stderr: [`Error: Session 'a': ${reason}`, `Error: Session 'b': ${reason}`, 'Error: Reset 0, failed 2.', hint],
  };
}

interface Options {
  args?: string[];
  /** Of the user `default`, as whom the test itself connects. */
  password?: string;
  /** The rights of the URL's user. */
  rights?: string[];
  spoil?: (redis: TestRedis) => Promise<unknown>;
  /** Removes the fault's effect on the test's own view of Redis. */
  mend?: (redis: TestRedis) => Promise<unknown>;
}

/** A real server with sessions, which is then broken. */
export async function breakRedis(options: Options = {}): Promise<Broken & {redis: TestRedis}> {
  const {args = [], password, rights = ['~*', '&*', '+@all'], spoil, mend} = options;
  const redis = await startRedis({
    tcp: true,
    args: [...operator(...rights), ...args],
    ...(password === undefined ? {} : {password}),
  });
  try {
    await redis.client.mSet(KEYS);
    const before = await dumpKeyspace(redis);
    await spoil?.(redis);
    const {url} = redis;
    const stop = (): Promise<void> => redis.stop();
    if (mend === undefined) return {redis, url, look: () => dumpKeyspace(redis), stop};
    const stopMended = async (): Promise<void> => {
      try {
        await mend(redis);
        expect(await dumpKeyspace(redis)).toEqual(before);
      } finally {
        await redis.stop();
      }
    };
    return {redis, url, stop: stopMended};
  } catch (error) {
    await redis.stop();
    throw error;
  }
}

/** A server that is not a Redis. */
export function fake(onConnection: Parameters<typeof startServer>[0]): () => Promise<FakeServer> {
  return () => startServer(onConnection);
}
