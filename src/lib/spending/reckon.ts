import {type Money, ZERO} from '../values/money.js';

/** One change of a session's spending, according to the journal. An amount is null if it is not money. */
export interface SpentChange {
  before: Money | null;
  after: Money | null;
  /** True when it takes off spending that a request under way had written back: that money was not spent again. */
  isTakeOff: boolean;
  /** False for a change that had begun on a cluster, and may not have been carried out. */
  isComplete: boolean;
}

export interface Reckoning {
  /** Negative if more was taken off than was spent since. */
  spent: Money;
  /** How far spending fell without a change. */
  unaccounted: Money;
  /** The amount spent, as far as it is known. */
  value: Money;
}

/**
 * Computes what was really spent: from the last amount seen to the first change, from what each change left to the next
 * one, and from there to the present amount.
 *
 * @param changes since then, oldest first
 * @param present null if it is not money
 */
export function reckon(last: Money, changes: readonly SpentChange[], present: Money | null): Reckoning {
  let [spent, unaccounted, value] = [ZERO, ZERO, last];
  const reach = (amount: Money | null): void => {
    if (amount === null) return;
    const difference = amount.minus(value);
    if (difference.lt(ZERO)) unaccounted = unaccounted.minus(difference);
    else spent = spent.plus(difference);
    value = amount;
  };
  for (const [index, change] of changes.entries()) {
    const {before, after, isTakeOff} = change;
    const next = changes[index + 1]?.before ?? present;
    if (!change.isComplete && !seemsDone(change, next)) continue;
    reach(before);
    if (isTakeOff && before !== null && after !== null) spent = spent.minus(before.minus(after));
    value = after ?? value;
  }
  reach(present);
  return {spent, unaccounted, value};
}

/** Whether a change that may not have been carried out was: spending only grows by itself, so the next amount tells. */
function seemsDone({before, after}: SpentChange, next: Money | null): boolean {
  if (before === null || after === null || next === null) return false;
  return after.lt(before) ? next.lt(before) : next.gte(after);
}
