// Runs programs to their end. stdin and stdout are files or nothing, so that no time is spent on passing data on.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {performance} from 'node:perf_hooks';

/**
 * Runs a program that must succeed.
 *
 * @param {{input?: string, keepOutput?: boolean, env?: object, wanted?: number}} options `input` is a file; `wanted` is the
 *   exit code, if not 0
 */
export async function run(program, args, {input, keepOutput = false, env, wanted = 0} = {}) {
  const stdin = input === undefined ? 'ignore' : openSync(input);
  const start = performance.now();
  const child = spawn(program, args, {env, stdio: [stdin, keepOutput ? 'pipe' : 'ignore', 'pipe']});
  const output = {stdout: '', stderr: ''};
  for (const name of Object.keys(output)) child[name]?.setEncoding('utf8').on('data', (text) => (output[name] += text));
  const exited = once(child, 'exit').then(([code]) => ({code, seconds: (performance.now() - start) / 1000}));
  const [{code, seconds}] = await Promise.all([exited, once(child, 'close')]);
  if (input !== undefined) closeSync(stdin);
  if (code !== wanted) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output.stderr}`);
  return {...output, seconds};
}

/** Sends a file of commands through `redis-cli --pipe`; each of them must succeed. */
export async function feed(program, args, input, options = {}) {
  const result = await run(program, args, {...options, input, keepOutput: true});
  if (!result.stdout.includes('errors: 0,')) throw new Error(`${program} ${args.join(' ')}:\n${result.stdout}`);
  return result;
}
