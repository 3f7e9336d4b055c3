import {keptByText} from '../values/kept.js';
import {parseAmount, parseStoredMoney, type TypedAmount, ZERO} from '../values/money.js';
import {isTimezone} from '../values/time.js';
import {EVERY, type Schedule} from './schedule.js';

export const ROLLOVERS = ['none', 'unused'] as const;

/** A budget that renews, as it is stored beside its session. */
export interface Period extends Schedule {
  /** USD that each renewal gives. */
  amount: TypedAmount;
  /** What a renewal adds: nothing, or what was left of the budget. */
  rollover: (typeof ROLLOVERS)[number];
  /** Maximum amount to carry over, in USD; null without a limit. */
  maxRollover: TypedAmount | null;
  /** When the budget was last renewed, or set to renew, by the server's clock. */
  renewed: Date;
  /** USD that the last renewal carried over. */
  carried: TypedAmount;
}

/** Of the periods in use. */
const texts = new WeakMap<Period, string>();

/** ASCII, so that its bytes are its text. */
export function formatPeriod(period: Period): string {
  const known = texts.get(period);
  if (known !== undefined) return known;
  const {every, timezone, at, on, amount, rollover, maxRollover, renewed, carried} = period;
  const text = JSON.stringify({
    ...{every, timezone, at, on, amount: amount.text, rollover},
    ...{max_rollover: maxRollover?.text ?? null, renewed: renewed.toISOString(), carried: carried.text},
  });
  texts.set(period, text);
  return text;
}

const parseKept = keptByText(parse);

/** @returns undefined for a value that this CLI did not write, and for a time zone that this Node.js does not know */
export function parsePeriod(text: string): Period | undefined {
  return parseKept(text);
}

function parse(text: string): Period | undefined {
  try {
    const stored = JSON.parse(text) as Record<string, unknown>;
    const {every, timezone, at, on, rollover, max_rollover: maxRollover} = stored;
    const schedule = {every, timezone, at, on} as Schedule;
    const isValid = isSchedule(schedule) && ROLLOVERS.includes(rollover as Period['rollover']);
    if (!isValid) return undefined;
    return {
      ...schedule,
      amount: parseAmount(String(stored['amount'])),
      rollover: rollover as Period['rollover'],
      maxRollover: maxRollover === null ? null : parseAmount(maxRollover as string),
      renewed: parseStoredTime(stored['renewed']),
      carried: parseCarried(stored['carried']),
    };
  } catch {
    return undefined;
  }
}

/** The time zone in a stored period, readable or not. */
export function storedTimezone(text: string): string | undefined {
  try {
    const {timezone} = JSON.parse(text) as Record<string, unknown>;
    return typeof timezone === 'string' ? timezone : undefined;
  } catch {
    return undefined;
  }
}

/** It may have more digits than an operator can type: it is the rest of an amount that the gateway wrote. */
function parseCarried(text: unknown): TypedAmount {
  const value = typeof text === 'string' ? parseStoredMoney(text) : undefined;
  if (value === undefined || value.lt(ZERO)) throw new TypeError('no amount');
  return {text: String(text), value};
}

function isSchedule({every, timezone, at, on}: Schedule): boolean {
  const days = every === 'week' ? 7 : every === 'month' ? 31 : 0;
  const isDay = days === 0 ? on === null : Number.isInteger(on) && Number(on) >= 1 && Number(on) <= days;
  const isTime = typeof at === 'string' && /^([01]\d|2[0-3]):[0-5]\d$/.test(at);
  return EVERY.includes(every) && typeof timezone === 'string' && isTimezone(timezone) && isTime && isDay;
}

/** In the form of `toISOString`. */
export function parseStoredTime(text: unknown): Date {
  const at = new Date(typeof text === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? text : NaN);
  if (Number.isNaN(at.getTime())) throw new TypeError('no time');
  return at;
}
