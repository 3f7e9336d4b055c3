import {showText} from './escape.js';

/**
 * A cell of CSV (RFC 4180) with untrusted text. A spreadsheet would take a text that begins with `= + - @` for a
 * formula, so it gets an apostrophe before it. On a terminal what is otherwise exact is made safe to show.
 */
export function toCsvCell(exact: string, {isTerminal = false} = {}): string {
  const text = isTerminal ? showText(exact) : exact;
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
