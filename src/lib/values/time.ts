import {TokengateError} from './errors.js';

/** `at` of a time with an offset is the moment that was meant. */
export type GatewayTime = {kind: 'time'; at: Date} | {kind: 'offset'; at: Date} | {kind: 'unreadable'};

const UNREADABLE: GatewayTime = {kind: 'unreadable'};

/**
 * Reads a time like the gateway, with `datetime.fromisoformat` of Python 3.11: UTC without an offset. If it has an
 * offset (even `Z`) or is unreadable, the gateway answers every request of that session with HTTP 500. Precise to the
 * millisecond.
 */
export function parseGatewayTime(text: string): GatewayTime {
  const bytes = Buffer.from(text);
  if (bytes.length < 7) return UNREADABLE;
  const dateEnd = findDateEnd(bytes);
  const day = parseDate(bytes, dateEnd);
  if (day === undefined) return UNREADABLE;
  if (bytes.length <= dateEnd) return {kind: 'time', at: new Date(day)};
  return parseTimeOfDay(bytes.subarray(dateEnd + characterLength(bytes[dateEnd] ?? 0)), day);
}

const [DASH, COLON, POINT, COMMA, PLUS, LETTER_W, LETTER_Z] = Buffer.from('-:.,+WZ') as unknown as number[];

/**
 * Where the date ends. Any character may separate date and time, so only the form of the date tells: `YYYY-MM-DD`,
 * `YYYYMMDD`, `YYYY-Www`, `YYYY-Www-D`, `YYYYWww` or `YYYYWwwD`.
 */
function findDateEnd(bytes: Buffer): number {
  if (bytes.length === 7) return 7;
  if (bytes[4] === DASH) {
    if (bytes[5] !== LETTER_W) return 10;
    // A dash before two digits separates a time; before one digit, a day.
    return bytes[8] !== DASH || isDigit(bytes[10]) ? 8 : 10;
  }
  if (bytes[4] !== LETTER_W) return 8;
  let end = 7;
  while (isDigit(bytes[end])) end++;
  if (end < 9) return end;
  return end % 2 === 0 ? 7 : 8;
}

/** The first moment of the day, in milliseconds. */
function parseDate(bytes: Buffer, end: number): number | undefined {
  const year = digitsAt(bytes, 0, 4);
  const dash = bytes[4] === DASH ? 1 : 0;
  if (year === undefined || year === 0) return undefined;
  if (bytes[4 + dash] === LETTER_W) {
    const week = digitsAt(bytes, 5 + dash, 2);
    const hasDay = 7 + dash < end;
    if (hasDay && dash === 1 && bytes[8] !== DASH) return undefined;
    return week === undefined ? undefined : ofWeek(year, week, hasDay ? digitsAt(bytes, 7 + 2 * dash, 1) : 1);
  }
  const [month, day] = [digitsAt(bytes, 4 + dash, 2), digitsAt(bytes, 6 + 2 * dash, 2)];
  if (month === undefined || day === undefined || (dash === 1 && bytes[7] !== DASH)) return undefined;
  const at = utc(year, month - 1, day);
  // Values out of range show up in the next larger unit.
  return at.getUTCMonth() === month - 1 && day > 0 ? at.getTime() : undefined;
}

const DAY_MS = 86_400_000;

/** Weeks begin on Monday; the first week of a year has its first Thursday. */
function ofWeek(year: number, week: number, day: number | undefined): number | undefined {
  if (day === undefined || day < 1 || day > 7 || week < 1 || week > 53) return undefined;
  const firstMonday = (of: number): number => {
    const fourth = utc(of, 0, 4);
    return fourth.getTime() - ((fourth.getUTCDay() + 6) % 7) * DAY_MS;
  };
  const monday = firstMonday(year) + (week - 1) * 7 * DAY_MS;
  if (monday >= firstMonday(year + 1)) return undefined;
  const at = monday + (day - 1) * DAY_MS;
  return at >= utc(1, 0, 1).getTime() && at < utc(10_000, 0, 1).getTime() ? at : undefined;
}

