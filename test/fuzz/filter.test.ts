import {Big} from 'big.js';
import fc from 'fast-check';
import {expect} from 'vitest';

import {type FilterFacts, parseFilter} from '../../src/lib/sessions/filter.js';
import {Decimal} from '../../src/lib/values/decimal.js';
import {TokengateError} from '../../src/lib/values/errors.js';
import {anyString, fuzz} from '../support/fuzz.js';

const NUMBERS = ['budget', 'spent', 'remaining', 'used'] as const;
const ORDERS = ['==', '!=', '<', '<=', '>', '>='] as const;

interface Operand {
  text: string;
  of: (facts: FilterFacts) => Big | string | boolean | null;
}
/** An expression, and what it comes to: null is not known. */
interface Expression {
  text: string;
  of: (facts: FilterFacts) => boolean | null;
}

const amount = fc
  .tuple(fc.integer({min: 0, max: 30}), fc.constantFrom('', '.5', '.00000000000000000001', 'e1', 'E-1'))
  .map(([whole, rest]) => `${whole}${rest}`);
const money = fc.option(amount.map((text) => Decimal.of(text)));
const facts: fc.Arbitrary<FilterFacts> = fc.record({
  id: fc.constantFrom('a', 'b', 'team:a', 'é', "it's"),
  budget: money,
  spent: money,
  remaining: money,
  used: money,
  frozen: fc.option(fc.boolean()),
});

const field = (name: keyof FilterFacts): Operand => ({
  text: name,
  of: (known) => {
    const value = known[name];
    return value instanceof Decimal ? new Big(value.toString()) : value;
  },
});
const number: fc.Arbitrary<Operand> = fc.oneof(
  fc.constantFrom(...NUMBERS).map(field),
  amount.map((text) => ({text, of: () => new Big(text)})),
  amount.map((text) => ({text: `-${text}`, of: () => new Big(text).neg()})),
);
const words: fc.Arbitrary<Operand> = fc.oneof(
  fc.constant(field('id')),
  fc.constantFrom('a', 'team:a', 'é', 'z', '').map((text) => ({text: JSON.stringify(text), of: () => text})),
);
const truth: fc.Arbitrary<Operand> = fc.oneof(
  fc.constant(field('frozen')),
  fc.boolean().map((value) => ({text: String(value), of: () => value})),
);

function compare(left: Big | string | boolean, order: string, right: Big | string | boolean): boolean {
  // Written apart from what is tested: by differences of exact numbers, and by the order of the texts.
  const isLess = left instanceof Big ? left.minus(right as Big).s < 0 && !left.minus(right as Big).eq(0) : left < right;
  const isSame = left instanceof Big ? left.minus(right as Big).eq(0) : left === right;
  return {'==': isSame, '!=': !isSame, '<': isLess, '<=': isLess || isSame, '>': !isLess && !isSame, '>=': !isLess}[
    order
  ]!;
}

const comparison: fc.Arbitrary<Expression> = fc
  .oneof(fc.tuple(number, number), fc.tuple(words, words), fc.tuple(truth, truth))
  .chain(([left, right]) =>
    fc.constantFrom(...ORDERS).map((order) => ({
      text: `${left.text} ${order} ${right.text}`,
      of: (known: FilterFacts) => {
        const [a, b] = [left.of(known), right.of(known)];
        return a === null || b === null ? null : compare(a, order, b);
      },
    })),
  );

const {expression} = fc.letrec<{expression: Expression}>((tie) => ({
  expression: fc.oneof(
    {maxDepth: 4},
    comparison,
    truth.map(({text, of}) => ({text, of: (known: FilterFacts) => of(known) as boolean | null})),
    tie('expression').map(({text, of}) => ({
      text: `!(${text})`,
      of: (known: FilterFacts) => {
        const value = of(known);
        return value === null ? null : !value;
      },
    })),
    fc.tuple(tie('expression'), tie('expression'), fc.boolean()).map(([a, b, isAnd]) => ({
      text: isAnd ? `(${a.text}) && (${b.text})` : `(${a.text}) || (${b.text})`,
      of: (known: FilterFacts) => {
        const values = [a.of(known), b.of(known)];
        if (values.includes(!isAnd)) return !isAnd;
        return values.includes(null) ? null : isAnd;
      },
    })),
  ),
}));

fuzz(
  'an expression comes to what a second reading of it comes to',
  fc.property(expression, facts, ({text, of}, known) => {
    const filter = parseFilter(text);
    expect(filter.matches(known)).toBe(of(known) === true);
    expect(filter.mayMatch(known)).toBe(of(known) !== false);
    expect(filter.needsFrozen).toBe(/\bfrozen\b/.test(text));
  }),
  0.5,
);

const pieces = fc.array(
  fc.oneof(
    fc.constantFrom(
      ...NUMBERS,
      ...ORDERS,
      '&&',
      '||',
      '!',
      '(',
      ')',
      'frozen',
      'id',
      '"a"',
      "'",
      '90',
      '-',
      '1e999',
      '.',
    ),
    fc.constantFrom(
      '?',
      ':',
      '`',
      '[',
      ']',
      '{',
      '}',
      ';',
      ',',
      '=>',
      'this',
      'constructor',
      '__proto__',
      'null',
      '\\',
    ),
    anyString,
  ),
  {maxLength: 10},
);

fuzz(
  'any text is a filter, or is refused',
  fc.property(pieces, fc.constantFrom('', ' '), facts, (list, space, known) => {
    try {
      const filter = parseFilter(list.join(space));
      expect(typeof filter.matches(known)).toBe('boolean');
    } catch (error) {
      expect(error).toBeInstanceOf(TokengateError);
      expect(error).toMatchObject({code: 'INVALID_FILTER'});
    }
  }),
);

fuzz(
  'any depth of brackets is a filter, or is refused',
  fc.property(fc.constantFrom('(', '!', '!(', '[', '-', '{'), fc.integer({min: 1, max: 30_000}), (open, count) => {
    try {
      parseFilter(`${open.repeat(count)}frozen${open.includes('(') ? ')'.repeat(count) : ''}`).matches(
        {} as FilterFacts,
      );
    } catch (error) {
      expect(error).toMatchObject({code: 'INVALID_FILTER'});
    }
  }),
  20,
);
