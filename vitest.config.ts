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

/** The tests of a folder of test/. Those that run the built program build it first, when the build is stale. */
const project = (name: string, {isBuilt}: {isBuilt: boolean}) => ({
  test: {
    ...SHARED,
    name,
    include: [`test/${name}/**/*.test.ts`],
    exclude: REPLACING,
    ...(isBuilt && {globalSetup: 'test/support/build.ts'}),
  },
});

export default defineConfig({
  test: {
    // Most tests wait for a process or a server: vitest's own choice, one worker on two cores, leaves the machine idle.
    maxWorkers: availableParallelism() + 2,
    // Each project would transform `src` by itself.
    experimental: {fsModuleCache: true},
    projects: [
      project('unit', {isBuilt: false}),
      project('commands', {isBuilt: true}),
      {test: {...SHARED, isolate: true, name: 'replacing', include: REPLACING}},
      project('binary', {isBuilt: true}),
      project('deployments', {isBuilt: true}),
      project('docs', {isBuilt: true}),
      project('faults', {isBuilt: true}),
      project('fuzz', {isBuilt: true}),
    ],
  },
});
