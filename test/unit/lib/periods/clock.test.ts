import {describe, expect, test} from 'vitest';

import {makeCalendar} from '../../../../src/lib/periods/calendar.js';
import {findDue, typed} from '../../../../src/lib/periods/renewal.js';
import type {Schedule} from '../../../../src/lib/periods/schedule.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {ZERO} from '../../../../src/lib/values/money.js';

const QUARTER = 15 * 60_000;

/** The clock on the wall, by Node.js and not by the calendar: the day, and the minutes since midnight. */
function makeWallClock(timeZone: string): (at: number) => {day: string; minutes: number} {
  const format = new Intl.DateTimeFormat('en-CA', {
    ...{timeZone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit'},
    ...{hour: '2-digit', minute: '2-digit'},
  });
  return (at) => {
    // `2028-02-29, 02:30`
    const [day = '', time = ''] = format.format(at).split(', ');
    const [hour, minute] = time.split(':').map(Number);
    return {day, minutes: hour! * 60 + minute!};
  };
}

/** On which day of the zone, and when, each renewal comes when the cron line runs every quarter of an hour. */
function renewalDays(schedule: Schedule, from: string, to: string): {renewed: string[]; expected: string[]} {
  const [spanOf, wallClock, reached] = [makeCalendar(), makeWallClock(schedule.timezone), makeReached(schedule)];
  const budget = {state: 'money', text: '50', amount: Decimal.of(50)} as const;
  let period = {
    ...{...schedule, amount: typed(Decimal.of(50)), rollover: 'none' as const, maxRollover: null},
    ...{renewed: new Date(from), carried: typed(ZERO)},
  };
  const [renewed, expected]: [string[], string[]] = [[], []];
  let latest = reached(wallClock(Date.parse(from)));
  for (let at = Date.parse(from); at < Date.parse(to); at += QUARTER) {
    const wall = wallClock(at);
    // A clock that is put back shows a time twice, and one that is put forward passes over it: both have reached it.
    const now = reached(wall);
    if (now > latest) expected.push(`${wall.day} ${at}`);
    if (now > latest) latest = now;
    const due = findDue({period, grants: [], budget, spent: {state: 'absent'}}, new Date(at), spanOf);
    if (due?.period == null) continue;
    renewed.push(`${wall.day} ${at}`);
    period = {...period, renewed: due.period.renewed};
  }
  return {renewed, expected};
}

/** The day, or the month, whose beginning the clock on the wall has come to. */
function makeReached({every, at, on}: Schedule): (wall: {day: string; minutes: number}) => string {
  const [hour = 0, minute = 0] = at.split(':').map(Number);
  const known = new Map<string, string>();
  const find = (day: string, isBefore: boolean): string => {
    const date = new Date(`${day}T00:00Z`);
    if (isBefore) date.setUTCDate(date.getUTCDate() - 1);
    if (every === 'day') return date.toISOString().slice(0, 10);
    // A month that is shorter begins on its last day.
    const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
    const month =
      date.getUTCDate() >= Math.min(on ?? 1, last)
        ? date
        : new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 0));
    return month.toISOString().slice(0, 7);
  };
  return ({day, minutes}) => {
    const isBefore = minutes < hour * 60 + minute;
    const name = `${day} ${isBefore}`;
    const found = known.get(name) ?? find(day, isBefore);
    known.set(name, found);
    return found;
  };
}

describe('over two changes of daylight saving and a leap day, each period is renewed once, on its day', () => {
  test.each([
    ['Europe/Berlin', '02:30', '2027-12-31T12:00Z', '2029-01-02T00:00Z'],
    ['Europe/Berlin', '00:00', '2027-12-31T12:00Z', '2029-01-02T00:00Z'],
    ['America/New_York', '02:00', '2027-12-31T12:00Z', '2029-01-02T12:00Z'],
    ['America/New_York', '01:30', '2027-12-31T12:00Z', '2029-01-02T12:00Z'],
    ['Australia/Lord_Howe', '02:15', '2027-12-31T12:00Z', '2029-01-01T00:00Z'],
    ['Asia/Kathmandu', '23:45', '2027-12-31T12:00Z', '2029-01-01T00:00Z'],
    ['Africa/Cairo', '00:00', '2027-12-31T12:00Z', '2029-01-01T00:00Z'],
    // A day that was left out in 2011, and daylight saving at either end.
    ['Pacific/Apia', '03:15', '2011-03-01T12:00Z', '2012-04-30T12:00Z'],
  ])('of a day in %s at %s', (timezone, at, from, to) => {
    const {renewed, expected} = renewalDays({every: 'day', timezone, at, on: null}, from, to);
    expect(renewed).toEqual(expected);
    expect(renewed.length).toBeGreaterThan(365);
  });

  test.each([
    ['Europe/Berlin', 31, ['2028-01-31', '2028-02-29', '2028-03-31', '2028-04-30']],
    ['America/New_York', 29, ['2028-01-29', '2028-02-29', '2028-03-29', '2028-04-29']],
    ['Asia/Kathmandu', 1, ['2028-02-01', '2028-03-01', '2028-04-01', '2028-05-01']],
  ])('of a month in %s from day %i', (timezone, on, days) => {
    const schedule: Schedule = {every: 'month', timezone, at: '02:30', on};
    const {renewed, expected} = renewalDays(schedule, '2028-01-02T12:00Z', '2029-02-01T12:00Z');
    expect(renewed).toEqual(expected);
    expect(renewed.slice(0, 4).map((one) => one.slice(0, 10))).toEqual(days);
    expect(renewed.length).toBe(13);
  });
});

test('a clock that goes back renews nothing twice, and loses nothing', () => {
  const spanOf = makeCalendar();
  const schedule: Schedule = {every: 'day', timezone: 'Europe/Berlin', at: '00:00', on: null};
  const budget = {state: 'money', text: '50', amount: Decimal.of(50)} as const;
  const period = {
    ...{...schedule, amount: typed(Decimal.of(50)), rollover: 'unused' as const, maxRollover: null},
    ...{renewed: new Date('2026-11-27T12:00Z'), carried: typed(ZERO)},
  };
  const dueAt = (now: string, renewed = period.renewed): Date | undefined =>
    findDue({period: {...period, renewed}, grants: [], budget, spent: {state: 'absent'}}, new Date(now), spanOf)?.period
      ?.renewed;
  const renewed = dueAt('2026-11-27T23:00:01Z');
  expect(renewed).toEqual(new Date('2026-11-27T23:00:01Z'));
  // Another primary has taken over, whose clock is some seconds behind.
  expect(dueAt('2026-11-27T22:59:58Z', renewed)).toBeUndefined();
  expect(dueAt('2026-11-27T23:00:00Z', renewed)).toBeUndefined();
  expect(dueAt('2026-11-28T22:59:59Z', renewed)).toBeUndefined();
  expect(dueAt('2026-11-28T23:00:00Z', renewed)).toEqual(new Date('2026-11-28T23:00:00Z'));
});
