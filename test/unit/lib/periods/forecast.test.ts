import {expect, test} from 'vitest';

import {forecastEmpty} from '../../../../src/lib/periods/forecast.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';

test.each([
  [10, 2, 300],
  [0, 2, 0],
  [0, 0, 0],
  [10, 7, 85],
  [10, 0, null],
  [10, null, null],
  [null, 2, null],
])('of %s at %s a minute it is %s seconds until the budget is empty', (remaining, rate, seconds) => {
  const money = (value: number | null) => (value === null ? null : Decimal.of(value));
  expect(forecastEmpty(money(remaining), money(rate))).toBe(seconds);
});

test('a budget that renews before lasts, and no forecast runs past that', () => {
  const [remaining, rate] = [Decimal.of(10), Decimal.of(2)];
  expect(forecastEmpty(remaining, rate, 301)).toBe(300);
  expect(forecastEmpty(remaining, rate, 300)).toBe('lasts');
  expect(forecastEmpty(remaining, rate, 1)).toBe('lasts');
  expect(forecastEmpty(remaining, Decimal.of(0), 1)).toBe('lasts');
  expect(forecastEmpty(Decimal.of(0), rate, 1)).toBe(0);
  expect(forecastEmpty(remaining, null, 1)).toBeNull();
});
