import {Decimal} from '../values/decimal.js';
import {type Money, ZERO} from '../values/money.js';

/**
 * Spending over the last minute, from successive readings. Increases are exact. A fall (a reset, or a manual
 * correction) says nothing about spending, so the time between those two readings counts as not observed.
 */
export interface Spending {
  /** The last reading. */
  spent: Money;
  at: number;
  /** All increases since the first reading. */
  total: Money;
  /**
   * Earlier values of `total`, oldest first, and their times in milliseconds, shifted by the time that was not
   * observed.
   */
  points: {at: number; total: Money}[];
}

/** Milliseconds over which a rate is taken, or one interval if that is longer. */
const WINDOW = 60_000;
/** Minimum distance between two points, in milliseconds. */
const SPACING = 5000;
/**
 * Minimum time for a rate, in milliseconds. Two readings a second apart are enough, even if the clock is a little off.
 */
const ENOUGH = 900;

/** @param at the server's time in milliseconds */
export function startSpending(at: number, spent: Money): Spending {
  return {spent, at, total: ZERO, points: [{at, total: ZERO}]};
}

/** Adds another reading. */
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
  // The oldest point stays until another one is as old as the window.
  while (points[1] !== undefined && at - points[1].at >= WINDOW) points.shift();
}

/** US dollars a minute; null until there is enough data. */
export function rateOf({at, total, points}: Spending): Money | null {
  const [first] = points;
  const elapsed = first === undefined ? 0 : at - first.at;
  if (first === undefined || elapsed < ENOUGH) return null;
  // Most sessions have spent nothing, and a division is slower than everything else here.
  return total === first.total ? ZERO : total.minus(first.total).times(perMinute(elapsed));
}

let factor = {elapsed: 0, value: ZERO};

/** A minute in units of `elapsed`, to 15 digits. Most sessions are observed for the same time, so it is kept. */
function perMinute(elapsed: number): Money {
  if (factor.elapsed !== elapsed) factor = {elapsed, value: Decimal.of((60_000 / elapsed).toPrecision(15))};
  return factor.value;
}
