/**
 * One line of CSV (RFC 4180, but a plain line feed at the end): an untrusted text, then numbers. A spreadsheet would take
 * a text that begins with `= + - @` for a formula, so it gets an apostrophe before it.
 */
export function toCsvLine(text: string, numbers: readonly string[]): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  const quoted = /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  return `${[quoted, ...numbers].join(',')}\n`;
}