function utc(year: number, month: number, day: number): Date {
  const at = new Date(0);
  at.setUTCFullYear(year, month, day);
  return at;
}

function parseTimeOfDay(bytes: Buffer, day: number): GatewayTime {
  const zone = bytes.findIndex((byte) => byte === PLUS || byte === DASH || byte === LETTER_Z);
  const clock = parseClock(bytes, 0, zone === -1 ? bytes.length : zone);
  if (clock === undefined || clock.hours > 23 || clock.minutes > 59 || clock.seconds > 59) return UNREADABLE;
  const at = day + toMilliseconds(clock);
  if (zone === -1) return clock.isWhole ? {kind: 'time', at: new Date(at)} : UNREADABLE;
  if (bytes[zone] === LETTER_Z) return (bytes[zone + 1] ?? 0) === 0 ? {kind: 'offset', at: new Date(at)} : UNREADABLE;
  const offset = parseClock(bytes, zone + 1, bytes.length);
  if (offset?.isWhole !== true) return UNREADABLE;
  const length = toMilliseconds({...offset, milliseconds: 0});
  // Python refuses an offset of a day or more.
  if (length >= DAY_MS) return UNREADABLE;
  return {kind: 'offset', at: new Date(bytes[zone] === DASH ? at + length : at - length)};
}

interface Clock {
  hours: number;
  minutes: number;
  seconds: number;
  milliseconds: number;
  /** True when nothing follows. Python parses C strings, so NUL counts as the end. */
  isWhole: boolean;
}

/** `HH[:MM[:SS]]` or `HH[MM[SS]]`, with an optional fraction after any of them. Like Python, it reads on past `end`. */
function parseClock(bytes: Buffer, start: number, end: number): Clock | undefined {
  const parts = [0, 0, 0];
  let hasColons = false;
  let at = start;
  const toClock = (fraction: number, isWhole: boolean): Clock => {
    const [hours = 0, minutes = 0, seconds = 0] = parts;
    return {hours, minutes, seconds, milliseconds: fraction, isWhole};
  };
  for (const index of parts.keys()) {
    const part = digitsAt(bytes, at, 2);
    if (part === undefined) return undefined;
    parts[index] = part;
    const next = bytes[at + 2] ?? 0;
    at += 3;
    if (index === 0) hasColons = next === COLON;
    if (at >= end) return toClock(0, next === 0);
    if (hasColons && next === COLON) continue;
    if (next === POINT || next === COMMA) break;
    if (hasColons) return undefined;
    at--;
  }
  const length = Math.min(6, end - at);
  const fraction = digitsAt(bytes, at, length);
  if (fraction === undefined) return undefined;
  at += length;
  while (isDigit(bytes[at])) at++;
  return toClock(Math.floor((fraction * 1000) / 10 ** length), (bytes[at] ?? 0) === 0);
}

function toMilliseconds({hours, minutes, seconds, milliseconds}: Clock): number {
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
}

/** Undefined unless this many digits are there. */
function digitsAt(bytes: Buffer, start: number, count: number): number | undefined {
  let value = 0;
  for (let at = start; at < start + count; at++) {
    const byte = bytes[at];
    if (!isDigit(byte)) return undefined;
    value = value * 10 + byte - 48;
  }
  return value;
}

