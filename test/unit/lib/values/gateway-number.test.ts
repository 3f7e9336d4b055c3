import {readFileSync} from 'node:fs';

import {describe, expect, test} from 'vitest';

import {
  compare,
  type GatewayNumber,
  parseGatewayNumber,
  subtract,
  toFloat,
} from '../../../../src/lib/values/gateway-number.js';

interface Tables {
  numbers: [text: string, value: string | null][];
  differences: [a: string, b: string, difference: string | null][];
}
const {numbers, differences} = JSON.parse(
  readFileSync(new URL('../../../../fixtures/python-tables.json', import.meta.url), 'utf8'),
) as Tables;

/** What Python printed, as this module reads it. */
const toValue = (printed: string | null): GatewayNumber | undefined =>
  printed === null ? undefined : parseGatewayNumber(printed);

function isSame(one: GatewayNumber | undefined, other: GatewayNumber | undefined): boolean {
  if (one === undefined || other === undefined || one === 'nan' || other === 'nan') return one === other;
  return compare(one, other) === 0;
}

describe('as Python does it', () => {
  test('each text is read as a number, or refused', () => {
    expect(numbers.filter(([, value]) => value !== null).length).toBeGreaterThan(300);
    expect(numbers.filter(([text, value]) => !isSame(parseGatewayNumber(text), toValue(value)))).toEqual([]);
  });

  test('each difference is rounded, or refused', () => {
    const wrong = differences.filter(([a, b, difference]) => {
      const [left, right, expected] = [parseGatewayNumber(a)!, parseGatewayNumber(b)!, toValue(difference)];
      // With NaN no comparison works.
      return !isSame(subtract(left, right), expected === 'nan' ? undefined : expected);
    });
    expect(differences.length).toBeGreaterThan(800);
    expect(wrong).toEqual([]);
  });
});

test.each([
  ['10', '10.000', 0],
  ['-0', '0e50', 0],
  ['1e999999', '1e-999999', 1],
  ['-1e999999', '1e-999999', -1],
  ['-2', '-1e1', 1],
  ['123456', '123457', -1],
  ['0.1', '0.09', 1],
  ['0', '-5', 1],
  ['inf', '1e999999999999999999', 1],
  ['-inf', '-1e999999999999999999', -1],
  ['5', 'inf', -1],
  ['5', '-inf', 1],
  ['inf', 'inf', 0],
])('%s and %s compare as %d', (a, b, order) => {
  const [left, right] = [parseGatewayNumber(a), parseGatewayNumber(b)];
  if (left === undefined || right === undefined || left === 'nan' || right === 'nan') throw new Error('no numbers');
  expect(Math.sign(compare(left, right))).toBe(order);
  expect(Math.sign(compare(right, left))).toBe(0 - order);
});

test.each([
  ['1.7976931348623157e308', 1.7976931348623157e308],
  ['1.7976931348623159e308', Infinity],
  ['-1e309', -Infinity],
  ['1e-400', 0],
  ['0.1', 0.1],
  ['inf', Infinity],
  ['-inf', -Infinity],
  ['nan', NaN],
])('%s as a float is %d', (text, float) => {
  expect(toFloat(parseGatewayNumber(text)!)).toBe(float);
});
