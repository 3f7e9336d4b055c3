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
