import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';
import type {DayCalendar, Days} from './days.js';
import {addDays} from './days.js';
import type {DayRecord, Ledger} from './ledger.js';

/** How completely a period is recorded. */
export interface Coverage extends Days {
  /**
   * The longest time without a recording, in milliseconds. Spending in that time counts for the day of the next
   * recording.
   */
  gapMs: number;
  /** The number of recordings that found the journal trimmed. */
  trimmed: number;
  /** False when the period begins before the first recording. */
  isWhole: boolean;
  /** How far spending fell without an entry in the journal. */
  unaccounted: Money;
}

/**
 * How completely a period is recorded, without the unaccounted amounts.
 *
 * @throws TokengateError NOT_RECORDED when nothing is recorded
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
      hint: `The first recorded day is ${firstDay}.`,
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
  // A gap at the end lasts until the next recording, or until now.
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
