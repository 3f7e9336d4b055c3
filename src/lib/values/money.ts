import {Decimal} from './decimal.js';
import {TokengateError} from './errors.js';

/** USD, exact: never a binary float, from the text in Redis to the text on the screen. */
export type Money = Decimal;

export const ZERO: Money = Decimal.of(0);

const TYPED = /^(\d+(\.\d+)?|\.\d+)$/;
/** The gateway computes with 28 significant digits (Python's Decimal), so more could not be kept. */
const MAX_DIGITS = 28;
const MAX_WHOLE_DIGITS = 18;

const STORED = /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d{1,4})?$/i;
/** Past what a Python float can hold (1.8e308, 5e-324); such a text would fill the screen with zeros. */
const MAX_EXPONENT = 400;
const MAX_STORED_LENGTH = 1000;

export interface TypedAmount {
  /** What is written to Redis: the digits as typed, without an exponent. */
  text: string;
  value: Money;
}

/**
 * An amount as an operator types it: plain decimal digits, not negative.
 *
 * @throws TokengateError INVALID_AMOUNT
 */
export function parseAmount(typed: string): TypedAmount {
  const refuse = (why: string): never => {
    throw new TokengateError('INVALID_AMOUNT', `Invalid amount '${typed}': ${why}.`, {
      hint: 'Write US dollars as plain digits, for example 25.50.',
    });
  };
  if (!TYPED.test(typed)) refuse(whyNotPlain(typed));
  const [whole = '', decimals = ''] = typed.split('.');
  const wholeDigits = whole.replace(/^0+(?=\d)/, '') || '0';
  if (wholeDigits.length > MAX_WHOLE_DIGITS || wholeDigits.length + decimals.length > MAX_DIGITS) {
    refuse(`at most ${MAX_WHOLE_DIGITS} digits before the point and ${MAX_DIGITS} in all`);
  }
  const text = decimals === '' ? wholeDigits : `${wholeDigits}.${decimals}`;
  return {text, value: Decimal.of(text)};
}

function whyNotPlain(typed: string): string {
  if (typed.trim() === '') return 'it is empty';
  if (/^-[\d.]/.test(typed)) return 'it is negative';
  if (typed.includes('$')) return 'leave out the currency sign';
  if (/^\d[\d,_' ]*(\.\d+)?$/.test(typed)) return 'leave out thousands separators';
  if (/^\d+(\.\d+)?e[+-]?\d+$/i.test(typed)) return 'leave out the exponent';
  return 'it is not a plain decimal number';
}

/**
 * An amount as it stands in Redis, read the way the gateway reads it (Python's `Decimal(text)`).
 *
 * @returns undefined when it is not a finite number
 */
export function parseStoredMoney(text: string): Money | undefined {
  return Decimal.ofPlain(text) ?? parseAnyMoney(text.trim());
}

function parseAnyMoney(text: string): Money | undefined {
  if (text.length > MAX_STORED_LENGTH || !STORED.test(text)) return undefined;
  const [mantissa = '', power = '0'] = text.replaceAll('_', '').split(/e/i);
  const [whole = '', decimals = ''] = mantissa.split('.');
  const digits = (whole + decimals).replace(/^[+-]?0*/, '');
  if (digits === '') return ZERO;
  const exponent = Number(power) - decimals.length;
  // Before it is made, since it would take as much memory as it has zeros.
  if (Math.abs(digits.length - 1 + exponent) > MAX_EXPONENT) return undefined;
  const amount = Decimal.fromParts(digits, exponent);
  return mantissa.startsWith('-') ? amount.neg() : amount;
}

/** What the gateway takes a stored text for. */
export type GatewayNumber = Money | 'infinity' | '-infinity' | 'nan';

/**
 * A text as the gateway's `Decimal(text)` reads it, what is no finite amount too; a number beyond all money counts as
 * infinite or as 0.
 *
 * @returns undefined when it is not a number
 */
export function parseGatewayNumber(text: string): GatewayNumber | undefined {
  const amount = parseStoredMoney(text);
  if (amount !== undefined) return amount;
  const digits = text.trim();
  if (/^[+-]?s?nan\d*$/i.test(digits)) return 'nan';
  const [, sign, isTiny] = /^([+-]?)(?:inf(?:inity)?|.*e(-?)[+\d]+)$/i.exec(digits) ?? [];
  if (sign === undefined || !(/^[+-]?inf(inity)?$/i.test(digits) || STORED.test(digits))) return undefined;
  if (isTiny === '-' || /^[+-]?[0._]+e/i.test(digits)) return ZERO;
  return sign === '-' ? '-infinity' : 'infinity';
}

/** True for a stored text that the gateway reads as "no limit". */
export function isInfinite(text: string): boolean {
  return /^\+?inf(inity)?$/i.test(text.trim());
}

export function roundUpToCents(amount: Money): Money {
  return amount.round(2, 'up');
}

/** All digits, never an exponent: `0.00000075`. */
export function toPlainDigits(amount: Money): string {
  return amount.toString();
}

/** Four decimals, rounded half to even: `$25.5000`. */
export function formatMoney(amount: Money): string {
  return withDollar(amount.toFixed(4, 'half-even'));
}

/** Every digit, and at least two decimals: `$25.50`, `$0.00000075`. */
export function formatExactMoney(amount: Money): string {
  const digits = amount.toString();
  const decimals = digits.split('.')[1]?.length ?? 0;
  return withDollar(decimals < 2 ? amount.toFixed(2) : digits);
}

/** One decimal, rounded half to even: `48.4%`. What is not all of it does not look as if it were: `99.9%`. */
export function formatPercentage(percentage: Decimal): string {
  const digits = percentage.toFixed(1, 'half-even');
  return digits === '100.0' && percentage.lt(100) ? '99.9%' : `${digits}%`;
}

function withDollar(digits: string): string {
  return digits.startsWith('-') ? `-$${digits.slice(1)}` : `$${digits}`;
}
