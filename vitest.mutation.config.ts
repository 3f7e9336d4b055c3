import {defineConfig} from 'vitest/config';

const named = (process.env['MUTATION_TESTS'] ?? '').split(',').filter((file) => file !== '');

/** As the tests run for each mutant: nothing is built, since only tests in this process can meet a mutant. */
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    include: named.length > 0 ? named : ['test/lib/*.test.ts', 'test/commands/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
  plugins: [
    {
      name: 'processes',
      // Stryker asks for threads, in which no test can set the time zone.
      configureVitest({project}) {
        project.config.pool = 'forks';
      },
    },
  ],
});
