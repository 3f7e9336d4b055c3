import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';
import type {DayCalendar, Days} from './days.js';
import {addDays} from './days.js';
import type {DayRecord, Ledger} from './ledger.js';

/** How completely a period is recorded. */
export interface Coverage extends Days {
  /** The longest time without a recording, in milliseconds; what was spent in it is on the day of the next one. */
  gapMs: number;
  /** Recordings before which the journal had been trimmed. */
  trimmed: number;
  /** False when it begins before the first recording. */
  isWhole: boolean;
  /** By how much spending fell with no entry in the journal. */
  unaccounted: Money;
}

/**
 * What is recorded of a period, without what is unaccounted for.
 *
 * @throws TokengateError NOT_RECORDED when that is nothing
 */
export function coverageOf(
  {days, began, recorded}: Ledger,
  {from, to}: Days,
  {dayOf, startOf}: DayCalendar,
  now: Date,
): Omit<Coverage, 'unaccounted'> {
  const [kept = dayOf(began)] = days.keys();
  const firstDay = dayOf(began) < kept ? kept : dayOf(began);
  if (to < firstDay) {
    throw new TokengateError('NOT_RECORDED', `Nothing is recorded from ${from} to ${to}.`, {
      hint: `The first day that is recorded is ${firstDay}.`,
    });
  }
  const end = Math.min(now.getTime(), startOf(addDays(to, 1)).getTime());
  const within: DayRecord[] = [];
  let after: DayRecord | undefined;
  for (const [day, record] of days) {
    if (day >= from && day <= to) within.push(record);
    else if (day > to) after ??= record;
  }
  const last = within.at(-1)?.last.getTime() ?? Math.max(startOf(from).getTime(), began.getTime());
  // A gap at the end goes on until the next recording, or until now.
  const open = (after?.first.getTime() ?? Math.max(end, recorded.getTime())) - last;
  const isWhole = firstDay < from || (firstDay === from && began <= startOf(from));
  return {
    from: from < firstDay ? firstDay : from,
    to: dayOf(new Date(Math.min(end - 1, Math.max(last, recorded.getTime())))),
    gapMs: Math.max(0, open, ...within.map(({gapMs}) => gapMs)),
    trimmed: within.reduce((sum, {trimmed}) => sum + trimmed, 0),
    isWhole,
  };
}
