import {TokengateError} from './errors.js';

/**
 * Python's `datetime.fromisoformat` (3.11), as far as a gateway or an operator can have written it: date, any one
 * character, time down to a fraction, perhaps an offset. Dashes and colons stand everywhere or nowhere. U+FFFD is what
 * is read in place of bytes that are no text.
 */
const ISO =
  /^(?!0000)(\d{4})(-?)(\d{2})\2(\d{2})(?:[^\ufffd](\d{2})(?:(:?)(\d{2})(?:\6(\d{2}))?)?(?:[.,](\d+))?(Z|([+-])(\d{2}):?(\d{2})(?::?(\d{2})(?:\.\d+)?)?)?)?$/su;

/** With an offset, `at` is the moment that was meant. */
export type GatewayTime = {kind: 'time'; at: Date} | {kind: 'offset'; at: Date} | {kind: 'unreadable'};

/**
 * A time as the gateway reads it: UTC without an offset. With an offset (`Z` too) or unreadable, the gateway answers
 * every request of that session with HTTP 500. Precise to the millisecond.
 */
export function parseGatewayTime(text: string): GatewayTime {
  const match = ISO.exec(text);
  if (!match) return {kind: 'unreadable'};
  const [, year, , month, day, hour = '0', , minute = '0', second = '0', fraction = '', offset, ...shift] = match;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const at = new Date(0);
  at.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  at.setUTCHours(Number(hour), Number(minute), Number(second), milliseconds);
  // What is too large shows in the next larger: a day in the month, a minute in the hour.
  const rolledOver =
    at.getUTCMonth() !== Number(month) - 1 ||
    at.getUTCHours() !== Number(hour) ||
    at.getUTCMinutes() !== Number(minute);
  if (rolledOver) return {kind: 'unreadable'};
  if (offset === undefined) return {kind: 'time', at};
  const [sign, hours = '0', minutes = '0', seconds = '0'] = shift;
  // Python takes no offset of a day or more.
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return {kind: 'unreadable'};
  const length = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return {kind: 'offset', at: new Date(at.getTime() - (sign === '-' ? -length : length))};
}

/** The only form that the gateway obeys: ISO 8601 in UTC, without `Z`. */
export function formatGatewayTime(at: Date): string {
  return at.toISOString().slice(0, -1);
}

/** `2026-11-22 16:45:22 UTC` */
export function formatUtc(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

const UNITS: Record<string, number> = {w: 604_800, d: 86_400, h: 3600, m: 60, s: 1};

/** Each unit once, the larger before the smaller: `1h2h` is a slip of the keys, and not three hours. */
const DURATION = new RegExp(
  `^(?=.)${Object.keys(UNITS)
    .map((unit) => `(?:(\\d{1,9})${unit})?`)
    .join('')}$`,
);

/**
 * A length of time such as `30m`, `2h`, `7d` or `1h30m`.
 *
 * @returns seconds
 * @throws TokengateError INVALID_DURATION
 */
export function parseDuration(typed: string): number {
  const counts: (string | undefined)[] = DURATION.exec(typed)?.slice(1) ?? [];
  const lengths = Object.values(UNITS);
  const seconds = counts.reduce((sum, count, index) => sum + Number(count ?? 0) * (lengths[index] ?? 0), 0);
  if (seconds === 0) {
    throw new TokengateError('INVALID_DURATION', `Invalid length of time '${typed}'.`, {
      hint: 'Write a number and w, d, h, m or s, each unit once and the larger first: 30m, 2h or 1h30m.',
    });
  }
  return seconds;
}

/** `45s`, `4m21s`, `2h5m` or `3d4h`: its two largest units, as `parseDuration` reads them; of part of a second, one. */
export function formatDuration(milliseconds: number): string {
  let left = Math.max(1, Math.ceil(milliseconds / 1000));
  const parts: string[] = [];
  for (const [unit, length] of Object.entries({d: 86_400, h: 3600, m: 60, s: 1})) {
    const count = Math.floor(left / length);
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    left %= length;
  }
  return parts.slice(0, 2).join('');
}

/**
 * A point in time as an operator types it: ISO 8601, local time unless it ends in `Z` or an offset; a date alone is its
 * first moment.
 *
 * @throws TokengateError INVALID_TIME
 */
export function parseTime(typed: string): Date {
  const [, date, time, offset = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(typed) ?? [];
  const zone = offset.replace(/:?(\d\d)$/, ':$1');
  const at = new Date(`${date ?? ''}T${time ?? '00:00'}${zone}`);
  // A day that the month does not have would roll over into the next.
  const isReal = parseGatewayTime(date ?? '').kind === 'time';
  if (Number.isNaN(at.getTime()) || !isReal) {
    throw new TokengateError('INVALID_TIME', `Invalid time '${typed}'.`, {
      hint: 'Write it like 2026-11-22T18:00 (local time), 2026-11-22T18:00Z or 2026-11-22T18:00+01:00.',
    });
  }
  return at;
}
