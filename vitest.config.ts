import {availableParallelism} from 'node:os';

import {defineConfig} from 'vitest/config';

const SHARED = {
  disableConsoleIntercept: true,
  pool: 'forks',
  // A worker loads `src` and its packages once, not for each file.
  isolate: false,
  testTimeout: 180_000,
  hookTimeout: 180_000,
  expect: {poll: {timeout: 30_000}},
} as const;

/** Files that replace a module of `src`, which nobody may have loaded before: each has a worker of its own. */
const REPLACING = ['test/commands/across/base-command.test.ts'];

const UNIT = 'test/unit/**/*.test.ts';

export default defineConfig({
  test: {
    // Most tests wait for a process or a server: vitest's own choice, one worker on two cores, leaves the machine idle.
    maxWorkers: availableParallelism() + 2,
    // Each project would transform `src` by itself.
    experimental: {fsModuleCache: true},
    // As few as can be, since each has workers of its own, who load `src` again.
    projects: [
      // They wait more than others, and most are short: more of them at once, after the long files.
      {
        test: {
          ...SHARED,
          name: 'unit',
          include: [UNIT],
          maxWorkers: availableParallelism() + 4,
          sequence: {groupOrder: 1},
        },
      },
      {
        test: {
          ...SHARED,
          name: 'program',
          include: ['test/**/*.test.ts'],
          exclude: [UNIT, ...REPLACING],
          // Only these may run the built program: it is built first, when the build is stale.
          globalSetup: 'test/support/build.ts',
        },
      },
      {test: {...SHARED, isolate: true, name: 'replacing', include: REPLACING}},
    ],
  },
});
