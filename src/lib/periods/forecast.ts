import {type Money, ZERO} from '../values/money.js';

/**
 * Seconds until a budget is empty, rounded down, or `lasts` when it renews before. Null when it is not known, or never
 * happens.
 *
 * @param rate US dollars a minute
 * @param renewsIn seconds until the budget renews; null when it does not, or when a renewal is overdue
 */
export function forecastEmpty(
  remaining: Money | null,
  rate: Money | null,
  renewsIn: number | null = null,
): number | 'lasts' | null {
  if (remaining === null || rate === null) return null;
  if (remaining.eq(ZERO)) return 0;
  const seconds = rate.gt(ZERO) ? Math.floor(remaining.times(60).div(rate).toNumber()) : null;
  return renewsIn !== null && (seconds === null || seconds >= renewsIn) ? 'lasts' : seconds;
}
