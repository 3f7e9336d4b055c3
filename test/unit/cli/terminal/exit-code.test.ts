import {afterEach, expect, test} from 'vitest';

import {EXIT, endWith} from '../../../../src/cli/terminal/exit-code.js';

afterEach(() => {
  process.exitCode = undefined;
});

test.each([
  [['found'], 2],
  [['failed'], 1],
  [['found', 'failed'], 1],
  [['failed', 'found'], 1],
  [['SIGTERM', 'failed', 'found'], 143],
  [['found', 'SIGINT'], 130],
  [['SIGTERM', 'SIGINT'], 143],
] as const)('%j ends with %d', (reasons, code) => {
  for (const reason of reasons) endWith(EXIT[reason]);
  expect(process.exitCode).toBe(code);
});
