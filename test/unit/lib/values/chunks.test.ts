import {expect, test} from 'vitest';

import {inGroups} from '../../../../src/lib/values/chunks.js';

test.each([
  [[], []],
  [[1], [[1]]],
  [[1, 2], [[1, 2]]],
  [
    [1, 2, 3, 4, 5],
    [[1, 2], [3, 4], [5]],
  ],
])('%j in groups of two', (list, groups) => {
  expect(inGroups(list, 2)).toEqual(groups);
});
