/**
 * A cell of CSV (RFC 4180) with untrusted text. A spreadsheet would take a text that begins with `= + - @` for a
 * formula, so it gets an apostrophe before it.
 */
export function toCsvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
