import {Big} from 'big.js';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {Decimal} from '../../../../src/lib/values/decimal.js';
import {
  formatExactMoney,
  formatMoney,
  formatPercentage,
  parseAmount,
  parseStoredMoney,
  roundUpToCents,
  toPlainDigits,
} from '../../../../src/lib/values/money.js';

describe('an amount as an operator types it', () => {
  test.each([
    ['25.50', '25.50'],
    ['0', '0'],
    ['0.00', '0.00'],
    ['.5', '0.5'],
    ['007.10', '7.10'],
    ['00', '0'],
    ['10000000000000000', '10000000000000000'],
    ['.55', '0.55'],
    ['123456789012345678', '123456789012345678'],
    ['1.123456789012345678901234567', '1.123456789012345678901234567'],
    ['0000000000000000000000000000001', '1'],
    ['0.02643664999999999982', '0.02643664999999999982'],
  ])('%s is kept as %s', (typed, text) => {
    const amount = parseAmount(typed);
    expect(amount.text).toBe(text);
    expect(amount.value.eq(text)).toBe(true);
  });

  test.each([
    ['', 'empty'],
    ['   ', 'empty'],
    ['-5', 'negative'],
    ['-.5', 'negative'],
    ['$5', 'currency'],
    ['1_000', 'thousands'],
    ['1,000.50', 'thousands'],
    ['1 000', 'thousands'],
    ['1e5', 'exponent'],
    ['12.25e+10', 'exponent'],
    ['1E-05', 'exponent'],
    ['x1e5', 'not a plain'],
    ['1e5x', 'not a plain'],
    ['1.xe5', 'not a plain'],
    ['5-1', 'not a plain'],
    ['--5', 'not a plain'],
    ["1'000", 'thousands'],
    ['1,000,000.55', 'thousands'],
    ['1,000.', 'not a plain'],
    ['1,000.5x', 'not a plain'],
    ['x1,000', 'not a plain'],
    ['nan', 'not a plain'],
    ['NaN', 'not a plain'],
    ['inf', 'not a plain'],
    ['Infinity', 'not a plain'],
    ['0x10', 'not a plain'],
    ['+5', 'not a plain'],
    ['5.', 'not a plain'],
    ['.', 'not a plain'],
    ['1.2.3', 'not a plain'],
    ['٣', 'not a plain'],
    ['5\n', 'not a plain'],
    ['1234567890123456789', '18 digits'],
    [`0.${'1'.repeat(28)}`, '28 in all'],
  ])('%j is refused: %s', (typed, why) => {
    expect(() => parseAmount(typed)).toThrow(
      expect.objectContaining({
        code: 'INVALID_AMOUNT',
        message: expect.stringContaining(why),
        hint: expect.stringContaining('25.50'),
      }),
    );
  });

  test('any plain decimal of a sensible length survives digit for digit', () => {
    const plain = fc
      .tuple(fc.integer({min: 1, max: 10 ** 9}), fc.stringMatching(/^\d{0,19}$/))
      .map(([whole, decimals]) => (decimals === '' ? `${whole}` : `${whole}.${decimals}`));
    fc.assert(fc.property(plain, (typed) => parseAmount(typed).text === typed));
  });
});