function isDigit(byte: number | undefined): byte is number {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

/** The length in bytes of the UTF-8 character that begins with this byte. */
function characterLength(byte: number): number {
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/**
 * The only form that the gateway obeys: ISO 8601 in UTC, without `Z`. It ignores a freeze whose end has any other form.
 */
export function formatGatewayTime(at: Date): string {
  return at.toISOString().slice(0, -1);
}

/** `2026-11-22 16:45:22 UTC` */
export function formatUtc(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

const UNITS: Record<string, number> = {w: 604_800, d: 86_400, h: 3600, m: 60, s: 1};

/** Each unit once, larger before smaller: `1h2h` is a typo, not three hours. */
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

/**
 * `45s`, `4m21s`, `2h5m` or `3d4h`: the two largest units, in the form that `parseDuration` reads. Less than a second
 * is `1s`.
 */
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
 * Reads a point in time that an operator typed: ISO 8601, in local time unless it ends in `Z` or an offset; a date
 * alone means its first moment.
 *
 * @throws TokengateError INVALID_TIME
 */
export function parseTime(typed: string): Date {
  const [, date, time, offset = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(typed) ?? [];
  const zone = offset.replace(/:?(\d\d)$/, ':$1');
  const at = new Date(`${date ?? ''}T${time ?? '00:00'}${zone}`);
  // A day that the month does not have would roll over into the next month.
  const isReal = parseGatewayTime(date ?? '').kind === 'time';
  if (Number.isNaN(at.getTime()) || !isReal) {
    throw new TokengateError('INVALID_TIME', `Invalid time '${typed}'.`, {
      hint: 'Write it like 2026-11-22T18:00 (local time), 2026-11-22T18:00Z or 2026-11-22T18:00+01:00.',
    });
  }
  const clock = [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':');
  if (time !== undefined && offset === '' && clock !== time.slice(0, 5)) {
    throw new TokengateError('INVALID_TIME', `There is no local time '${typed}': the clocks go forward then.`, {
      hint: `Give another, or Z or an offset, as in ${typed}Z.`,
    });
  }
  return at;
}

const timezones = new Map<string, boolean>();

/** True for a name that this Node.js knows a time zone by, and for an offset such as `+05:45`. */
export function isTimezone(name: string): boolean {
  const known = timezones.get(name) ?? (/^[+-]([01]\d|2[0-3]):[0-5]\d$/.test(name) || isZoneName(name));
  timezones.set(name, known);
  return known;
}

/** The same of a name alone. */
export function isZoneName(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', {timeZone: name});
    return true;
  } catch {
    return false;
  }
}

/** How an operator types a beginning: a duration before now, today or yesterday, or a time. */
export type Since = {secondsAgo: number} | {daysAgo: number} | {at: Date};

/**
 * @param parseAt reads a point in time
 * @throws TokengateError INVALID_DURATION, INVALID_TIME
 */
export function parseSince(typed: string, parseAt: (typed: string) => Date): Since {
  if (typed === 'today') return {daysAgo: 0};
  if (typed === 'yesterday') return {daysAgo: 1};
  if (/^[\dsmhdw]+$/.test(typed) && /\D/.test(typed)) return {secondsAgo: parseDuration(typed)};
  return {at: parseAt(typed)};
}

/** Anything before the first date that can be represented means the beginning. */
export function sinceTime(since: Since, now: Date): Date {
  if ('at' in since) return since.at;
  if ('secondsAgo' in since) return new Date(Math.max(0, now.getTime() - since.secondsAgo * 1000));
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - since.daysAgo);
}

const MAX_TIMEOUT_SECONDS = 3600;

/**
 * Reads a time limit: whole or decimal seconds, returned as milliseconds.
 *
 * @throws TokengateError INVALID_TIMEOUT
 */
export function parseTimeout(typed: string): number {
  const milliseconds = /^(\d+\.?\d*|\.\d+)$/.test(typed) ? Math.round(Number(typed) * 1000) : 0;
  if (milliseconds >= 1 && milliseconds <= MAX_TIMEOUT_SECONDS * 1000) return milliseconds;
  throw new TokengateError('INVALID_TIMEOUT', `'${typed}' is not a time limit in seconds.`, {
    hint: `Write a number from 0.001 to ${MAX_TIMEOUT_SECONDS}, such as 5 or 0.5.`,
  });
}
