import fc from 'fast-check';
import {expect, test} from 'vitest';
import {Decimal} from '../../../../src/lib/values/decimal.js';

import {addReading, rateOf, type Spending, startSpending} from '../../../../src/lib/watch/spend-rate.js';

const T0 = Date.UTC(2026, 10, 22);

/** The rate after readings of `spent`, each so many seconds after the first. */
function read(...readings: (readonly [seconds: number, spent: string])[]): Spending {
  const [[start, first], ...more] = readings as [readonly [number, string], ...(readonly [number, string])[]];
  const spending = startSpending(T0 + start * 1000, Decimal.of(first));
  for (const [seconds, spent] of more) addReading(spending, T0 + seconds * 1000, Decimal.of(spent));
  return spending;
}
const rate = (...readings: (readonly [number, string])[]): string | undefined => rateOf(read(...readings))?.toFixed();

test('one reading, or much less than a second, is not enough data', () => {
  expect(rateOf(read([0, '1']))).toBeNull();
  expect(rateOf(read([0, '1'], [0.4, '2'], [0.8, '3']))).toBeNull();
  expect(rate([0, '1'], [1, '2'])).toBe('60');
  expect(rate([0, '1'], [1, '2'], [5, '2'])).toBe('12');
});

test('the difference is exact, to the last digit of what the gateway writes', () => {
  expect(rate([0, '0.02643664999999999982'], [60, '0.02643664999999999983'])).toBe('0.00000000000000000001');
  expect(rate([0, '0.1'], [60, '0.3'])).toBe('0.2');
});

test('a session that spends nothing has a rate of 0, not none', () => {
  expect(rate([0, '5'], [10, '5'])).toBe('0');
});

test('what was spent more than a minute ago is forgotten', () => {
  const burst = [0, 2, 4, 6, 8].map((seconds) => [seconds, String(seconds)] as const);
  const idle = Array.from({length: 40}, (_, index) => [10 + index * 2, '8'] as const);
  expect(rate(...burst, ...idle)).toBe('0');
});

test('a reset does not count as spending, nor the time in which it was', () => {
  // 6 dollars in 20 observed seconds; between 10 and 12 it is not known.
  expect(rate([0, '100'], [10, '103'], [12, '0.5'], [22, '3.5'])).toBe('18');
  expect(rate([0, '100'], [10, '0'])).toBeUndefined();
});

test('after a reset the rate of before is still known', () => {
  expect(rate([0, '10'], [10, '20'], [12, '0'])).toBe('60');
});

test('an interval longer than the window is taken whole', () => {
  expect(rate([0, '0'], [300, '10'], [600, '30'])).toBe('4');
});

test('however the readings fall, steady spending has its rate', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({min: 100, max: 20_000}), {minLength: 30, maxLength: 200}), (gaps) => {
      let seconds = 0;
      const readings = gaps.map((gap) => {
        seconds += gap / 1000;
        return [seconds, Decimal.of(seconds).times('0.05').toFixed()] as const;
      });
      const found = rateOf(read(...readings));
      expect(found === null || found.minus(3).abs().lt('1e-9')).toBe(true);
    }),
  );
});

test('a minute ago is where the window begins, and points are five seconds apart', () => {
  expect(read([0, '0'], [4.999, '1'], [5, '2'], [9, '3']).points.map(({at}) => at - T0)).toEqual([0, 5000]);
  const steady = (end: number): Spending =>
    read(...Array.from({length: end / 5 + 1}, (_, index) => [index * 5, String(index)] as const));
  expect(steady(60).points[0]!.at).toBe(T0);
  expect(steady(65).points[0]!.at).toBe(T0 + 5000);
  expect(read([0, '0'], [10, '1'], [69.999, '2']).points[0]!.at).toBe(T0);
  expect(read([0, '0'], [10, '1'], [70, '2']).points[0]!.at).toBe(T0 + 10_000);
});

test('the same amount read again, as another object too, leaves the total as it is', () => {
  const spending = read([0, '5'], [10, '6']);
  const {total} = spending;
  addReading(spending, T0 + 20_000, Decimal.of(6));
  addReading(spending, T0 + 30_000, spending.spent);
  expect(spending.total).toBe(total);
  expect(spending.points.map(({total: sum}) => sum.toFixed())).toEqual(['0', '1', '1', '1']);
});

test('few points are kept, however many readings there are', () => {
  const readings = Array.from({length: 5000}, (_, index) => [index / 10, String(index)] as const);
  expect(read(...readings).points.length).toBeLessThan(15);
});
