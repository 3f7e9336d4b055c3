import {Temporal} from 'temporal-polyfill';

import {TokengateError} from '../values/errors.js';
import type {Schedule, Span, SpanOf} from './schedule.js';

const UNITS = {day: {days: 1}, week: {weeks: 1}, month: {months: 1}, year: {years: 1}} as const;

/**
 * The name as the database of time zones spells it.
 *
 * @throws TokengateError INVALID_TIMEZONE
 */
export function parseTimezone(name: string): string {
  try {
    return Temporal.Now.zonedDateTimeISO(name).timeZoneId;
  } catch {
    throw new TokengateError('INVALID_TIMEZONE', `Unknown time zone '${name}'.`, {
      hint: 'Write a name such as UTC, Europe/Berlin or America/New_York.',
    });
  }
}

/**
 * Returns a function that finds the span that contains a moment. It remembers its results: thousands of sessions share
 * a few schedules.
 */
export function makeCalendar(): SpanOf {
  const known = new Map<string, Span>();
  return (schedule, now) => {
    const {every, timezone, at, on} = schedule;
    const name = `${every} ${timezone} ${at} ${on ?? ''}`;
    const last = known.get(name);
    if (last !== undefined && last.start <= now && now < last.end) return last;
    const span = findSpan(schedule, now);
    known.set(name, span);
    return span;
  };
}

function findSpan(schedule: Schedule, now: Date): Span {
  const today = Temporal.Instant.fromEpochMilliseconds(now.getTime())
    .toZonedDateTimeISO(schedule.timezone)
    .toPlainDate();
  const first = startingDate(schedule, today);
  // In a zone that skipped a whole day, two of them are the same moment.
  const starts = [-2, -1, 0, 1, 2].map((count) => startAfter(schedule, first, count));
  const start = starts.findLast((one) => one <= now);
  const end = starts.find((one) => one > now);
  if (start === undefined || end === undefined) throw new RangeError('a moment is in no period');
  return {start, end};
}

/**
 * The day on which the period that contains a day begins; for a month its first day, since not every month has the
 * others.
 */
function startingDate({every, on}: Schedule, day: Temporal.PlainDate): Temporal.PlainDate {
  if (every === 'week') return day.subtract({days: (day.dayOfWeek - (on ?? 1) + 7) % 7});
  if (every === 'month') return day.with({day: 1});
  return every === 'year' ? day.with({month: 1, day: 1}) : day;
}

function startAfter({every, on, at, timezone}: Schedule, first: Temporal.PlainDate, count: number): Date {
  const units = UNITS[every];
  const moved = first.add(Object.fromEntries(Object.entries(units).map(([unit, length]) => [unit, length * count])));
  const day = every === 'month' ? moved.with({day: on ?? 1}, {overflow: 'constrain'}) : moved;
  return momentOf(day.toPlainDateTime(at), timezone);
}

/** The first of a local time that occurs twice; the first moment after one that is skipped. */
function momentOf(local: Temporal.PlainDateTime, timezone: string): Date {
  const moment = local.toZonedDateTime(timezone, {disambiguation: 'compatible'});
  const isSkipped = !moment.toPlainDateTime().equals(local);
  // The moment found may be the first one after the gap; the search looks for a transition before it.
  const exact = isSkipped ? (moment.add({nanoseconds: 1}).getTimeZoneTransition('previous') ?? moment) : moment;
  return new Date(exact.epochMilliseconds);
}

/** `2026-12-01 00:00 +01:00`: a moment on the zone's own clock. */
export function formatInZone(at: Date, timezone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(timezone);
  const time = local.toPlainDateTime().toString({smallestUnit: 'minute'});
  return `${time.replace('T', ' ')} ${local.offset}`;
}

/** `2026-12-01T00:00:00+01:00`: the same for a program. */
export function formatIsoInZone(at: Date, timezone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime()).toString({timeZone: timezone, smallestUnit: 'second'});
}

/** The first moment of a day such as `2026-11-28`. */
export function startOfDay(day: string, timezone: string): Date {
  return momentOf(Temporal.PlainDate.from(day).toPlainDateTime(), timezone);
}
