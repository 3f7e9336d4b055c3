import {formatExactMoney} from '../values/money.js';
import type {Period} from './period.js';
import type {Schedule} from './schedule.js';

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** `every month $50.00`, with the day, time and zone where they are not the usual ones. */
export function describePeriod(period: Period): string {
  return `every ${describeSchedule(period)} ${formatExactMoney(period.amount.value)}`;
}

/** `month`, `week from Tuesday`, `month from day 15 at 09:00 Europe/Berlin`. */
export function describeSchedule({every, on, at, timezone}: Schedule): string {
  const day = on === null || on === 1 ? [] : [`from ${every === 'week' ? (WEEKDAYS[on - 1] ?? '') : `day ${on}`}`];
  const time = at === '00:00' ? [] : [`at ${at}`];
  return [every, ...day, ...time, ...(timezone === 'UTC' ? [] : [timezone])].join(' ');
}
