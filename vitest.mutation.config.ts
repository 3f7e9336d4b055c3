import {defineConfig} from 'vitest/config';

const named = (process.env['MUTATION_TESTS'] ?? '').split(',').filter((file) => file !== '');

/** Tests that set the time zone. */
const ZONED = new Set(['test/lib/time.test.ts', 'test/commands/freeze-options.test.ts']);

/** Tests on a cluster, which all mutants share. */
const CLUSTERED = new Set(['test/lib/cluster-changes.test.ts']);

/** As the tests run for each mutant: nothing is built, since only tests in this process can meet a mutant. */
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    include: named.length > 0 ? named : ['test/lib/*.test.ts', 'test/commands/*.test.ts'],
    ...(named.some((file) => CLUSTERED.has(file)) && {globalSetup: 'test/support/shared-cluster.ts'}),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
  plugins: [
    {
      name: 'workers',
      // Stryker asks for threads, the fastest, in which no test can set the time zone. Files share one: what they import
      // is loaded once.
      configureVitest({project}) {
        if (named.length === 0 || named.some((file) => ZONED.has(file))) project.config.pool = 'forks';
        project.config.isolate = false;
      },
    },
  ],
});
