import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdtemp, readdir, readFile, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {type Output, userEnv} from '../support/program/run.js';
import {ROOT} from '../support/root.js';

/** Holds the demo's own folder, and so is in the command lines of its Redis and of its launcher. */
let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tokengate-'))));
afterEach(() => rm(folder, {recursive: true}));

describe('npm run demo', () => {
  test('shows each step of the main job, and leaves nothing behind', async () => {
    const {code, stdout, stderr} = await startDemo().ended;
    expect(stderr).toBe('');
    expect(stdout.split('\n').filter((line) => /^[$✓]/.test(line))).toEqual([
      '$ tokengate list-sessions',
      '$ tokengate get-budget trial',
      '$ tokengate set-budget trial 25.50',
      "✓ Budget set for 'trial': $25.50",
      '$ tokengate freeze-session bot-attack --reason "Unusual traffic pattern"',
      expect.stringMatching(/^✓ Session 'bot-attack' frozen until .* UTC$/),
      '$ tokengate anomaly-stats bot-attack',
      '$ tokengate unfreeze-session bot-attack',
      "✓ Session 'bot-attack' unfrozen",
      '$ tokengate explain-session bot-attack',
      '✓ The next request passes if it costs no more than $9.998125',
      '$ tokengate reset-session batch-job --yes',
      "✓ Session 'batch-job' reset",
      '$ tokengate undo-change --last --yes',
      '✓ Undone 1',
      '$ tokengate list-changes',
      '$ tokengate health',
      '✓ Redis connection healthy',
    ]);
    expect(stdout).toContain('team:alpha:nightly');
    expect(code).toBe(0);
    await expectNothingLeft();
  });

  test('stops at a step that fails, and leaves nothing behind', async () => {
    const demo = startDemo();
    await demo.shows('$ tokengate list-sessions');
    for (const pid of await redisProcesses()) process.kill(pid, 'SIGKILL');
    const {code, stderr} = await demo.ended;
    expect(stderr).toMatch(/^The demo failed\. .*/m);
    expect(code).toBe(1);
    await expectNothingLeft();
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('leaves nothing behind after %s', async (signal, expected) => {
    const demo = startDemo();
    await demo.shows('$ tokengate list-sessions');
    expect(await redisProcesses()).toHaveLength(1);
    demo.process.kill(signal);
    expect((await demo.ended).code).toBe(expected);
    await expectNothingLeft();
  });

  test('ends when nobody reads on, and leaves nothing behind', async () => {
    const demo = startDemo();
    await demo.shows('$ tokengate list-sessions');
    demo.process.stdout?.destroy();
    expect((await demo.ended).code).toBe(1);
    await expectNothingLeft();
  });

  test('--shell opens a shell that has tokengate and the data, until it ends', async () => {
    const demo = startDemo(['--shell'], {SHELL: '/bin/sh'});
    demo.process.stdin?.end('tokengate get-budget production\nfalse\n');
    const {code, stdout, stderr} = await demo.ended;
    expect(stderr).toBe('');
    expect(stdout).toContain('Budget:    $500.0000');
    expect(code).toBe(0);
    await expectNothingLeft();
  });

  test('without a Redis and a package manager says in one sentence what is missing', async () => {
    const {code, stdout, stderr} = await startDemo([], {PATH: folder}).ended;
    expect(stderr).toBe(
      'Not found: redis-server or valkey-server. Install what is missing so that it is on PATH, then try again.\n',
    );
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });

  test('takes valkey-server where there is no redis-server', async () => {
    for (const program of ['sh', 'node']) await symlink(await pathOf(program), join(folder, program));
    await symlink(await pathOf('redis-server'), join(folder, 'valkey-server'));
    const demo = startDemo(['--shell'], {SHELL: '/bin/sh', PATH: folder, TMPDIR: folder});
    demo.process.stdin?.end('tokengate health\n');
    const {code, stdout} = await demo.ended;
    expect(stdout).toContain('✓ Redis connection healthy');
    expect(code).toBe(0);
  });

  test('refuses what it does not know', async () => {
    expect(await startDemo(['--shel']).ended).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Usage: npm run demo [-- --shell]\n',
    });
  });
});

interface Demo {
  process: ChildProcess;
  /** Resolves when this was printed. */
  shows(text: string): Promise<void>;
  ended: Promise<Output>;
}

function startDemo(argv: string[] = [], env: Record<string, string> = {}): Demo {
  const demo = spawn(process.execPath, [join(ROOT, 'scripts/demo/demo.mjs'), ...argv], {
    env: userEnv({env: {TMPDIR: folder, ...env}}),
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  const shown = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (stdout.includes(text)) resolve();
      };
      demo.stdout.on('data', look);
      demo.once('close', () => {
        reject(new Error(`ended without '${text}':\n${stdout}${stderr}`));
      });
      look();
    });
  demo.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  demo.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = new Promise<Output>((resolve, reject) => {
    demo.once('error', reject);
    demo.once('close', (code) => {
      resolve({code, stdout, stderr});
    });
  });
  return {process: demo, shows: shown, ended};
}

async function expectNothingLeft(): Promise<void> {
  expect(await processesWith(folder)).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
}

/** The demo's Redis. A command of the demo, whose launcher is in its folder too, may be starting meanwhile. */
async function redisProcesses(): Promise<number[]> {
  const [demos = ''] = await readdir(folder);
  return processesWith(join(folder, demos, 'redis.sock'));
}

async function processesWith(text: string): Promise<number[]> {
  const lines = existsSync('/proc/self/cmdline') ? await linesFromProc() : await linesFromPs();
  return lines.filter(([, line]) => line.includes(text)).map(([pid]) => pid);
}

async function linesFromProc(): Promise<[number, string][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = pids.map(async (pid): Promise<[number, string]> => {
    // A process may end between the two readings.
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return [Number(pid), line];
  });
  return Promise.all(lines);
}

async function linesFromPs(): Promise<[number, string][]> {
  const {stdout} = await promisify(execFile)('ps', ['-A', '-o', 'pid=,args=']);
  return stdout.split('\n').map((line) => [parseInt(line, 10), line]);
}

async function pathOf(program: string): Promise<string> {
  const {stdout} = await promisify(execFile)('sh', ['-c', `command -v ${program}`]);
  return stdout.trim();
}
