import {Decimal} from './decimal.js';
import {TokengateError} from './errors.js';
import {type Finite, parseGatewayNumber, toFloat} from './gateway-number.js';

/** US dollars, exact: never a binary float, from the text in Redis to the text on the screen. */
export type Money = Decimal;

export const ZERO: Money = Decimal.of(0);

const TYPED = /^(\d+(\.\d+)?|\.\d+)$/;
/** The gateway computes with 28 significant digits (Python's Decimal), so more would be lost. */
const MAX_DIGITS = 28;
const MAX_WHOLE_DIGITS = 18;

/** The form that the gateway and this CLI write. */
const PLAIN = /^\d{1,300}(\.\d{1,300})?$/;
/** Digits after the point to keep of a stored amount; anything smaller counts as nothing. */
const MAX_DECIMALS = 2000;

export interface TypedAmount {
  /** The text to write to Redis: the digits as typed, without an exponent. */
  text: string;
  value: Money;
}

/**
 * Reads an amount that an operator typed: plain decimal digits, not negative.
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
  if (/^\d*,(\d{1,2}|\d{4,})$/.test(typed)) return `use a point: ${typed.replace(',', '.')}`;
  if (/^\d[\d,_' ]*(\.\d+)?$/.test(typed)) return 'leave out thousands separators';
  if (/^\d+(\.\d+)?e[+-]?\d+$/i.test(typed)) return 'leave out the exponent';
  return 'it is not a plain decimal number';
}

/**
 * Reads an amount in Redis the way the gateway does (Python's `Decimal(text)`).
 *
 * @returns undefined when it is not a finite number, or too large for the gateway's JSON, which has binary floats
 */
export function parseStoredMoney(text: string): Money | undefined {
  const plain = Decimal.ofPlain(text);
  if (plain !== undefined) return plain;
  if (PLAIN.test(text)) return Decimal.of(text);
  const value = parseGatewayNumber(text);
  return typeof value === 'object' ? toMoney(value) : undefined;
}

/** @returns undefined when a binary float can't hold it */
export function toMoney(value: Finite): Money | undefined {
  if (!Number.isFinite(toFloat(value))) return undefined;
  const digits = String(value.coefficient);
  // Checked first: the number would take as much memory as it has zeros.
  if (value.coefficient === 0n || digits.length + value.exponent < -MAX_DECIMALS) return ZERO;
  return Decimal.fromParts(digits, value.exponent).round(MAX_DECIMALS, 'half-even');
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

/** One decimal, rounded half to even: `48.4%`. Anything below 100 % stays below it: `99.9%`. */
export function formatPercentage(percentage: Decimal): string {
  const digits = percentage.toFixed(1, 'half-even');
  return digits === '100.0' && percentage.lt(100) ? '99.9%' : `${digits}%`;
}

function withDollar(digits: string): string {
  return digits.startsWith('-') ? `-$${digits.slice(1)}` : `$${digits}`;
}
