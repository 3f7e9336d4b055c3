// Runs the properties of all tests with many more cases than `npm test`. FUZZ_RUNS sets the cases of each (slow ones
// get a part of it); FUZZ_SEED repeats the seed that a failure printed. Arguments go to vitest.
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {installPackages, provide, ROOT} from '../setup.mjs';

installPackages();
provide('redis');
const folder = mkdtempSync(join(tmpdir(), 'tokengate-fuzz-'));
const tally = join(folder, 'tally');
writeFileSync(tally, '');
const files = readdirSync(join(ROOT, 'test'), {recursive: true})
  .map((name) => join('test', name))
  .filter((path) => path.endsWith('.test.ts') && /\bfuzz\(/.test(readFileSync(join(ROOT, path), 'utf8')));
const {status} = spawnSync(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...files, ...process.argv.slice(2)],
  {cwd: ROOT, stdio: 'inherit', env: {FUZZ_RUNS: '1000', ...process.env, FUZZ_TALLY: tally}},
);
const cases = readFileSync(tally, 'utf8')
  .split('\n')
  .reduce((sum, line) => sum + Number(line), 0);
rmSync(folder, {recursive: true});
console.log(`${cases} cases passed.`);
process.exitCode = status ?? 1;
