import {formatExactMoney, ZERO} from '../values/money.js';
import {formatUtc} from '../values/time.js';
import {type Grant, parseGrants} from './grants.js';
import {parsePeriod, type Period} from './period.js';
import type {Schedule} from './schedule.js';

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** `every month $50.00`, with day, time and zone unless they are the defaults. */
export function describePeriod(period: Period): string {
  return `every ${describeSchedule(period)} ${formatExactMoney(period.amount.value)}`;
}

/** The same with what a renewal carries over: `every month $50.00, and what is left up to $20.00`. */
export function describeTerms(period: Period): string {
  const {rollover, maxRollover} = period;
  const most = maxRollover === null ? '' : ` up to ${formatExactMoney(maxRollover.value)}`;
  return `${describePeriod(period)}${rollover === 'none' ? '' : `, and what is left${most}`}`;
}

/** What the key of a period holds, in words; what this CLI did not write stays as it is. May hold untrusted text. */
export function describeStoredPeriod(text: string): string {
  const period = parsePeriod(text);
  if (period === undefined) return `'${text}'`;
  const carried = period.carried.value.gt(ZERO) ? ` with ${formatExactMoney(period.carried.value)} carried over` : '';
  return `${describeTerms(period)} (since ${formatUtc(period.renewed)}${carried})`;
}

/** The same of the key of grants: `$5.00 until 2026-12-01 00:00:00 UTC and $2.00 until the next renewal`. */
export function describeStoredGrants(text: string): string {
  const grants = parseGrants(text);
  return grants === undefined ? `'${text}'` : grants.map(describeGrant).join(' and ') || 'none';
}

/** `$5.00 until 2026-12-01 00:00:00 UTC` */
export function describeGrant(grant: Grant): string {
  return `${formatExactMoney(grant.amount.value)} ${describeGrantEnd(grant)}`;
}

/** `until 2026-12-01 00:00:00 UTC`, or that the grant ends with the period. */
export function describeGrantEnd({until}: Grant): string {
  return until === null ? 'until the next renewal' : `until ${formatUtc(until)}`;
}

/** `month`, `week from Tuesday`, `month from day 15 at 09:00 Europe/Berlin`. */
export function describeSchedule({every, on, at, timezone}: Schedule): string {
  const day = on === null || on === 1 ? [] : [`from ${every === 'week' ? (WEEKDAYS[on - 1] ?? '') : `day ${on}`}`];
  const time = at === '00:00' ? [] : [`at ${at}`];
  return [every, ...day, ...time, ...(timezone === 'UTC' ? [] : [timezone])].join(' ');
}
