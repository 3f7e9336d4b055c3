// Counts the instructions of a process, which hardly change from one run to the next, where a time does.
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';

import {run} from './run.mjs';

/** Undefined where there is neither a counter in the processor that `perf` may read, nor valgrind, which takes 50 times as long. */
export function makeCounter(folder) {
  const perf = ['stat', '-x', ',', '-e', 'instructions:u', '--'];
  if (/^\d+,/m.test(spawnSync('perf', [...perf, 'true'], {encoding: 'utf8'}).stderr ?? '')) {
    return {name: '`perf`', count: (words, env) => count('perf', [...perf, ...words], /^(\d+),/m, env)};
  }
  if (spawnSync('valgrind', ['--version']).status !== 0) return undefined;
  const file = `--cachegrind-out-file=${join(folder, 'cachegrind.out')}`;
  const valgrind = ['--tool=cachegrind', '--cache-sim=no', '--smc-check=all-non-file', file];
  return {
    name: '`valgrind`',
    count: (words, env) => count('valgrind', [...valgrind, ...words], /I\s+refs:\s+([\d,]+)/, env),
  };
}

async function count(program, args, pattern, env) {
  const {stderr} = await run(program, args, {env});
  const [, digits] = pattern.exec(stderr) ?? [];
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
}
