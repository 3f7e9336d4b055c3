import {Decimal} from '../../lib/values/decimal.js';
import {toPlainDigits} from '../../lib/values/money.js';
import {showText} from './escape.js';

/**
 * A CSV cell (RFC 4180) with untrusted text. A text that begins with `= + - @` gets an apostrophe, or a spreadsheet
 * would run it as a formula. Otherwise the text is exact, except on a terminal, where it is made safe to show.
 */
export function toCsvCell(exact: string, {isTerminal = false} = {}): string {
  const text = isTerminal ? showText(exact) : exact;
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** A line of CSV: null is an empty cell, a date is ISO 8601 in UTC, and money has all its digits. */
export function toCsvLine(values: readonly unknown[], options: {isTerminal?: boolean}): string {
  const toCell = (value: unknown): string => {
    if (typeof value === 'string') return toCsvCell(value, options);
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Decimal) return toPlainDigits(value);
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
  };
  return `${values.map(toCell).join(',')}\n`;
}
