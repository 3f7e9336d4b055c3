/**
 * Python's `datetime.fromisoformat` (3.11), as far as a gateway or an operator can have written it: date, any one
 * character, time down to a fraction, perhaps an offset.
 */
const ISO =
  /^(\d{4})-?(\d{2})-?(\d{2})(?:.(\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,](\d+))?)?)?(Z|[+-]\d{2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?)?)?$/su;

export type GatewayTime = {kind: 'time'; at: Date} | {kind: 'offset'} | {kind: 'unreadable'};

/**
 * A time as the gateway reads it: UTC without an offset. With an offset (`Z` too) or unreadable, the gateway answers
 * every request of that session with HTTP 500. Precise to the millisecond.
 */
export function parseGatewayTime(text: string): GatewayTime {
  const match = ISO.exec(text);
  if (!match) return {kind: 'unreadable'};
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', offset] = match;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const at = new Date(0);
  at.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  at.setUTCHours(Number(hour), Number(minute), Number(second), milliseconds);
  const rolledOver =
    at.getUTCMonth() !== Number(month) - 1 ||
    at.getUTCDate() !== Number(day) ||
    at.getUTCHours() !== Number(hour) ||
    at.getUTCMinutes() !== Number(minute) ||
    at.getUTCSeconds() !== Number(second);
  if (rolledOver) return {kind: 'unreadable'};
  return offset === undefined ? {kind: 'time', at} : {kind: 'offset'};
}

/** The only form that the gateway obeys: ISO 8601 in UTC, without `Z`. */
export function formatGatewayTime(at: Date): string {
  return at.toISOString().slice(0, -1);
}

/** `2026-11-22 16:45:22 UTC` */
export function formatUtc(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
