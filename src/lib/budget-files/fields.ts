import {ROLLOVERS} from '../periods/period.js';
import {EVERY} from '../periods/schedule.js';
import {parseTimeOfDay, type ScheduleNames, TIME_OF_DAY} from '../periods/terms.js';
import {TokengateError} from '../values/errors.js';
import {parseAmount} from '../values/money.js';

/** The only version of the file's format. */
export const VERSION = '1';

/** The names of a schedule's parts in a file. */
export const NAMES: ScheduleNames = {every: 'period', at: 'at', on: 'on'};

/** The values of `period`: how often the budget renews, or `none`. */
export const PERIODS = [...EVERY, 'none'] as const;

interface Field<T> {
  /** The meaning; for people. */
  description: string;
  /** The JSON Schema of the value. */
  schema: object;
  /**
   * Reads the value.
   *
   * @throws TokengateError
   */
  read: (text: string) => T;
}

const AMOUNT_SCHEMA = {
  anyOf: [
    {type: 'number', minimum: 0, exclusiveMaximum: 1e18},
    // At most 18 digits before the point, and 28 in all.
    {
      type: 'string',
      pattern: '^(?!0*[1-9]\\d{18})(?!0*[1-9][\\d.]{28}\\d)(?!0*\\.\\d{28})(\\d+(\\.\\d+)?|\\.\\d+)$',
    },
  ],
};

const amount = (description: string): Field<ReturnType<typeof parseAmount>> => ({
  description,
  schema: AMOUNT_SCHEMA,
  read: parseAmount,
});

const words = <const W extends string>(field: string, description: string, choices: readonly W[]): Field<W> => ({
  description,
  schema: {enum: choices},
  read(text) {
    const word = choices.find((one) => one === text);
    if (word !== undefined) return word;
    throw new TokengateError('INVALID_USAGE', `Invalid ${field} '${text}'.`, {
      hint: `Write one of ${choices.join(', ')}.`,
    });
  },
});

/**
 * The fields of a session and of a rule. They are validated by, and their JSON Schema is made from, these definitions.
 */
export const FIELDS = {
  budget: amount('US dollars to spend now, without grants and without what a renewal carried over'),
  amount: amount('US dollars that each renewal gives; the budget if left out'),
  period: words('period', 'How often the budget renews; none ends that', PERIODS),
  timezone: {
    description: 'Time zone of the period, such as Europe/Berlin (default: UTC)',
    schema: {type: 'string', minLength: 1},
    read: (text) => text,
  } satisfies Field<string>,
  at: {
    description: 'Time of day at which a period begins (default: 00:00)',
    schema: {type: 'string', pattern: TIME_OF_DAY.source},
    read: (text) => parseTimeOfDay(text, NAMES),
  } satisfies Field<string>,
  on: {
    description: 'First day: of a week, such as monday (default); of a month, 1 (default) to 31',
    schema: {type: ['integer', 'string']},
    read: (text) => text,
  } satisfies Field<string>,
  rollover: words('rollover', 'What a renewal adds: nothing (default), or what was left of the budget', ROLLOVERS),
  'max-rollover': amount('US dollars to carry over at most'),
  note: {
    description: 'For people: shown with the difference, and not stored in Redis',
    schema: {type: ['string', 'number', 'boolean']},
    read: (text) => text,
  } satisfies Field<string>,
} as const;

export type FieldName = keyof typeof FIELDS;

/** The type of a field's value. */
type FieldValue<N extends FieldName> = ReturnType<(typeof FIELDS)[N]['read']>;

export type FieldValues = {[N in FieldName]?: FieldValue<N>};

/** Fields that say how a budget renews; they mean nothing without `period`. */
export const OF_PERIOD = ['amount', 'timezone', 'at', 'on', 'rollover', 'max-rollover'] as const;

/** Fields that apply to every entry with a period unless it has its own. */
export const DEFAULTS = ['timezone', 'at'] as const;

export const TOP_LEVEL = ['version', 'scope', 'defaults', 'sessions', 'id_hex', 'rules'] as const;
