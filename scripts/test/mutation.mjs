// Mutation tests: changes one thing at a time in the source, and looks whether a test notices. All of it takes hours;
// name a file to mutate only that: `npm run mutation -- --mutate src/lib/money.ts`. Arguments go to Stryker.
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {basename, join} from 'node:path';

import {installPackages, ROOT} from '../setup.mjs';

/** Tests of what is changed in Redis. */
const CHANGING = ['test/lib/sessions.test.ts', 'test/lib/resets.test.ts', 'test/lib/freezes.test.ts'];

/** Tests of modules that have none of their own name, or more than that. */
const TESTS = {
  'base-command': commands('base-command'),
  candidates: ['test/lib/candidates.test.ts', 'test/lib/completing.test.ts'],
  'change-engine': ['test/lib/changes.test.ts', ...CHANGING],
  changes: ['test/lib/changes.test.ts', ...CHANGING, 'test/lib/batch.test.ts'],
  'cluster-scan': ['test/lib/redis-cluster.test.ts'],
  filter: ['test/lib/filter.test.ts', 'test/fuzz/filter.test.ts'],
  freezes: ['test/lib/freezes.test.ts', ...commands('freezes')],
  glob: ['test/lib/glob.test.ts', 'test/lib/listing.test.ts'],
  keys: ['test/lib/keys.test.ts', 'test/lib/ids.test.ts'],
  listing: ['test/lib/listing.test.ts', ...commands('list-options', 'list-sessions')],
  metrics: ['test/lib/metrics.test.ts', ...commands('print-metrics')],
  resp: ['test/lib/resp.test.ts', 'test/lib/completing.test.ts'],
  scan: ['test/lib/listing.test.ts'],
  undo: ['test/lib/undoing.test.ts'],
};

installPackages();
const args = process.argv.slice(2);
const at = args.findIndex((word) => word === '--mutate' || word === '-m');
const files = at === -1 ? [] : (args[at + 1] ?? '').split(',').map((file) => file.replace(/:\d[\d:-]*$/, ''));
const stryker = join(ROOT, 'node_modules/@stryker-mutator/core/bin/stryker.js');
const {status} = spawnSync(process.execPath, [stryker, 'run', 'stryker.config.mjs', ...args], {
  cwd: ROOT,
  stdio: 'inherit',
  // Not Stryker's --testFiles, with which it never activates a mutant of what is evaluated once, such as a constant.
  env: {...process.env, MUTATION_TESTS: [...new Set(files.flatMap(testsOf))].join(',')},
});
process.exitCode = status ?? 1;

function commands(...names) {
  return names.map((name) => `test/commands/${name}.test.ts`);
}

/** The fewest test files that are to notice every mutant; none stands for all that run in process. */
function testsOf(file) {
  const name = basename(file, '.ts');
  const own = `test/lib/${name}.test.ts`;
  return TESTS[name] ?? (existsSync(join(ROOT, own)) ? [own] : ['test/lib/*.test.ts', 'test/commands/*.test.ts']);
}
