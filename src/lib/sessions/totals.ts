import {percentageOf, type Session} from '../gateway/session.js';
import {type Money, ZERO} from '../values/money.js';

/** Sums over sessions, without values that are not money. */
export interface Totals {
  count: number;
  budget: Money;
  spent: Money;
  /** Over sessions whose two amounts are both money. */
  remaining: Money;
  /** The part of these sums from sessions in which an amount is not money. */
  partial: {count: number; budget: Money; spent: Money};
}

export const NO_TOTALS: Totals = {
  count: 0,
  budget: ZERO,
  spent: ZERO,
  remaining: ZERO,
  partial: {count: 0, budget: ZERO, spent: ZERO},
};

export function addToTotals(totals: Totals, sessions: readonly Session[]): Totals {
  const sum = (field: 'budget' | 'spent' | 'remaining'): Money =>
    sessions.reduce((total, session) => total.plus(session[field] ?? ZERO), totals[field]);
  return {
    count: totals.count + sessions.length,
    budget: sum('budget'),
    spent: sum('spent'),
    remaining: sum('remaining'),
    partial: sessions.reduce(addPartial, totals.partial),
  };
}

export function addPartial(sum: Totals['partial'], {budget, spent}: Session): Totals['partial'] {
  if (budget !== null && spent !== null) return sum;
  return {count: sum.count + 1, budget: sum.budget.plus(budget ?? ZERO), spent: sum.spent.plus(spent ?? ZERO)};
}

/** Percent of the budget spent, over sessions whose two amounts are both money. */
export function usedOf({budget, spent, partial}: Totals): Money {
  return percentageOf(budget.minus(partial.budget), spent.minus(partial.spent));
}

/** A sentence about what the sums leave out, if anything. */
export function describePartial({count}: Totals['partial']): string[] {
  if (count === 0) return [];
  return [`The sums leave out values of ${count === 1 ? 'one session' : `${count} sessions`} that are not amounts.`];
}
