import {TokengateError} from '../values/errors.js';
import type {Period} from './period.js';
import type {Schedule} from './schedule.js';

export const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
/** Minimum number of letters of a weekday. */
export const FEWEST_LETTERS = 2;
export const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d$/;

/** A period without the state of its renewals. */
export type Terms = Omit<Period, 'renewed' | 'carried'>;

/** The names of a schedule's parts where they are typed. */
export interface ScheduleNames {
  every: string;
  at: string;
  on: string;
}

/** @throws TokengateError INVALID_USAGE */
export function parseTimeOfDay(typed: string, {at}: ScheduleNames): string {
  if (TIME_OF_DAY.test(typed)) return typed;
  throw new TokengateError('INVALID_USAGE', `Invalid time of day '${typed}' for ${at}.`, {
    hint: 'Write it like 09:30.',
  });
}

/**
 * The day on which a period begins.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function parseDay(every: Schedule['every'], typed: string | undefined, names: ScheduleNames): Schedule['on'] {
  if (every === 'week') {
    const index =
      typed === undefined
        ? 0
        : WEEKDAYS.findIndex((day) => typed.length >= FEWEST_LETTERS && day.startsWith(typed.toLowerCase()));
    if (index !== -1) return index + 1;
    throw new TokengateError('INVALID_USAGE', `Invalid day of the week '${typed ?? ''}' for ${names.on}.`, {
      hint: `Write one of ${WEEKDAYS.join(', ')}.`,
    });
  }
  if (every === 'month') {
    const day = typed === undefined ? 1 : /^\d\d?$/.test(typed) ? Number(typed) : 0;
    if (day >= 1 && day <= 31) return day;
    throw new TokengateError('INVALID_USAGE', `Invalid day of the month '${typed ?? ''}' for ${names.on}.`, {
      hint: 'Write a number from 1 to 31; a shorter month takes its last day.',
    });
  }
  if (typed === undefined) return null;
  throw new TokengateError('INVALID_USAGE', `${names.on} goes with ${names.every} week or month, not with ${every}.`);
}

/** A day as `parseDay` reads it. */
export function formatDay(every: Schedule['every'], on: number): string {
  return every === 'week' ? (WEEKDAYS[on - 1] ?? '') : String(on);
}