describe('an amount as it stands in Redis', () => {
  test.each([
    ['10.0', '10'],
    ['7.5E-7', '0.00000075'],
    ['1e-05', '0.00001'],
    ['1e+16', '10000000000000000'],
    ['0.02643664999999999982', '0.02643664999999999982'],
    ['0E-10', '0'],
    ['+5', '5'],
    [' 5\n', '5'],
    ['1_000', '1000'],
    ['-0.5', '-0.5'],
    ['5.', '5'],
    ['.25', '0.25'],
    ['-.5', '-0.5'],
    ['1_000_000.000_25', '1000000.00025'],
    ['.00_25', '0.0025'],
    ['12_34.5_67', '1234.567'],
    ['5.e+2', '500'],
    ['+1e+2', '100'],
    ['1e308', `1${'0'.repeat(308)}`],
    ['1__0', '10'],
    ['1_', '1'],
    ['_1._5_', '1.5'],
    ['1e1_0', '10000000000'],
    ['10\x1f', '10'],
    ['\u00a010\u0085', '10'],
    ['１２', '12'],
    ['١٠', '10'],
    ['1e-1999', `0.${'0'.repeat(1998)}1`],
    ['1e-99999', '0'],
    ['0e999', '0'],
    ['1'.repeat(300), '1'.repeat(300)],
    [`0.${'1'.repeat(1001)}`, `0.${'1'.repeat(1001)}`],
  ])('%j is read as the gateway reads it', (text, digits) => {
    expect(toPlainDigits(parseStoredMoney(text)!)).toBe(digits);
  });

  test.each([
    'nan',
    'NaN',
    'inf',
    '-Infinity',
    '',
    ' ',
    'ten',
    '0x10',
    '$5',
    '1,0',
    '1e',
    '1e999',
    '1e99999',
    '1e309',
    '-1.7976931348623159e308',
    '1'.repeat(1001),
    '_',
    '\ufeff10',
    '1\0',
    '1 0',
    '²',
    '.',
    'x5',
    '5x',
    '1e+',
  ])('%j is not an amount', (text) => {
    expect(parseStoredMoney(text)).toBeUndefined();
  });

  test('any number that Python writes as float or Decimal is read exactly', () => {
    const parts = fc.tuple(fc.bigInt({min: 0n, max: 10n ** 28n}), fc.integer({min: -30, max: 30}));
    fc.assert(
      fc.property(parts, ([digits, exponent]) => {
        const exact = new Big(digits.toString()).times(new Big(10).pow(Math.abs(exponent)));
        const read = parseStoredMoney(`${digits}E${exponent}`)!;
        return exponent < 0
          ? read.shift(-exponent).eq(digits.toString())
          : read.eq(exact.toFixed()) && !toPlainDigits(read).includes('e');
      }),
    );
  });
});

test.each([
  ['1.001', '1.01'],
  ['1.01', '1.01'],
  ['0.0000001', '0.01'],
  ['0', '0'],
])('%s rounded up to cents is %s', (amount, cents) => {
  expect(toPlainDigits(roundUpToCents(Decimal.of(amount)))).toBe(cents);
});

describe('an amount on the screen', () => {
  test.each([
    ['25.5', '$25.5000', '$25.50'],
    ['100', '$100.0000', '$100.00'],
    ['0.00000075', '$0.0000', '$0.00000075'],
    ['0.00005', '$0.0000', '$0.00005'],
    ['0.00015', '$0.0002', '$0.00015'],
    ['-3.25', '-$3.2500', '-$3.25'],
    ['0.125', '$0.1250', '$0.125'],
    ['1e16', '$10000000000000000.0000', '$10000000000000000.00'],
  ])('%s is shown as %s, exactly as %s', (digits, rounded, exact) => {
    expect(formatMoney(Decimal.of(digits))).toBe(rounded);
    expect(formatExactMoney(Decimal.of(digits))).toBe(exact);
  });

  test('the exact form reads back to the same amount', () => {
    const amount = fc.tuple(fc.bigInt({min: 0n, max: 10n ** 28n}), fc.integer({min: 0, max: 25}));
    fc.assert(
      fc.property(amount, ([digits, decimals]) => {
        const money = parseStoredMoney(`${digits}E-${decimals}`)!;
        const shown = formatExactMoney(money);
        return /^\$\d+\.\d{2,}$/.test(shown) && new Big(shown.slice(1)).eq(toPlainDigits(money));
      }),
    );
  });

  test('a percentage has one decimal, half to even, and is 100.0 only when it is all', () => {
    expect(
      ['48.44', '12.25', '12.35', '0', '99.94', '99.95', '99.999999', '100', '100.04', '100.06'].map((text) =>
        formatPercentage(Decimal.of(text)),
      ),
    ).toEqual(['48.4%', '12.2%', '12.4%', '0.0%', '99.9%', '99.9%', '99.9%', '100.0%', '100.0%', '100.1%']);
  });
});
