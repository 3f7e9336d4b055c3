import {defineConfig} from 'vitest/config';

const named = (process.env['MUTATION_TESTS'] ?? '').split(',').filter((file) => file !== '');

/** Tests that set the time zone. */
const ZONED = new Set(['test/unit/lib/values/time.test.ts', 'test/commands/freeze-session.test.ts']);

/** Tests on a cluster, which all mutants share. */
const CLUSTERED = new Set(['test/unit/lib/change/cluster/apply.test.ts']);
const isAnyOf = (files: ReadonlySet<string>): boolean => named.length === 0 || named.some((file) => files.has(file));

/** As the tests run for each mutant: nothing is built, since only tests in this process can meet a mutant. */
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    include: named.length > 0 ? named : ['test/unit/**/*.test.ts', 'test/commands/**/*.test.ts'],
    ...(isAnyOf(CLUSTERED) && {globalSetup: 'test/support/redis/shared-cluster.ts'}),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
  plugins: [
    {
      name: 'workers',
      // Stryker asks for threads, the fastest, in which no test can set the time zone. Files share one: what they import
      // is loaded once.
      configureVitest({project}) {
        if (isAnyOf(ZONED)) project.config.pool = 'forks';
        project.config.isolate = false;
      },
    },
  ],
});
