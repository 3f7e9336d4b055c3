// `npm run mutation`; see scripts/test/mutation.mjs, and docs/development/mutation.md for what came of it.

/** The wording of messages: what they say is held by the tests' snapshots and by the README's examples. */
const messages = {
  shouldIgnore(path) {
    if (!path.isStringLiteral() && !path.isTemplateLiteral()) return undefined;
    const {parentPath} = path;
    const isHint = parentPath?.isObjectProperty() && parentPath.node.key.name === 'hint';
    const isMessage =
      parentPath?.isNewExpression() && parentPath.node.callee.name === 'TokengateError' && path.key === 1;
    return isHint || isMessage ? 'the wording of a message' : undefined;
  },
};
export const strykerPlugins = [{kind: 'Ignore', name: 'messages', value: messages}];

export default {
  mutate: ['src/lib/**/*.ts', 'src/cli/oclif/base-command.ts'],
  testRunner: 'vitest',
  vitest: {configFile: 'vitest.mutation.config.ts', related: false},
  plugins: ['@stryker-mutator/vitest-runner', import.meta.filename],
  ignorers: ['messages'],
  coverageAnalysis: 'perTest',
  ignorePatterns: ['.stryker-tmp', 'reports'],
  concurrency: 1,
  // A mutant that never ends; a server of a test's own may take its time to start.
  timeoutMS: 20_000,
  reporters: ['progress-append-only', 'clear-text', 'json'],
  jsonReporter: {fileName: 'reports/mutation.json'},
  clearTextReporter: {allowColor: false, reportTests: false, skipFull: true},
  thresholds: {high: 95, low: 85, break: 85},
};
