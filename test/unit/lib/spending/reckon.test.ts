import {expect, test} from 'vitest';

import {reckon, type SpentChange} from '../../../../src/lib/spending/reckon.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';

const change = (before: number | null, after: number | null, more: Partial<SpentChange> = {}): SpentChange => ({
  before: before === null ? null : Decimal.of(before),
  after: after === null ? null : Decimal.of(after),
  isTakeOff: false,
  isComplete: true,
  ...more,
});

test.each<[title: string, last: number, changes: SpentChange[], present: number | null, result: number[]]>([
  ['nothing', 3, [], 3, [0, 0, 3]],
  ['spending', 3, [], 5, [2, 0, 5]],
  ['a fall', 3, [], 1, [0, 2, 1]],
  ['a reset', 3, [change(5, 0)], 1, [3, 0, 1]],
  ['a reset that is undone', 3, [change(5, 0), change(0.5, 5)], 6, [3.5, 0, 6]],
  ['a reset before the ledger knows the session', 0, [change(5, 0)], 0, [5, 0, 0]],
  ['what was written back is taken off', 3, [change(5, 0), change(5.5, 0.5, {isTakeOff: true})], 1, [3, 0, 1]],
  ['a fall before a reset', 3, [change(1, 0)], 1, [1, 2, 1]],
  ['a reset of what is not money', 3, [change(null, 0)], 1, [1, 0, 1]],
  ['what is not money now', 3, [change(5, 0)], null, [2, 0, 0]],
  ['an interrupted reset that was done', 3, [change(5, 0, {isComplete: false})], 1, [3, 0, 1]],
  ['an interrupted reset that was not', 3, [change(5, 0, {isComplete: false})], 6, [3, 0, 6]],
])('%s', (_, last, changes, present, [spent, unaccounted, value]) => {
  const reckoning = reckon(Decimal.of(last), changes, present === null ? null : Decimal.of(present));
  const numbers = [reckoning.spent, reckoning.unaccounted, reckoning.value].map((amount) => amount.toNumber());
  expect(numbers).toEqual([spent, unaccounted, value]);
});
