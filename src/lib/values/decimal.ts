/** The other number of an operation; a text is read as by `Decimal.of`. */
type Operand = Decimal | number | string;

/** How to round the last digit that stays. `half-up` and `up` round away from zero. */
export type Rounding = 'down' | 'half-up' | 'half-even' | 'up';

/** Decimals of a quotient. */
const QUOTIENT_DECIMALS = 20;
/** Up to this many digits a binary number is exact, and faster to make than a BigInt of a text. */
const MAX_EXACT_DIGITS = 15;
const [POINT, ZERO_DIGIT, NINE_DIGIT] = [0x2e, 0x30, 0x39];
const NUMBER = /^(-?)(\d+)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;

const POWERS = Array.from({length: 64}, (_, exponent) => 10n ** BigInt(exponent));

/** Ten to the power of an exponent that is not negative. */
export function powerOfTen(exponent: number): bigint {
  return POWERS[exponent] ?? 10n ** BigInt(exponent);
}

/**
 * An exact decimal number: `coefficient` divided by ten to the power of `scale`. Immutable. Sums, differences and
 * products are exact; a quotient has 20 decimals. A number takes as much memory as it has digits, so callers that read
 * numbers from outside limit their exponents (`fromParts`).
 */
export class Decimal {
  private constructor(
    private readonly coefficient: bigint,
    /** Digits after the point, never negative. */
    private readonly scale: number,
  ) {}

  /** The digits times ten to the power of `exponent`: `fromParts('-125', -1)` is -12.5. */
  static fromParts(digits: string, exponent: number): Decimal {
    return Decimal.scaled(BigInt(digits), -exponent);
  }

  /**
   * Reads a number in the program's own text, with digits, a point and an exponent (`1.5e-7`).
   *
   * @throws SyntaxError for any other text
   */
  static of(number: string | number): Decimal {
    const text = String(number);
    const plain = Decimal.ofPlain(text);
    if (plain !== undefined) return plain;
    const [, sign = '', whole, decimals = '', exponent = '0'] = NUMBER.exec(text) ?? [];
    if (whole === undefined) throw new SyntaxError(`'${text}' is not a decimal number`);
    return Decimal.fromParts(sign + whole + decimals, Number(exponent) - decimals.length);
  }

