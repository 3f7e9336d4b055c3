import {type ChildProcess, spawn} from 'node:child_process';

import {Config} from '@oclif/core';
import {vi} from 'vitest';

import {ROOT} from '../root.js';

export const BIN = `${ROOT}bin/run.js`;

/** The Node.js that runs the built binary: another one under `npm run test:nodes`. */
export const NODE = process.env['TOKENGATE_TEST_NODE'] ?? process.execPath;

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface CommandClass {
  id?: string;
  readonly name: string;
  run(argv: string[], config: Config): Promise<unknown>;
}

interface RunInProcess {
  /** Undefined where something else names the server. */
  url?: string | undefined;
  env?: Record<string, string>;
}

let config: Promise<Config> | undefined;

/**
 * Runs a command line in this process, without `tokengate`: run('reset-session x --yes', redis). Words with blanks, and
 * empty words, go in single quotes.
 */
export async function run(line: string, options: RunInProcess): Promise<Output & {result: unknown}> {
  const [id = '', ...argv] = Array.from(line.matchAll(/'([^']*)'|\S+/g), ([word, quoted]) => quoted ?? word);
  const {default: command} = (await import(`../../../src/commands/${id}.ts`)) as {default: CommandClass};
  return runCommand(command, argv, options);
}

/** Runs a command class in this process, and returns its output, its exit code and the result of `run()`. */
export async function runCommand(
  command: CommandClass,
  argv: string[],
  {url, env = {}}: RunInProcess,
): Promise<Output & {result: unknown}> {
  config ??= Config.load(ROOT);
  // As if oclif had found it by its file name.
  command.id ??= command.name
    .replace(/Command$/, '')
    .replace(/\B[A-Z]/g, '-$&')
    .toLowerCase();
  let stdout = '';
  let stderr = '';
  const capture =
    (keep: (text: string) => void) =>
    (chunk: string | Uint8Array, encodingOrDone?: unknown, done?: unknown): boolean => {
      keep(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      const callback = typeof encodingOrDone === 'function' ? encodingOrDone : done;
      if (typeof callback === 'function') (callback as () => void)();
      return true;
    };
  const variables = {TOKENGATE_REDIS_URL: url, XDG_CONFIG_HOME: '/dev/null/none', ...env};
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const out = vi.spyOn(process.stdout, 'write').mockImplementation(capture((text) => (stdout += text)));
  const err = vi.spyOn(process.stderr, 'write').mockImplementation(capture((text) => (stderr += text)));
  try {
    const result = await command.run(argv, await config);
    return {code: Number(process.exitCode ?? 0), stdout, stderr, result};
  } finally {
    process.exitCode = undefined;
    out.mockRestore();
    err.mockRestore();
    vi.unstubAllEnvs();
  }
}

interface RunOptions {
  url?: string | undefined;
  env?: Record<string, string>;
  input?: string;
  cwd?: string;
  /** The user that runs it; only root can choose. */
  uid?: number;
  /** In a process group of its own. */
  detached?: boolean;
  /** Receives the process as soon as it runs. */
  onStart?: (child: ChildProcess) => void;
}

/** The environment of a user with only the variables that the test sets, and without a context file. */
export function userEnv({url, env = {}}: RunOptions): NodeJS.ProcessEnv {
  const {PATH, HOME, TMPDIR, LANG} = process.env;
  return {
    PATH,
    HOME,
    TMPDIR,
    LANG,
    // As within a shell: else bash takes the socket that is its stdin for a login, and runs the user's start-up file.
    SHLVL: '1',
    XDG_CONFIG_HOME: '/dev/null/none',
    ...(url === undefined ? {} : {TOKENGATE_REDIS_URL: url}),
    ...env,
  };
}

/** Runs the built binary like a user. */
export async function runBinary(argv: string[], options: RunOptions = {}): Promise<Output> {
  return runProcess(NODE, [BIN, ...argv], options);
}

export async function runProcess(file: string, argv: string[], options: RunOptions = {}): Promise<Output> {
  const child = spawn(file, argv, {
    cwd: options.cwd,
    detached: options.detached ?? false,
    env: userEnv(options),
    stdio: 'pipe',
    ...(options.uid === undefined ? {} : {uid: options.uid, gid: options.uid}),
  });
  options.onStart?.(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {
    // It need not read its input.
  });
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return {code, stdout, stderr};
}
