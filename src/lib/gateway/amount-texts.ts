import {powerOfTen, shortestDigits} from '../values/decimal.js';

/** What most amounts are. */
const PLAIN = /^\d{1,18}(?:\.\d{1,28})?$/;
/** Without a zero that says nothing. */
const SHORTEST = /^(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/;
/** As in a quotient of `Decimal`. */
const QUOTIENT_DECIMALS = 20;

/** The digits of a session's amounts, as `toSession` gives them. */
export type AmountTexts = readonly [budget: string, spent: string, remaining: string, percentageUsed: string];

/** True for plain digits: an amount that needs no further judgement. */
export function isPlainAmount(text: unknown): text is string {
  return typeof text === 'string' && PLAIN.test(text);
}

/**
 * The amounts of a session whose texts in Redis are plain, null for nothing spent. It makes no number that can do more
 * than be printed: for a list that takes most of the time.
 */
export function toAmountTexts(budget: string, spent: string | null): AmountTexts {
  const limitScale = scaleOf(budget);
  const limit = coefficientOf(budget, limitScale);
  const limitText = toShortest(budget, limit, limitScale);
  if (spent === null) return [limitText, '0', limitText, '0'];
  const scale = scaleOf(spent);
  const used = coefficientOf(spent, scale);
  const more = scale - limitScale;
  const left = more < 0 ? limit - used * powerOfTen(-more) : limit * powerOfTen(more) - used;
  return [
    limitText,
    toShortest(spent, used, scale),
    left <= 0n ? '0' : shortestDigits(left, more < 0 ? limitScale : scale),
    percentageOf(limit, used, more),
  ];
}

/** @param more how many more decimals `used` has than `limit` */
function percentageOf(limit: bigint, used: bigint, more: number): string {
  if (limit === 0n) return used === 0n ? '0' : '100';
  const shift = QUOTIENT_DECIMALS + 2 - more;
  const [numerator, divisor] = shift < 0 ? [used, limit * powerOfTen(-shift)] : [used * powerOfTen(shift), limit];
  return shortestDigits((numerator + (divisor >> 1n)) / divisor, QUOTIENT_DECIMALS);
}

function scaleOf(text: string): number {
  const point = text.indexOf('.');
  return point === -1 ? 0 : text.length - 1 - point;
}

function coefficientOf(text: string, scale: number): bigint {
  return BigInt(scale === 0 ? text : text.slice(0, -1 - scale) + text.slice(-scale));
}

function toShortest(text: string, coefficient: bigint, scale: number): string {
  return SHORTEST.test(text) ? text : shortestDigits(coefficient, scale);
}
