import jsep from 'jsep';

import type {Session} from '../gateway/session.js';
import {TokengateError} from '../values/errors.js';
import {type Money, parseStoredMoney} from '../values/money.js';

/**
 * The facts that an expression can use. Null is an unknown value: neither a comparison with it nor its opposite holds.
 */
export interface FilterFacts {
  id: string;
  budget: Money | null;
  spent: Money | null;
  remaining: Money | null;
  /** Percent. */
  used: Money | null;
  frozen: boolean | null;
}

export interface Filter {
  /** True only if the expression certainly holds. */
  matches: (facts: FilterFacts) => boolean;
  /** False only if the expression certainly does not hold. */
  mayMatch: (facts: FilterFacts) => boolean;
  /** True if the expression uses `frozen`, which takes another read. */
  needsFrozen: boolean;
}

export function passes(filter: Filter, session: Session): boolean {
  return filter.matches(toFacts(session));
}

/**
 * For commands that watch over sessions: also passes a session with unreadable values, unless the filter certainly
 * excludes it.
 */
export function mayPass(filter: Filter, session: Session): boolean {
  return filter.mayMatch(toFacts(session));
}

function toFacts({id, budget, spent, remaining, percentageUsed, freeze}: Session): FilterFacts {
  return {id, budget, spent, remaining, used: percentageUsed, frozen: freeze?.isFrozen ?? null};
}

type Kind = 'number' | 'text' | 'truth';
type Value = Money | string | boolean | null;
interface Node {
  kind: Kind;
  evaluate: (facts: FilterFacts) => Value;
}

const FIELDS: Record<keyof FilterFacts, Kind> = {
  id: 'text',
  budget: 'number',
  spent: 'number',
  remaining: 'number',
  used: 'number',
  frozen: 'truth',
};

const COMPARISONS: Record<string, (order: number) => boolean> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

/** A chain of `||` nests as deep as it is long, and a longer one would overflow the stack. */
const MAX_DEPTH = 1000;

/**
 * Reads a filter expression: comparisons of `id`, `budget`, `spent`, `remaining`, `used` (percent) and `frozen` with
 * constants or each other, `&&`, `||`, `!` and parentheses. Numbers are compared exactly. jsep only parses; nothing is
 * ever run as code.
 *
 * @throws TokengateError INVALID_FILTER
 */
export function parseFilter(text: string): Filter {
  if (text.trim() === '') throw refusal(text, 'it is empty');
  let tree: jsep.Expression;
  try {
    tree = jsep(text);
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep(text);
    throw refusal(text, error instanceof Error ? error.message : String(error));
  }
  const used = new Set<string>();
  const root = compile(tree, text, used, 0);
  if (root.kind !== 'truth') throw refusal(text, 'it is neither true nor false');
  return {
    matches: (facts) => root.evaluate(facts) === true,
    mayMatch: (facts) => root.evaluate(facts) !== false,
    needsFrozen: used.has('frozen'),
  };
}

function compile(node: jsep.Expression, text: string, used: Set<string>, depth: number): Node {
  if (depth > MAX_DEPTH) throw tooDeep(text);
  const sub = (child: unknown): Node => compile(child as jsep.Expression, text, used, depth + 1);
  const truth = (child: Node): Node => {
    if (child.kind !== 'truth') throw refusal(text, '&&, || and ! stand between comparisons');
    return child;
  };
  switch (node.type) {
    case 'Identifier': {
      const {name} = node as jsep.Identifier;
      if (!Object.hasOwn(FIELDS, name)) throw refusal(text, `there is no field '${name}'`);
      const field = name as keyof FilterFacts;
      used.add(field);
      return {kind: FIELDS[field], evaluate: (facts) => facts[field]};
    }
    case 'Literal': {
      const {value, raw} = node as jsep.Literal;
      if (typeof value === 'string') return {kind: 'text', evaluate: () => value};
      if (typeof value === 'boolean') return {kind: 'truth', evaluate: () => value};
      const amount = parseStoredMoney(raw);
      if (amount === undefined) throw refusal(text, `'${raw}' is not a number`);
      return {kind: 'number', evaluate: () => amount};
    }
    case 'UnaryExpression': {
      const {operator, argument} = node as jsep.UnaryExpression;
      const child = sub(argument);
      if (operator === '!') {
        truth(child);
        return {kind: 'truth', evaluate: (facts) => not(child.evaluate(facts) as boolean | null)};
      }
      if (operator !== '-' || child.kind !== 'number') throw refusal(text, `it can't have ${operator} there`);
      return {kind: 'number', evaluate: (facts) => (child.evaluate(facts) as Money | null)?.neg() ?? null};
    }
    case 'BinaryExpression':
    case 'LogicalExpression': {
      const {operator, left, right} = node as jsep.BinaryExpression;
      const [a, b] = [sub(left), sub(right)];
      if (operator === '&&' || operator === '||') return combine(truth(a), truth(b), operator === '&&');
      const holds = COMPARISONS[operator];
      if (holds === undefined) throw refusal(text, `it can't have ${operator}`);
      return compare(a, b, holds, text);
    }
    default:
      throw refusal(text, 'it has more than comparisons, &&, ||, ! and parentheses');
  }
}

/** One side with a certain answer can decide; otherwise unknown stays unknown. */
function combine(a: Node, b: Node, isAnd: boolean): Node {
  return {
    kind: 'truth',
    evaluate(facts) {
      const first = a.evaluate(facts);
      if (first === !isAnd) return first;
      const second = b.evaluate(facts);
      if (second === !isAnd) return second;
      return first === null || second === null ? null : isAnd;
    },
  };
}

function compare(a: Node, b: Node, holds: (order: number) => boolean, text: string): Node {
  if (a.kind !== b.kind) throw refusal(text, `it compares a ${a.kind} with a ${b.kind}`);
  return {
    kind: 'truth',
    evaluate(facts) {
      const [left, right] = [a.evaluate(facts), b.evaluate(facts)];
      return left === null || right === null ? null : holds(orderOf(left, right));
    },
  };
}

function orderOf(left: NonNullable<Value>, right: NonNullable<Value>): number {
  if (typeof left === 'object') return left.cmp(right as Money);
  return left === right ? 0 : left < right ? -1 : 1;
}

function not(value: boolean | null): boolean | null {
  return value === null ? null : !value;
}

function tooDeep(text: string): TokengateError {
  return refusal(`${text.slice(0, 60)}…`, 'it is nested too deeply');
}

function refusal(text: string, why: string): TokengateError {
  return new TokengateError('INVALID_FILTER', `Invalid filter '${text}': ${why.replace(/\.$/, '')}.`, {
    hint: "Fields: id, budget, spent, remaining, used (percent), frozen. For example: --where 'used > 90 && !frozen'",
  });
}
