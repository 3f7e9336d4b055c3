import {inspect} from 'node:util';

import {expect, test} from 'vitest';

import {TokengateError} from '../../../../src/lib/values/errors.js';

test('an error has a code, perhaps a hint, and a cause only where it has one', () => {
  const cause = new Error('why');
  const error = new TokengateError('CODE', 'What.', {hint: 'Do this.', cause});
  expect(error).toMatchObject({code: 'CODE', message: 'What.', hint: 'Do this.', cause});
  expect(inspect(error)).toMatch(/^TokengateError: What\./);
  expect(new TokengateError('CODE', 'What.').hint).toBeUndefined();
  expect('cause' in new TokengateError('CODE', 'What.', {hint: 'Do this.'})).toBe(false);
});
