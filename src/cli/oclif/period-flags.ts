import {Flags} from '@oclif/core';

import {parseTimezone} from '../../lib/periods/calendar.js';
import {ROLLOVERS} from '../../lib/periods/period.js';
import {EVERY, type Schedule} from '../../lib/periods/schedule.js';
import {parseDay, parseTimeOfDay, type ScheduleNames} from '../../lib/periods/terms.js';
import {TokengateError} from '../../lib/values/errors.js';
import {parseAmount, type TypedAmount} from '../../lib/values/money.js';
import {guessNearest} from '../text/did-you-mean.js';

const typedAmountFlag = Flags.custom<TypedAmount>({
  parse: (typed) => Promise.resolve(parseAmount(typed)),
  helpValue: 'AMOUNT',
});

const timezoneFlag = Flags.custom({
  parse: (typed) => Promise.resolve(findTimezone(typed)),
  helpValue: 'ZONE',
});

/** How and when a budget renews. */
export const periodFlags = {
  every: Flags.option({
    options: [...EVERY, 'none'] as const,
    description: 'How often the budget renews; none stops that and leaves the budget as it is',
    required: true,
  })(),
  amount: typedAmountFlag({description: 'Budget of each period, in US dollars'}),
  timezone: timezoneFlag({description: 'Time zone of the period, such as Europe/Berlin (default: UTC)'}),
  at: Flags.string({description: 'Time of day at which a period begins (default: 00:00)', helpValue: 'HH:MM'}),
  on: Flags.string({
    description:
      'First day: of a week, such as monday (default); of a month, 1 (default) to 31 (or the last day of a shorter month)',
    helpValue: 'DAY',
  }),
  rollover: Flags.option({
    options: ROLLOVERS,
    description: 'What a renewal adds to the amount: nothing (default), or what was left of the budget',
  })(),
  'max-rollover': typedAmountFlag({description: 'Maximum to carry over', dependsOn: ['rollover']}),
  'start-fresh': Flags.boolean({description: 'Also set the spending to zero, in the same step'}),
};

/** @throws TokengateError INVALID_TIMEZONE */
export function findTimezone(typed: string): string {
  try {
    return parseTimezone(typed);
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const guess = guessNearest(typed, Intl.supportedValuesOf('timeZone'));
    throw new TokengateError(error.code, error.message, {hint: `${guess}${error.hint ?? ''}`, cause: error});
  }
}

const NAMES: ScheduleNames = {every: '--every', at: '--at', on: '--on'};

/** @throws TokengateError INVALID_USAGE */
export function readSchedule(
  every: Schedule['every'],
  {
    timezone = 'UTC',
    at = '00:00',
    on,
  }: {timezone?: string | undefined; at?: string | undefined; on?: string | undefined},
): Schedule {
  return {every, timezone, at: parseTimeOfDay(at, NAMES), on: parseDay(every, on, NAMES)};
}
