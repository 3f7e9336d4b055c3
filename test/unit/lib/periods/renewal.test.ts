import {describe, expect, test} from 'vitest';

import {ABSENT, type StoredAmount, toAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {makeCalendar} from '../../../../src/lib/periods/calendar.js';
import {formatGrants, type Grant, parseGrants} from '../../../../src/lib/periods/grants.js';
import {formatPeriod, parsePeriod, type Period} from '../../../../src/lib/periods/period.js';
import {findDue} from '../../../../src/lib/periods/renewal.js';
import {parseAmount} from '../../../../src/lib/values/money.js';

const MONTHLY: Period = {
  ...{every: 'month', timezone: 'Europe/Berlin', at: '00:00', on: 1, amount: parseAmount('50.00'), rollover: 'none'},
  ...{maxRollover: null, renewed: new Date('2026-10-31T23:00:00Z'), carried: parseAmount('0')},
};
const BEFORE = new Date('2026-11-30T22:59:59Z');
const AFTER = new Date('2026-11-30T23:00:00Z');
const stored = (text: string | null): StoredAmount => (text === null ? ABSENT : toAmount(text));
const grant = (id: string, amount: string, until: string | null): Grant => ({
  ...{id, amount: parseAmount(amount), until: until === null ? null : new Date(until), note: ''},
});

function dueOf(
  period: Partial<Period> | null,
  budget: string | null,
  spent: string | null,
  now: Date,
  grants: Grant[] = [],
): object | undefined {
  const state = {period: period && {...MONTHLY, ...period}, grants, budget: stored(budget), spent: stored(spent)};
  const due = findDue(state, now, makeCalendar());
  return (
    due && {
      budget: due.budget?.text,
      carried: due.period?.carried.text,
      renewed: due.period?.renewed.toISOString(),
      ended: due.ended.map(({id}) => id),
      live: due.grants.map(({id}) => id),
    }
  );
}

describe('what is due', () => {
  const RENEWED = {carried: '0', renewed: AFTER.toISOString(), ended: [], live: []};

  test('nothing before the period is over, and nothing twice', () => {
    expect(dueOf({}, '50.00', '12', BEFORE)).toBeUndefined();
    expect(dueOf({renewed: AFTER}, '50.00', '12', AFTER)).toBeUndefined();
  });

  test('the amount, whatever the budget was', () => {
    for (const budget of ['50.00', '7', '0', null, 'nan', 'inf']) {
      expect(dueOf({}, budget, '12', AFTER)).toEqual({...RENEWED, budget: '50'});
    }
  });

  test('several missed periods are one', () => {
    expect(dueOf({renewed: new Date('2026-03-01T00:00:00Z')}, '50', '12', AFTER)).toEqual({...RENEWED, budget: '50'});
  });

  test.each([
    ['what was left', null, '50', '12.25', '37.75', '87.75'],
    ['no more than the limit', '20', '50', '12.25', '20', '70'],
    ['nothing of what is overdrawn', null, '50', '50.01', '0', '50'],
    ['all of it where nothing is spent', null, '50', null, '50', '100'],
    ['what was carried before as well', null, '87.75', '1', '86.75', '136.75'],
    ['every digit', null, '50', '0.02643664999999999982', '49.97356335000000000018', '99.97356335000000000018'],
    ['nothing where that is not known', null, 'nan', '1', '0', '50'],
    ['nothing where the spending is not known', null, '50', 'x', '0', '50'],
  ])('carries over %s', (_, limit, budget, spent, carried, after) => {
    const maxRollover = limit === null ? null : parseAmount(limit);
    const due = dueOf({rollover: 'unused', maxRollover}, budget, spent, AFTER);
    expect(due).toEqual({...RENEWED, carried, budget: after});
  });

  test('a grant that goes on stays on top, and one for the period ends with it', () => {
    const grants = [
      grant('a', '5', '2026-12-24T00:00:00Z'),
      grant('b', '7', null),
      grant('c', '1', AFTER.toISOString()),
    ];
    expect(dueOf({rollover: 'unused'}, '63', '40', AFTER, grants)).toEqual({
      ...RENEWED,
      carried: '10',
      budget: '65',
      ended: ['b', 'c'],
      live: ['a'],
    });
  });

  test('a grant that is over is taken off, with or without a period, and never below 0', () => {
    const over = [grant('a', '5', '2026-11-20T00:00:00Z'), grant('b', '7', null)];
    const ended = {carried: undefined, renewed: undefined, ended: ['a'], live: ['b']};
    expect(dueOf(null, '12', '3', BEFORE, over)).toEqual({...ended, budget: '7'});
    expect(dueOf({}, '4', '3', BEFORE, over)).toEqual({...ended, budget: '0'});
    expect(dueOf(null, null, null, BEFORE, over)).toEqual({...ended, budget: undefined});
    expect(dueOf(null, 'nan', null, BEFORE, over)).toEqual({...ended, budget: undefined});
  });
});

describe('what is stored', () => {
  test('a period reads back as it was written, whatever its digits', () => {
    const period = {...MONTHLY, maxRollover: parseAmount('20'), carried: parseAmount('0')};
    expect(parsePeriod(formatPeriod(period))).toEqual(period);
    const carried = {text: `0.${'1'.repeat(60)}`};
    expect(parsePeriod(formatPeriod({...period, carried: {...period.carried, ...carried}}))?.carried.text).toBe(
      carried.text,
    );
  });

  test.each([
    ['', '[]', '{}', 'null', '"month"', formatPeriod(MONTHLY).slice(1)],
    ['"every":"month"', '"every":"hour"'],
    ['"on":1', '"on":32'],
    ['"on":1', '"on":null'],
    ['"on":1', '"on":"1"'],
    ['"at":"00:00"', '"at":"24:00"'],
    ['"amount":"50.00"', '"amount":"-50.00"'],
    ['"amount":"50.00"', '"amount":null'],
    ['"rollover":"none"', '"rollover":"all"'],
    ['"carried":"0"', '"carried":"-1"'],
    ['"renewed":"2026-10-31T23:00:00.000Z"', '"renewed":"yesterday"'],
    ['"renewed":"2026-10-31T23:00:00.000Z"', '"renewed":"2026-13-31T23:00:00.000Z"'],
  ])('what this CLI did not write is no period: %s, %s', (old, ...news) => {
    const good = formatPeriod(MONTHLY);
    for (const text of news) expect(parsePeriod(old === '' ? text : good.replace(old, text))).toBeUndefined();
  });

  test('grants read back as they were written, in ASCII', () => {
    const grants = [
      {...grant('k7', '5.50', null), note: 'für “Lucía” \u202e🎁\n'},
      grant('m2', '1', '2026-12-24T00:00:00Z'),
    ];
    const text = formatGrants(grants);
    expect(text).toMatch(/^[\x20-\x7e]*$/);
    expect(parseGrants(text)).toEqual(grants);
  });

  test.each([
    '',
    '{}',
    '[1]',
    '[{}]',
    '[{"id":"a","amount":"0","until":null,"note":""}]',
    '[{"id":"a","amount":"1","note":""}]',
  ])('%s are no grants', (text) => {
    expect(parseGrants(text)).toBeUndefined();
  });
});
