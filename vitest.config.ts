import {defineConfig} from 'vitest/config';

export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    globalSetup: 'test/support/build.ts',
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
