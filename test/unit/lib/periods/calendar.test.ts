import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {formatInZone, formatIsoInZone, makeCalendar, parseTimezone} from '../../../../src/lib/periods/calendar.js';
import {EVERY, type Schedule} from '../../../../src/lib/periods/schedule.js';
import {fuzz} from '../../../support/fuzz.js';

const spanOf = makeCalendar();

function spanAt(schedule: Partial<Schedule>, now: string): [string, string] {
  const full = {every: 'day', timezone: 'UTC', at: '00:00', on: null, ...schedule} as const;
  const {start, end} = spanOf(full, new Date(now));
  return [start.toISOString(), end.toISOString()];
}

describe('the span that a moment is in', () => {
  test.each<[string, Partial<Schedule>, string, string, string]>([
    ['a day', {}, '2026-11-22T13:00Z', '2026-11-22T00:00Z', '2026-11-23T00:00Z'],
    ['a day begins with its first moment', {}, '2026-11-22T00:00Z', '2026-11-22T00:00Z', '2026-11-23T00:00Z'],
    ['a day at nine, before nine', {at: '09:00'}, '2026-11-22T08:59Z', '2026-11-21T09:00Z', '2026-11-22T09:00Z'],
    ['a day elsewhere', {timezone: 'Asia/Kathmandu'}, '2026-11-22T18:20Z', '2026-11-22T18:15Z', '2026-11-23T18:15Z'],
    ['a week begins on Monday', {every: 'week', on: 1}, '2026-11-22T13:00Z', '2026-11-16T00:00Z', '2026-11-23T00:00Z'],
    ['a week from Sunday', {every: 'week', on: 7}, '2026-11-22T13:00Z', '2026-11-22T00:00Z', '2026-11-29T00:00Z'],
    ['a month', {every: 'month', on: 1}, '2026-11-22T13:00Z', '2026-11-01T00:00Z', '2026-12-01T00:00Z'],
    [
      'a month from the 25th, before it',
      {every: 'month', on: 25},
      '2026-11-22T13:00Z',
      '2026-10-25T00:00Z',
      '2026-11-25T00:00Z',
    ],
    [
      'the 31st of a shorter month is its last day',
      {every: 'month', on: 31},
      '2027-02-28T13:00Z',
      '2027-02-28T00:00Z',
      '2027-03-31T00:00Z',
    ],
    [
      'the 30th in a leap year',
      {every: 'month', on: 30},
      '2028-02-29T13:00Z',
      '2028-02-29T00:00Z',
      '2028-03-30T00:00Z',
    ],
    ['a year', {every: 'year'}, '2026-11-22T13:00Z', '2026-01-01T00:00Z', '2027-01-01T00:00Z'],
    [
      'a year in a zone where it has begun',
      {every: 'year', timezone: 'Pacific/Kiritimati'},
      '2026-12-31T11:00Z',
      '2026-12-31T10:00Z',
      '2027-12-31T10:00Z',
    ],
    [
      'a month over the end of daylight saving',
      {every: 'month', on: 1, timezone: 'Europe/Berlin'},
      '2026-10-31T23:30Z',
      '2026-10-31T23:00Z',
      '2026-11-30T23:00Z',
    ],
    [
      'the first of a time that comes twice',
      {at: '02:30', timezone: 'Europe/Berlin'},
      '2026-10-25T01:00Z',
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ],
    [
      'the first moment after a time that is skipped',
      {at: '02:30', timezone: 'Europe/Berlin'},
      '2026-03-29T01:10Z',
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ],
    [
      'a midnight that is skipped',
      {timezone: 'Africa/Cairo'},
      '2026-04-24T10:00Z',
      '2026-04-23T22:00Z',
      '2026-04-24T21:00Z',
    ],
    [
      'half an hour of daylight saving',
      {at: '02:15', timezone: 'Australia/Lord_Howe'},
      '2026-10-03T16:00Z',
      '2026-10-03T15:30Z',
      '2026-10-04T15:15Z',
    ],
    [
      'a day that was left out',
      {timezone: 'Pacific/Apia'},
      '2011-12-30T10:30Z',
      '2011-12-30T10:00Z',
      '2011-12-31T10:00Z',
    ],
  ])('%s', (_, schedule, now, start, end) => {
    expect(spanAt(schedule, now)).toEqual([new Date(start).toISOString(), new Date(end).toISOString()]);
  });

  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Asia/Kathmandu',
    'Australia/Lord_Howe',
    'Pacific/Chatham',
    'America/St_Johns',
    'Africa/Casablanca',
    'Asia/Gaza',
    'Pacific/Apia',
    'America/Havana',
    'Africa/Cairo',
  ];
  const schedules = fc
    .record({
      every: fc.constantFrom(...EVERY),
      timezone: fc.constantFrom(...zones),
      at: fc
        .tuple(fc.integer({min: 0, max: 23}), fc.integer({min: 0, max: 59}))
        .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`),
      on: fc.integer({min: 1, max: 31}),
    })
    .map((one): Schedule => ({
      ...one,
      on: one.every === 'week' ? ((one.on - 1) % 7) + 1 : one.every === 'month' ? one.on : null,
    }));
  const moments = fc.date({min: new Date('2008-01-01'), max: new Date('2037-12-31'), noInvalidDate: true});

  fuzz(
    'spans cover all time without a gap, whatever the schedule',
    fc.property(schedules, moments, (schedule, now) => {
      const {start, end} = makeCalendar()(schedule, now);
      expect(start <= now && now < end).toBe(true);
      expect(makeCalendar()(schedule, end).start).toEqual(end);
      expect(makeCalendar()(schedule, new Date(start.getTime() - 1)).end).toEqual(start);
    }),
  );

  test('what is remembered is what is found anew', () => {
    fc.assert(
      fc.property(schedules, fc.array(moments, {maxLength: 5}), (schedule, times) => {
        const remembering = makeCalendar();
        for (const now of times) expect(remembering(schedule, now)).toEqual(makeCalendar()(schedule, now));
      }),
      {numRuns: 50},
    );
  });
});

describe('time zones', () => {
  test('are spelt as their database spells them', () => {
    expect(parseTimezone('europe/berlin')).toBe('Europe/Berlin');
    expect(parseTimezone('utc')).toBe('UTC');
  });

  test.each(['', 'Mars/Olympus', 'Europe/Berlim', 'CEST!', '../etc/passwd'])('%j is none', (name) => {
    expect(() => parseTimezone(name)).toThrow(expect.objectContaining({code: 'INVALID_TIMEZONE'}));
  });

  test('a moment is shown on the clock of its zone, with the offset', () => {
    const at = new Date('2026-11-30T23:00:00Z');
    expect(formatInZone(at, 'Europe/Berlin')).toBe('2026-12-01 00:00 +01:00');
    expect(formatIsoInZone(at, 'Europe/Berlin')).toBe('2026-12-01T00:00:00+01:00');
    expect(formatIsoInZone(at, 'UTC')).toBe('2026-11-30T23:00:00+00:00');
  });
});