  /**
   * A fast path for most numbers: up to 30 digits with at most one point, and nothing else.
   *
   * @returns undefined for any other text, number or not
   */
  static ofPlain(text: string): Decimal | undefined {
    const {length} = text;
    if (length === 0 || length > 2 * MAX_EXACT_DIGITS) return undefined;
    let point = -1;
    let count = 0;
    let [first, rest] = [0, 0];
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= ZERO_DIGIT && code <= NINE_DIGIT) {
        if (count++ < MAX_EXACT_DIGITS) first = first * 10 + (code - ZERO_DIGIT);
        else rest = rest * 10 + (code - ZERO_DIGIT);
      } else if (code === POINT && point === -1 && index > 0) point = index;
      else return undefined;
    }
    if (point === length - 1) return undefined;
    const more = count - MAX_EXACT_DIGITS;
    const coefficient = more > 0 ? BigInt(first) * powerOfTen(more) + BigInt(rest) : BigInt(first);
    return new Decimal(coefficient, point === -1 ? 0 : length - 1 - point);
  }

  private static scaled(coefficient: bigint, scale: number): Decimal {
    return scale < 0 ? new Decimal(coefficient * powerOfTen(-scale), 0) : new Decimal(coefficient, scale);
  }

  plus(other: Operand): Decimal {
    const summand = toDecimal(other);
    const scale = Math.max(this.scale, summand.scale);
    return new Decimal(this.at(scale) + summand.at(scale), scale);
  }

  minus(other: Operand): Decimal {
    const subtrahend = toDecimal(other);
    const scale = Math.max(this.scale, subtrahend.scale);
    return new Decimal(this.at(scale) - subtrahend.at(scale), scale);
  }

  times(other: Operand): Decimal {
    const factor = toDecimal(other);
    return new Decimal(this.coefficient * factor.coefficient, this.scale + factor.scale);
  }

  /** 20 decimals, rounded half up. Dividing by zero throws a RangeError. */
  div(other: Operand): Decimal {
    const divisor = toDecimal(other);
    const shift = QUOTIENT_DECIMALS + divisor.scale - this.scale;
    const [up, down] = shift < 0 ? [0, -shift] : [shift, 0];
    return new Decimal(
      divide(this.coefficient * powerOfTen(up), divisor.coefficient * powerOfTen(down), 'half-up'),
      QUOTIENT_DECIMALS,
    );
  }

  neg(): Decimal {
    return new Decimal(-this.coefficient, this.scale);
  }

  abs(): Decimal {
    return this.coefficient < 0n ? this.neg() : this;
  }

  /** Multiplied by this power of ten. */
  shift(exponent: number): Decimal {
    return Decimal.scaled(this.coefficient, this.scale - exponent);
  }

  /** To this many decimals; below 0 to tens, hundreds, … */
  round(decimals: number, rounding: Rounding): Decimal {
    if (decimals >= this.scale) return this;
    return Decimal.scaled(divide(this.coefficient, powerOfTen(this.scale - decimals), rounding), decimals);
  }

  /** Below, equal to or above 0 as this number is below, equal to or above the other. */
  cmp(other: Operand): -1 | 0 | 1 {
    const compared = toDecimal(other);
    const scale = Math.max(this.scale, compared.scale);
    const [left, right] = [this.at(scale), compared.at(scale)];
    return left < right ? -1 : left > right ? 1 : 0;
  }

  eq(other: Operand): boolean {
    return this.cmp(other) === 0;
  }

  lt(other: Operand): boolean {
    return this.cmp(other) < 0;
  }

  lte(other: Operand): boolean {
    return this.cmp(other) <= 0;
  }

  gt(other: Operand): boolean {
    return this.cmp(other) > 0;
  }

  gte(other: Operand): boolean {
    return this.cmp(other) >= 0;
  }

  /** The power of ten of the first digit other than 0: 2 for 123.4, -3 for 0.001; 0 for 0. */
  get exponent(): number {
    return this.coefficient === 0n ? 0 : String(this.abs().coefficient).length - 1 - this.scale;
  }

  /** The nearest binary number. */
  toNumber(): number {
    return Number(this.toString());
  }

  /** With this many decimals, or with all of them. A negative number that rounds to 0 keeps its minus sign. */
  toFixed(decimals?: number, rounding: Rounding = 'half-up'): string {
    if (decimals === undefined) return this.toString();
    const {coefficient, scale} = this.round(decimals, rounding);
    return write(this.coefficient < 0n, coefficient, scale, decimals);
  }

  /** All digits, never an exponent, without trailing zeros after the point. */
  toString(): string {
    const {coefficient, scale} = this;
    return coefficient < 0n ? `-${shortestDigits(-coefficient, scale)}` : shortestDigits(coefficient, scale);
  }

  /** A text, because JSON.parse would lose digits of a number. */
  toJSON(): string {
    return this.toString();
  }

  private at(scale: number): bigint {
    return scale === this.scale ? this.coefficient : this.coefficient * powerOfTen(scale - this.scale);
  }
}

function toDecimal(number: Operand): Decimal {
  return number instanceof Decimal ? number : Decimal.of(number);
}

/** The digits of a coefficient that is not negative, without trailing zeros after the point. */
export function shortestDigits(coefficient: bigint, scale: number): string {
  const digits = scale === 0 ? String(coefficient) : String(coefficient).padStart(scale + 1, '0');
  const point = digits.length - scale;
  let end = digits.length;
  while (end > point && digits.charCodeAt(end - 1) === ZERO_DIGIT) end--;
  const whole = digits.slice(0, point);
  return end === point ? whole : `${whole}.${digits.slice(point, end)}`;
}

function write(isNegative: boolean, coefficient: bigint, scale: number, decimals: number): string {
  const digits = String(coefficient < 0n ? -coefficient : coefficient).padStart(scale + 1, '0');
  const sign = isNegative ? '-' : '';
  if (decimals === 0) return sign + digits;
  const point = digits.length - scale;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point).padEnd(decimals, '0')}`;
}

/** The quotient, rounded to an integer. */
function divide(numerator: bigint, denominator: bigint, rounding: Rounding): bigint {
  const quotient = numerator / denominator;
  const remainder = numerator % denominator;
  if (remainder === 0n || rounding === 'down') return quotient;
  const isNegative = numerator < 0n !== denominator < 0n;
  const twice = 2n * (remainder < 0n ? -remainder : remainder);
  const size = denominator < 0n ? -denominator : denominator;
  const isUp =
    rounding === 'up' || twice > size || (twice === size && (rounding === 'half-up' || (quotient & 1n) === 1n));
  return !isUp ? quotient : isNegative ? quotient - 1n : quotient + 1n;
}
