/**
 * Numbers as the gateway reads and subtracts them: Python's `Decimal`. For stored texts, which may be anything that
 * Python takes for a number, where `Money` is not enough.
 */
export type GatewayNumber = Finite | 'infinity' | '-infinity' | 'nan';

/** `coefficient` × 10 ^ `exponent`. */
export interface Finite {
  coefficient: bigint;
  exponent: number;
}

/** The zero of each set of ten decimal digits in Unicode 14, the version of Python 3.11. */
const ZEROS = [
  0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
  0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
  0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
  0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];
/**
 * The characters of `str.isspace`; JavaScript's `trim` lacks ASCII's separators and NEL, and adds the byte order mark.
 */
const BLANKS = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*';
const AROUND = new RegExp(`^${BLANKS}|${BLANKS}$`, 'g');
const FINITE = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:e([+-]?\d+))?$/i;

/** The largest exponent of a number's first digit, and the smallest of its last digit. */
const LARGEST = 999_999_999_999_999_999n;
const SMALLEST = -1_999_999_999_999_999_997n;

/** @returns undefined when `Decimal(text)` raises an error */
export function parseGatewayNumber(text: string): GatewayNumber | undefined {
  const ascii = toAscii(text.replace(AROUND, ''));
  const [, sign = '', whole = '', decimals = '', onlyDecimals = '', power = '0'] = FINITE.exec(ascii) ?? [];
  if (whole === '' && onlyDecimals === '') {
    if (/^\+?inf(inity)?$/i.test(ascii)) return 'infinity';
    if (/^-inf(inity)?$/i.test(ascii)) return '-infinity';
    return /^[+-]?s?nan\d*$/i.test(ascii) ? 'nan' : undefined;
  }
  const fraction = decimals || onlyDecimals;
  const digits = (whole + fraction).replace(/^0+(?=\d)/, '');
  const exponent = BigInt(power) - BigInt(fraction.length);
  if (exponent < SMALLEST || exponent + BigInt(digits.length) - 1n > LARGEST) return undefined;
  return {coefficient: BigInt(sign === '-' ? `-${digits}` : digits), exponent: Number(exponent)};
}

/** Python drops underscores anywhere, and takes the digits of every script. */
function toAscii(text: string): string {
  return text.replaceAll('_', '').replace(/[\0\u0080-\u{10ffff}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const zero = ZEROS.find((first) => code >= first && code <= first + 9);
    return zero === undefined ? '?' : String(code - zero);
  });
}

/** The gateway computes in Python's default context: 28 significant digits, rounded half to even. */
const PRECISION = 28;
const MAX_EXPONENT = 999_999;
const MIN_EXPONENT = -MAX_EXPONENT - PRECISION + 1;

/**
 * `a - b` in the gateway's context.
 *
 * @returns undefined when Python raises an error: for infinite less infinite, NaN, or an overflow
 */
export function subtract(a: GatewayNumber, b: GatewayNumber): GatewayNumber | undefined {
  if (a === 'nan' || b === 'nan') return undefined;
  if (typeof a === 'string') return a === b ? undefined : a;
  if (typeof b === 'string') return b === 'infinity' ? '-infinity' : 'infinity';
  return round(add(a, {...b, coefficient: -b.coefficient}));
}

/** Exact in all digits that count. */
function add(a: Finite, b: Finite): Finite {
  if (a.coefficient === 0n) return b;
  if (b.coefficient === 0n) return a;
  const [high, low] = a.exponent >= b.exponent ? [a, b] : [b, a];
  // A number too small to change a digit of the sum still decides which way to round.
  const shift = Math.max(1, PRECISION + 2 - lengthOf(high));
  if (lengthOf(low) + low.exponent - 1 < high.exponent - shift) {
    const rest = low.coefficient < 0n ? -1n : 1n;
    return {coefficient: high.coefficient * 10n ** BigInt(shift) + rest, exponent: high.exponent - shift};
  }
  const scaled = high.coefficient * 10n ** BigInt(high.exponent - low.exponent);
  return {coefficient: scaled + low.coefficient, exponent: low.exponent};
}

function round(value: Finite): Finite | undefined {
  const drop = Math.max(lengthOf(value) - PRECISION, MIN_EXPONENT - value.exponent, 0);
  const rounded = drop === 0 ? value : dropDigits(value, drop);
  if (rounded.coefficient === 0n) return {coefficient: 0n, exponent: 0};
  return rounded.exponent + lengthOf(rounded) - 1 > MAX_EXPONENT ? undefined : rounded;
}

function dropDigits(value: Finite, drop: number): Finite {
  // All digits and more: what is left is less than half of the next one.
  if (drop > lengthOf(value)) return {coefficient: 0n, exponent: 0};
  const unit = 10n ** BigInt(drop);
  const [quotient, rest] = [value.coefficient / unit, abs(value.coefficient % unit)];
  const isUp = rest * 2n > unit || (rest * 2n === unit && quotient % 2n !== 0n);
  const away = value.coefficient < 0n ? -1n : 1n;
  return {coefficient: isUp ? quotient + away : quotient, exponent: value.exponent + drop};
}

/** Negative when `a` is smaller, 0 when they are equal. Exact. Not for NaN, which Python compares with nothing. */
export function compare(a: Exclude<GatewayNumber, 'nan'>, b: Exclude<GatewayNumber, 'nan'>): number {
  if (a === b) return 0;
  if (a === '-infinity' || b === 'infinity') return -1;
  if (a === 'infinity' || b === '-infinity') return 1;
  const [left, right] = [signOf(a), signOf(b)];
  if (left !== right || left === 0) return left - right;
  const [first, second] = [lengthOf(a) + a.exponent, lengthOf(b) + b.exponent];
  if (first !== second) return first < second ? -left : left;
  const least = Math.min(a.exponent, b.exponent);
  const scaled = ({coefficient, exponent}: Finite): bigint => coefficient * 10n ** BigInt(exponent - least);
  const difference = scaled(a) - scaled(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** `float(value)`: a number that is too large becomes infinite. */
export function toFloat(value: GatewayNumber): number {
  if (typeof value !== 'string') return Number(`${value.coefficient}e${value.exponent}`);
  return value === 'nan' ? NaN : value === 'infinity' ? Infinity : -Infinity;
}

function signOf({coefficient}: Finite): number {
  return coefficient < 0n ? -1 : coefficient > 0n ? 1 : 0;
}

function lengthOf({coefficient}: Finite): number {
  return abs(coefficient).toString().length;
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
