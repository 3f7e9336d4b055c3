import {type Money, ZERO} from '../values/money.js';

/** What the journal tells of one change of what a session has spent. An amount is null where it is not money. */
export interface SpentChange {
  before: Money | null;
  after: Money | null;
  /** It takes off what a request under way had written back: that was not spent again. */
  isTakeOff: boolean;
  /** False for what had begun, on a cluster, and is not known to have been carried out. */
  isComplete: boolean;
}

export interface Reckoning {
  /** Below 0 where more was taken off than was spent since. */
  spent: Money;
  /** By how much spending fell without a change. */
  unaccounted: Money;
  /** What has been spent, as far as it is known. */
  value: Money;
}

/**
 * What was really spent: from what was seen last up to the first change, from what each change left up to the next, and
 * from there to what is there now.
 *
 * @param changes since then, oldest first
 * @param present null where it is not money
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

/** Of a change that may not have been carried out: spending only grows by itself, so what comes next tells. */
function seemsDone({before, after}: SpentChange, next: Money | null): boolean {
  if (before === null || after === null || next === null) return false;
  return after.lt(before) ? next.lt(before) : next.gte(after);
}
