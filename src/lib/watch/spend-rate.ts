import {Decimal} from '../values/decimal.js';
import {type Money, ZERO} from '../values/money.js';

/**
 * What a session has spent over the last minute, from successive readings. The increases are exact; a fall (a reset, or a
 * correction by hand) says nothing about spending, so the time between those two readings counts as not observed.
 */
export interface Spending {
  /** The last reading. */
  spent: Money;
  at: number;
  /** All increases since the first reading. */
  total: Money;
  /** Earlier values of `total`, oldest first, and when each was read: in milliseconds, moved on by what is not observed. */
  points: {at: number; total: Money}[];
}

/** Spending is taken over the last so many milliseconds, or one interval where that is longer. */
const WINDOW = 60_000;
/** Two points are at least so far apart. */
const SPACING = 5000;
/** Less time than this says too little. Two readings a second apart are enough, whatever the clock makes of that. */
const ENOUGH = 900;

/** @param at the server's time in milliseconds */
export function startSpending(at: number, spent: Money): Spending {
  return {spent, at, total: ZERO, points: [{at, total: ZERO}]};
}

/** Takes in another reading. */
export function addReading(spending: Spending, at: number, spent: Money): void {
  const {points} = spending;
  if (spent !== spending.spent && spent.lt(spending.spent)) {
    for (const point of points) point.at += at - spending.at;
  } else if (spent !== spending.spent) {
    const increase = spent.minus(spending.spent);
    if (increase.gt(ZERO)) spending.total = spending.total.plus(increase);
  }
  spending.spent = spent;
  spending.at = at;
  const last = points.at(-1);
  if (last === undefined || at - last.at >= SPACING) points.push({at, total: spending.total});
  // The oldest is needed while no other is as old as the window.
  while (points[1] !== undefined && at - points[1].at >= WINDOW) points.shift();
}

/** US dollars a minute; null until there is enough data. */
export function rateOf({at, total, points}: Spending): Money | null {
  const [first] = points;
  const elapsed = first === undefined ? 0 : at - first.at;
  if (first === undefined || elapsed < ENOUGH) return null;
  // Nothing spent is what there is most of, and a division takes longer than all else.
  return total === first.total ? ZERO : total.minus(first.total).times(perMinute(elapsed));
}

let factor = {elapsed: 0, value: ZERO};

/** A minute in units of `elapsed`, to 15 digits. Most sessions are observed for equally long. */
function perMinute(elapsed: number): Money {
  if (factor.elapsed !== elapsed) factor = {elapsed, value: Decimal.of((60_000 / elapsed).toPrecision(15))};
  return factor.value;
}
