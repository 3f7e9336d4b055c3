import {Big} from 'big.js';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {Decimal, type Rounding} from '../../../../src/lib/values/decimal.js';
import {fuzz} from '../../../support/fuzz.js';

/** As Redis holds them, and longer: with zeros on either side, exponents, a sign. */
const text = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(fc.stringMatching(/^\d{1,4}$/), fc.stringMatching(/^\d{1,30}$/), fc.constantFrom('0', '9999', '5')),
    fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,5}$/), fc.stringMatching(/^\.0*[59]?0*\d{0,25}$/)),
    fc.oneof(
      fc.constant(''),
      fc.integer({min: -45, max: 45}).map((exponent) => `e${exponent}`),
    ),
  )
  .map((parts) => parts.join(''))
  .filter((number) => !number.includes('.e') && !number.endsWith('.'));
const ROUNDINGS: Rounding[] = ['down', 'half-up', 'half-even', 'up'];

describe('the same digits as big.js', () => {
  fuzz(
    'read and written',
    fc.property(text, (number) => {
      expect(Decimal.of(number).toString()).toBe(new Big(number).toFixed());
      expect(Decimal.of(number).toNumber()).toBe(Number(new Big(number).toFixed()));
      expect(Decimal.of(number).exponent).toBe(new Big(number).e);
    }),
    0.1,
  );

  fuzz(
    'of sums, differences, products and quotients',
    fc.property(text, text, (one, other) => {
      const [a, b] = [Decimal.of(one), Decimal.of(other)];
      const [x, y] = [new Big(one), new Big(other)];
      expect(a.plus(b).toString()).toBe(x.plus(y).toFixed());
      expect(a.minus(other).toString()).toBe(x.minus(y).toFixed());
      expect(a.times(b).toString()).toBe(x.times(y).toFixed());
      if (y.eq(0)) expect(() => a.div(b)).toThrow(RangeError);
      else expect(a.div(b).toString()).toBe(x.div(y).toFixed());
      expect(a.neg().abs().toString()).toBe(x.abs().toFixed());
    }),
    0.1,
  );

  test('of quotients that end halfway between two of 20 decimals', () => {
    fc.assert(
      fc.property(fc.bigInt({min: -(10n ** 24n), max: 10n ** 24n}), (digits) => {
        const half = `${2n * digits + 1n}e-20`;
        expect(Decimal.of(half).div(2).toString()).toBe(new Big(half).div(2).toFixed());
      }),
    );
  });

  const pair = fc.oneof(
    fc.tuple(text, text),
    text.map((number) => [number, new Big(number).toFixed()] as const),
  );
  fuzz(
    'of comparisons',
    fc.property(pair, ([one, other]) => {
      const [a, x, y] = [Decimal.of(one), new Big(one), new Big(other)];
      const b = Decimal.of(other);
      expect(a.cmp(b)).toBe(x.cmp(y));
      expect([a.eq(b), a.lt(b), a.lte(b), a.gt(b), a.gte(b)]).toEqual([x.eq(y), x.lt(y), x.lte(y), x.gt(y), x.gte(y)]);
    }),
    0.1,
  );

  fuzz(
    'rounded, in every way',
    fc.property(text, fc.integer({min: 0, max: 12}), fc.constantFrom(0, 1, 2, 3), (number, decimals, way) => {
      const rounding = ROUNDINGS[way]!;
      const big = new Big(number);
      expect(Decimal.of(number).toFixed(decimals, rounding)).toBe(big.toFixed(decimals, way));
      expect(Decimal.of(number).round(decimals, rounding).toString()).toBe(big.round(decimals, way).toFixed());
      expect(Decimal.of(number).round(-decimals, rounding).toString()).toBe(big.round(-decimals, way).toFixed());
    }),
    0.1,
  );
});

test.each([
  ['12.5', 3, '12500'],
  ['12.5', -3, '0.0125'],
  ['-120', -1, '-12'],
  ['0', 9, '0'],
])('the point of %s moved by %i', (number, places, moved) => {
  expect(Decimal.of(number).shift(places).toString()).toBe(moved);
});

test('digits and an exponent make a number', () => {
  expect(Decimal.fromParts('-125', -1).toString()).toBe('-12.5');
  expect(Decimal.fromParts('007', 2).toString()).toBe('700');
});

test.each(['', '-', '.', '1.2.3', ' 1', '1 ', '1e', 'e5', '+1', '1_0', 'NaN', 'Infinity', '１'])(
  '%j is not a number',
  (wrong) => {
    expect(Decimal.ofPlain(wrong)).toBeUndefined();
    expect(() => Decimal.of(wrong)).toThrow(SyntaxError);
  },
);

test('the quick way takes what is plain and short, and gives the same', () => {
  const texts = ['0', '7', '10.0', '0.00000000000001', '123456789012345', '1234567890.12345', '00.10'];
  texts.push('0.02643664999999999982', '1234567890123456', `9.${'9'.repeat(28)}`, '9'.repeat(30));
  for (const plain of texts) expect(Decimal.ofPlain(plain)?.toString()).toBe(new Big(plain).toFixed());
  for (const other of ['9'.repeat(31), `0.${'1'.repeat(29)}`, '-1', '.5', '5.', '1e5', '1.2.3']) {
    expect(Decimal.ofPlain(other)).toBeUndefined();
  }
});
