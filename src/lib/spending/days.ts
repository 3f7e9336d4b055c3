import {TokengateError} from '../values/errors.js';

/** Consecutive days, by names such as `2026-11-28`, both included. */
export interface Days {
  from: string;
  to: string;
}

/** The calendar of a time zone. */
export interface DayCalendar {
  timezone: string;
  /** The name of the day that contains a moment. */
  dayOf: (at: Date) => string;
  /** The first moment of a day. */
  startOf: (day: string) => Date;
}

/** Loads the time zone database only for a zone that needs it. */
export async function loadDays(timezone: string): Promise<DayCalendar> {
  if (timezone === 'UTC') {
    return {timezone, dayOf: (at) => at.toISOString().slice(0, 10), startOf: (day) => new Date(`${day}T00:00:00Z`)};
  }
  const {formatIsoInZone, startOfDay} = await import('../periods/calendar.js');
  return {
    timezone,
    dayOf: (at) => formatIsoInZone(at, timezone).slice(0, 10),
    startOf: (day) => startOfDay(day, timezone),
  };
}

export function addDays(day: string, count: number): string {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + count);
  return at.toISOString().slice(0, 10);
}

/** All of them, oldest first. */
export function listDays({from, to}: Days): string[] {
  const days: string[] = [];
  for (let day = from; day <= to; day = addDays(day, 1)) days.push(day);
  return days;
}

export const PERIODS = 'this-month, last-month, today, yesterday, 7d or 2026-11';

/**
 * Reads the name of a period.
 *
 * @throws TokengateError INVALID_PERIOD
 */
export function parsePeriodName(typed: string, today: string): Days {
  if (typed === 'today') return {from: today, to: today};
  if (typed === 'yesterday') return {from: addDays(today, -1), to: addDays(today, -1)};
  const month = today.slice(0, 7);
  if (typed === 'this-month') return {from: `${month}-01`, to: today};
  if (typed === 'last-month') return monthOf(addDays(`${month}-01`, -1).slice(0, 7));
  const [, count] = /^([1-9]\d{0,3})d$/.exec(typed) ?? [];
  if (count !== undefined) return {from: addDays(today, 1 - Number(count)), to: today};
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(typed)) return monthOf(typed);
  throw new TokengateError('INVALID_PERIOD', `Invalid period '${typed}'.`, {hint: `Write ${PERIODS}.`});
}

function monthOf(month: string): Days {
  // The 31st day after the first is in the next month, or is its first day.
  const next = addDays(`${month}-01`, 31).slice(0, 7);
  return {from: `${month}-01`, to: addDays(`${next}-01`, -1)};
}

/**
 * Reads a day.
 *
 * @throws TokengateError INVALID_TIME
 */
export function parseDay(typed: string, today: string): string {
  if (typed === 'today') return today;
  if (typed === 'yesterday') return addDays(today, -1);
  const isDay = /^\d{4}-\d\d-\d\d$/.test(typed) && !Number.isNaN(Date.parse(typed)) && addDays(typed, 0) === typed;
  if (isDay) return typed;
  throw new TokengateError('INVALID_TIME', `Invalid day '${typed}'.`, {
    hint: 'Write it like 2026-11-22, or yesterday.',
  });
}

/**
 * The period to compare with: for a month (or its first days) the month before, otherwise the same number of days
 * before.
 */
export function periodBefore({from, to}: Days): Days {
  const count = listDays({from, to}).length;
  const isOfMonth = from.endsWith('-01') && to.slice(0, 7) === from.slice(0, 7);
  if (!isOfMonth) return {from: addDays(from, -count), to: addDays(from, -1)};
  const before = monthOf(addDays(from, -1).slice(0, 7));
  const isWhole = addDays(to, 1).endsWith('-01');
  const last = addDays(before.from, count - 1);
  return isWhole || last > before.to ? before : {from: before.from, to: last};
}

export const UNITS = ['day', 'week', 'month'] as const;
export type Unit = (typeof UNITS)[number];

/** The name of the day, week (its Monday) or month that contains a day. */
export function unitOf(day: string, unit: Unit): string {
  if (unit === 'day') return day;
  if (unit === 'month') return day.slice(0, 7);
  const weekday = new Date(`${day}T00:00:00Z`).getUTCDay();
  return addDays(day, -((weekday + 6) % 7));
}
