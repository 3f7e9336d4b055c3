import {describe, expect, test} from 'vitest';

import {listDays, loadDays, parsePeriodName, periodBefore, unitOf} from '../../../../src/lib/spending/days.js';

test.each([
  ['today', '2026-03-01', '2026-03-01'],
  ['yesterday', '2026-02-28', '2026-02-28'],
  ['this-month', '2026-03-01', '2026-03-01'],
  ['last-month', '2026-02-01', '2026-02-28'],
  ['7d', '2026-02-23', '2026-03-01'],
  ['2024-02', '2024-02-01', '2024-02-29'],
  ['2026-12', '2026-12-01', '2026-12-31'],
])('%s of 1 March 2026 is %s to %s', (name, from, to) => {
  expect(parsePeriodName(name, '2026-03-01')).toEqual({from, to});
});

test.each(['', '2026-13', '0d', 'month', '2026-1'])("'%s' is no period", (name) => {
  expect(() => parsePeriodName(name, '2026-03-01')).toThrow('Invalid period');
});

describe('what a period is compared with', () => {
  test.each([
    ['a month, with the one before', ['2026-03-01', '2026-03-31'], ['2026-02-01', '2026-02-28']],
    [
      'the first days of a month, with those of the one before',
      ['2026-03-01', '2026-03-10'],
      ['2026-02-01', '2026-02-10'],
    ],
    [
      'more first days than the month before has, with all of it',
      ['2026-03-01', '2026-03-30'],
      ['2026-02-01', '2026-02-28'],
    ],
    ['any other days, with as many before them', ['2026-03-05', '2026-03-11'], ['2026-02-26', '2026-03-04']],
  ])('%s', (_, [from = '', to = ''], [before, end]) => {
    expect(periodBefore({from, to})).toEqual({from: before, to: end});
  });
});

test('days are in weeks that begin on Monday, and in months', () => {
  expect(['2026-11-29', '2026-11-30'].map((day) => unitOf(day, 'week'))).toEqual(['2026-11-23', '2026-11-30']);
  expect(unitOf('2026-11-30', 'month')).toBe('2026-11');
  expect(listDays({from: '2026-02-27', to: '2026-03-01'})).toEqual(['2026-02-27', '2026-02-28', '2026-03-01']);
});

test('a day begins at midnight of its zone', async () => {
  const {dayOf, startOf} = await loadDays('Europe/Berlin');
  expect(dayOf(new Date('2026-03-28T23:00:00Z'))).toBe('2026-03-29');
  expect(startOf('2026-03-29').toISOString()).toBe('2026-03-28T23:00:00.000Z');
  expect(startOf('2026-03-30').toISOString()).toBe('2026-03-29T22:00:00.000Z');
});
