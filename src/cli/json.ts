import {Big} from 'big.js';

import {toPlainDigits} from '../lib/money.js';
import {escapeJson} from './text.js';

/**
 * JSON in which an amount of money is a number with all its digits (a JavaScript number would lose some), and no
 * character can act on a terminal. Dates are ISO 8601 in UTC.
 */
export function stringifyJson(value: unknown, indent = ''): string {
  return write(value, indent === '' ? '' : '\n', indent);
}

/** A JSON array of many elements, piece by piece; the same text as `stringifyJson` with an indent of two. */
export function* stringifyArray(elements: Iterable<unknown>): Generator<string> {
  let separator = '[\n  ';
  for (const element of elements) {
    yield separator + write(element, '\n  ', '  ');
    separator = ',\n  ';
  }
  yield separator.startsWith(',') ? '\n]\n' : '[]\n';
}

function write(value: unknown, newline: string, indent: string): string {
  if (value instanceof Big) return toPlainDigits(value);
  if (value === null || typeof value !== 'object') return escapeJson(JSON.stringify(value));
  if (value instanceof Date) return JSON.stringify(value);
  const inner = newline + indent;
  const colon = newline === '' ? ':' : ': ';
  const parts = Array.isArray(value)
    ? value.map((element) => write(element, inner, indent))
    : Object.entries(value).map(
        ([key, field]) => escapeJson(JSON.stringify(key)) + colon + write(field, inner, indent),
      );
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return parts.length === 0 ? `${open}${close}` : `${open}${inner}${parts.join(`,${inner}`)}${newline}${close}`;
}
