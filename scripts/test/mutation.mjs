// Mutation tests: changes one thing at a time in the source, and checks whether a test notices. Everything takes hours;
// name a file to mutate only that: `npm run mutation -- --mutate src/lib/values/money.ts`. Arguments go to Stryker.
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';

import {installPackages, ROOT} from '../setup.mjs';

/** Tests of changes in Redis. */
const CHANGING = [
  'test/unit/lib/operations/budget.test.ts',
  'test/unit/lib/operations/reset.test.ts',
  'test/unit/lib/operations/freeze.test.ts',
];

/** Tests of modules without a test of the same name, or with more than one. */
const TESTS = {
  'cli/oclif/base-command': commands('across/base-command'),
  'lib/completion/candidates': [
    'test/unit/lib/completion/candidates.test.ts',
    'test/unit/lib/completion/completing.test.ts',
  ],
  ...Object.fromEntries(
    ['apply', 'look', 'plan', 'refusal', 'script', 'second-look'].map((name) => [
      `lib/change/${name}`,
      ['test/unit/lib/change/apply.test.ts', ...CHANGING, 'test/unit/lib/change/batch.test.ts'],
    ]),
  ),
  ...Object.fromEntries(
    ['decide', 'read', 'record', 'refusal', 'steps'].map((name) => [
      `lib/change/cluster/${name}`,
      ['test/unit/lib/change/cluster/apply.test.ts'],
    ]),
  ),
  'lib/redis/cluster/scan': ['test/unit/lib/redis/cluster/scan.test.ts'],
  'lib/sessions/filter': ['test/unit/lib/sessions/filter.test.ts', 'test/fuzz/filter.test.ts'],
  'lib/operations/freeze': [
    'test/unit/lib/operations/freeze.test.ts',
    ...commands('freeze-session', 'unfreeze-session'),
  ],
  'lib/values/glob': ['test/unit/lib/values/glob.test.ts', 'test/unit/lib/sessions/list.test.ts'],
  'lib/gateway/keys': ['test/unit/lib/gateway/keys.test.ts', 'test/unit/lib/values/session-id.test.ts'],
  'lib/sessions/list': ['test/unit/lib/sessions/list.test.ts', ...commands('list-sessions.options', 'list-sessions')],
  'lib/monitoring/metrics': ['test/unit/lib/monitoring/metrics.test.ts', ...commands('print-metrics')],
  'lib/completion/tiny-client': [
    'test/unit/lib/completion/tiny-client.test.ts',
    'test/unit/lib/completion/completing.test.ts',
  ],
  'lib/audit/facts': ['test/unit/lib/audit/audit.test.ts'],
  'lib/audit/judge-periods': ['test/unit/lib/audit/audit.test.ts'],
  'lib/audit/judge': ['test/unit/lib/audit/audit.test.ts'],
  'lib/redis/tls-files': ['test/unit/lib/redis/tls.test.ts'],
  'lib/redis/explain-tls': ['test/unit/lib/redis/tls.test.ts'],
  'lib/redis/scan-server': ['test/unit/lib/sessions/list.test.ts'],
  'lib/operations/undo': ['test/unit/lib/operations/undoing.test.ts'],
};

installPackages();
const args = process.argv.slice(2);
const at = args.findIndex((word) => word === '--mutate' || word === '-m');
const files = at === -1 ? [] : (args[at + 1] ?? '').split(',').map((file) => file.replace(/:\d[\d:-]*$/, ''));
const stryker = join(ROOT, 'node_modules/@stryker-mutator/core/bin/stryker.js');
const {status} = spawnSync(process.execPath, [stryker, 'run', 'stryker.config.mjs', ...args], {
  cwd: ROOT,
  stdio: 'inherit',
  // Stryker's --testFiles never activates a mutant in code that runs once, such as a constant.
  env: {...process.env, MUTATION_TESTS: [...new Set(files.flatMap(testsOf))].join(',')},
});
process.exitCode = status ?? 1;

function commands(...names) {
  return names.map((name) => `test/commands/${name}.test.ts`);
}

/** The fewest test files that should notice every mutant; an empty list means all that run in process. */
function testsOf(file) {
  const place = file.replace(/^src\//, '').replace(/\.ts$/, '');
  const own = `test/unit/${place}.test.ts`;
  return (
    TESTS[place] ?? (existsSync(join(ROOT, own)) ? [own] : ['test/unit/**/*.test.ts', 'test/commands/**/*.test.ts'])
  );
}
