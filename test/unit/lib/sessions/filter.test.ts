import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {type FilterFacts, parseFilter} from '../../../../src/lib/sessions/filter.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {anyCharacter} from '../../../support/fuzz.js';

const facts: FilterFacts = {
  id: 'team:alpha',
  budget: Decimal.of('10'),
  spent: Decimal.of('9.00000000000000000001'),
  remaining: Decimal.of('0.99999999999999999999'),
  used: Decimal.of('90.0000000000000000001'),
  frozen: false,
};
const invalid: FilterFacts = {...facts, budget: null, remaining: null, used: null, frozen: null};

describe('a filter', () => {
  test.each([
    ['used > 90', true],
    ['used > 90 && !frozen', true],
    ['used > 90.0000000000000000001', false],
    ['spent == 9', false],
    ['spent == 9.00000000000000000001', true],
    ['budget != 10', false],
    ['budget >= 1e1', true],
    ['remaining < 1 || frozen', true],
    ['!(remaining < 1) || frozen', false],
    ['id == "team:alpha"', true],
    ["id < 'team:b'", true],
    ['frozen == false', true],
    ['spent < budget', true],
    ['budget > -5', true],
    ['true', true],
    ['false', false],
    ['frozen != false', false],
    ['spent != 9', true],
    ['spent < 9.00000000000000000001', false],
    ['spent <= 9.00000000000000000001', true],
    ['spent <= 9', false],
    ['spent >= 10', false],
    ['id < "team:alpha"', false],
    ['id > "team:alpha"', false],
    ['id > "team:a"', true],
    ['id < "team:a"', false],
    ['-spent < -9', true],
    ['budget > 1 && spent > 100', false],
    ['spent > 100 || budget > 100', false],
    ['(used > 50 && used < 60) || (used > 80)', true],
    ['used > 50 && used < 60 || used > 80', true],
  ])('%s: %s', (text, matches) => {
    expect(parseFilter(text).matches(facts)).toBe(matches);
  });

  test.each(['used > 0', '!(used > 0)', 'used == used', 'frozen', '!frozen', 'used > 0 && frozen', 'budget != 1'])(
    'what is not known matches neither %s nor its opposite',
    (text) => {
      expect(parseFilter(text).matches(invalid)).toBe(false);
      expect(parseFilter(`!(${text})`).matches(invalid)).toBe(false);
    },
  );

  test('what is known can decide all the same', () => {
    expect(parseFilter('spent > 1 || used > 0').matches(invalid)).toBe(true);
    expect(parseFilter('!(spent < 1 && used > 0)').matches(invalid)).toBe(true);
    expect(parseFilter('used > 0 || spent > 1').matches(invalid)).toBe(true);
    expect(parseFilter('!(used > 0 && spent < 1)').matches(invalid)).toBe(true);
  });

  test.each([
    ['used > 0', true],
    ['used > 0 && spent > 1', true],
    ['spent > 1 && used > 0', true],
    ['used > 0 && spent < 1', false],
    ['spent < 1 && used > 0', false],
    ['spent < 1 || used > 0', true],
    ['used > 0 || spent < 1', true],
    ['-used < 0', true],
    ['spent > used', true],
    ['spent > 1', true],
    ['spent < 1', false],
  ])('%s may hold, as far as it is known: %s', (text, mayMatch) => {
    expect(parseFilter(text).mayMatch(invalid)).toBe(mayMatch);
  });

  test.each([
    ['', 'it is empty'],
    ['used', 'neither true nor false'],
    ['  ', 'it is empty'],
    ['used > ', 'expression'],
    ['+used > 1', "can't have + there"],
    ['-id == "a"', "can't have - there"],
    ['~used > 1', "can't have ~ there"],
    ['used > "90"', 'compares a number with a text'],
    ['used = 90', ''],
    ['used + 1 > 90', "can't have +"],
    ['price > 1', "no field 'price'"],
    ['constructor', "no field 'constructor'"],
    ['__proto__ == 1', "no field '__proto__'"],
    ['process.exit()', 'more than comparisons'],
    ['id.length > 1', 'more than comparisons'],
    ['used > 1; used > 2', 'more than comparisons'],
    ['used && frozen', 'stand between comparisons'],
    ['!used', 'stand between comparisons'],
    ['used > 1e999', 'not a number'],
    ['[1] == [1]', 'more than comparisons'],
    ['this == 1', 'more than comparisons'],
    ['used === 1', "can't have ==="],
    ['-'.repeat(3000) + '1 < used', 'nested too deeply'],
    ['('.repeat(100_000), 'nested too deeply'],
    [`frozen${' || frozen'.repeat(1001)}`, 'nested too deeply'],
  ])('%.40j is refused: %s', (text, why) => {
    expect(() => parseFilter(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_FILTER',
        message: expect.stringContaining(why),
        hint: expect.stringContaining('--where'),
      }),
    );
  });

  test('any text is a filter or is refused', () => {
    const words = fc.constantFrom(
      'used',
      '>',
      '90',
      '&&',
      '!',
      '(',
      ')',
      'frozen',
      '"',
      'id',
      '==',
      '||',
      '?',
      ':',
      '`',
      '.',
    );
    const text = fc.oneof(
      fc.string({unit: anyCharacter}),
      fc.array(words).map((list) => list.join(' ')),
    );
    fc.assert(
      fc.property(text, (expression) => {
        try {
          parseFilter(expression).matches(facts);
        } catch (error) {
          expect(error).toMatchObject({code: 'INVALID_FILTER'});
        }
      }),
    );
  });

  test('a long list of IDs is not too deep', () => {
    const text = Array.from({length: 1000}, (_, index) => `id == "s${index}"`).join(' || ');
    expect(parseFilter(text).matches({...facts, id: 's999'})).toBe(true);
    expect(parseFilter(text).matches({...facts, id: 's1000'})).toBe(false);
  });

  test('says whether it must know what is frozen', () => {
    expect(parseFilter('!frozen').needsFrozen).toBe(true);
    expect(parseFilter('used > 1').needsFrozen).toBe(false);
  });
});
