import {Decimal} from '../values/decimal.js';
import {compare, type GatewayNumber, parseGatewayNumber, subtract, toFloat} from '../values/gateway-number.js';
import {type Money, parseStoredMoney, toMoney, toPlainDigits} from '../values/money.js';
import {NOT_UTF8, quoteStart, WRONG_TYPE} from './stored-text.js';
import type {Held} from './stored-value.js';

/** What a gateway without a setting of its own gives a session at its first request. */
export const DEFAULT_BUDGET: Money = Decimal.of(10);

/** A warning about a budget of 0. */
export const ONLY_A_FREEZE_BLOCKS =
  'A budget of 0 lets requests pass whose estimate is not above 0, as with a negative max_tokens: only a freeze blocks a session for certain.';

/** The values of a session's budget key and spent key. */
export interface HeldMoney {
  budget: Held;
  spent: Held;
}

/** How the gateway answers a request because of its session's money. */
export interface BudgetJudgement {
  /** Null when the request passes. */
  answer: 429 | 500 | 503 | null;
  /** Why the request fails, as in "because …"; null when it does not fail. May hold untrusted text. */
  problem: string | null;
  /** Null when it is not money. */
  budget: Money | null;
  spent: Money | null;
  /** Budget less spent, as the gateway computes it. */
  left: Money | null;
  /** True when no request is ever refused. */
  isUnlimited: boolean;
}

/**
 * Judges as the gateway does: it subtracts with 28 digits, refuses with HTTP 429 when less is left than it estimates,
 * and fails when it can't read an amount, or can't write one into the JSON of its refusal.
 *
 * @param options.cost the gateway's estimate; null for any cost above 0
 * @param options.defaultBudget of a session without a budget
 */
export function judgeBudget(
  held: HeldMoney,
  {cost, defaultBudget}: {cost: Money | null; defaultBudget: Money},
): BudgetJudgement {
  const money = (stored: Held): Money | null =>
    typeof stored === 'string' ? (parseStoredMoney(stored) ?? null) : null;
  const none = {answer: null, problem: null, left: null, isUnlimited: false};
  const facts: BudgetJudgement = {
    ...none,
    budget: held.budget === false ? defaultBudget : money(held.budget),
    spent: money(held.spent === false ? '0' : held.spent),
  };
  const budget = readNumber(held.budget === false ? toPlainDigits(defaultBudget) : held.budget);
  if ('problem' in budget) return {...facts, ...budget, problem: `the budget is ${budget.problem}`};
  const spent = readNumber(held.spent === false ? '0' : held.spent);
  if ('problem' in spent) return {...facts, ...spent, problem: `what is spent is ${spent.problem}`};
  const left = subtract(budget.number, spent.number);
  if (left === undefined || left === 'nan') {
    const isInfinite = typeof budget.number === 'string';
    const why = isInfinite ? 'are both infinite' : 'are too far apart for the gateway';
    return {...facts, answer: 503, problem: `the budget and what is spent ${why}`};
  }
  const known = {...facts, left: typeof left === 'object' ? (toMoney(left) ?? null) : null};
  if (isEnough(left, cost)) return {...known, isUnlimited: toFloat(left) === Infinity};
  // The gateway can't write an amount into JSON that exceeds a binary float.
  const amounts = [
    ['the budget', budget.number],
    ['what is spent', spent.number],
    ['what is left', left],
  ] as const;
  const [which] = amounts.find(([, number]) => !Number.isFinite(toFloat(number))) ?? [];
  if (which === undefined) return {...known, answer: 429};
  return {...known, answer: 500, problem: `${which} is beyond what the JSON of the gateway's refusal can hold`};
}

function isEnough(left: Exclude<GatewayNumber, 'nan'>, cost: Money | null): boolean {
  const estimate = parseGatewayNumber(cost === null ? '0' : toPlainDigits(cost));
  if (estimate === undefined || estimate === 'nan') return false;
  const order = compare(left, estimate);
  // An unknown cost is above 0.
  return cost === null ? order > 0 : order >= 0;
}

type Readable = {number: Exclude<GatewayNumber, 'nan'>} | {answer: 500 | 503; problem: string};

function readNumber(stored: Held): Readable {
  if (typeof stored !== 'string') return {answer: 503, problem: WRONG_TYPE};
  if (!stored.isWellFormed()) return {answer: 500, problem: `${quoteStart(stored)}, which is ${NOT_UTF8}`};
  const number = parseGatewayNumber(stored);
  if (number !== undefined && number !== 'nan') return {number};
  return {answer: 503, problem: `${quoteStart(stored)}, which is not an amount`};
}
