import {type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {TokengateError} from '../values/errors.js';
import {type Money, toPlainDigits, type TypedAmount, ZERO} from '../values/money.js';
import {parseDuration} from '../values/time.js';
import {type Grant, isOver, parseGrants, sumOf} from './grants.js';
import {parsePeriod, type Period} from './period.js';
import {DEFAULT_GRACE, type SpanOf} from './schedule.js';

/** The values of one session in Redis. */
export interface PeriodState {
  /** Null without one. */
  period: Period | null;
  grants: readonly Grant[];
  budget: StoredAmount;
  spent: StoredAmount;
}

/** Reads the values of the four keys; undefined when the period or the grants cannot be read. */
export function toPeriodState([period = false, grants = false, budget = false, spent = false]: readonly Held[]):
  PeriodState | undefined {
  const parsed = typeof period === 'string' ? parsePeriod(period) : null;
  const list = typeof grants === 'string' ? parseGrants(grants) : [];
  if (parsed === undefined || list === undefined) return undefined;
  return {period: parsed, grants: list, budget: toStoredAmount(budget), spent: toStoredAmount(spent)};
}

/** The same for values that may not be texts; otherwise returns why they cannot be read. */
export function readPeriodState(held: readonly Held[]): PeriodState | TokengateError {
  const isWrongType = held[0] === true || held[1] === true;
  const state = isWrongType ? undefined : toPeriodState(held);
  if (state !== undefined) return state;
  return new TokengateError('PERIOD_UNREADABLE', 'its period or its grants cannot be read.', {
    hint: 'To see what is wrong with them, and what to do: tokengate check-store',
  });
}

/** What is due for one session. */
export interface Renewal {
  /** The new period; null when only grants have ended. */
  period: Period | null;
  grants: readonly Grant[];
  ended: readonly Grant[];
  /** Undefined when there is no budget, so that none is written. */
  budget: TypedAmount | undefined;
}

/**
 * Finds what is due now. Several missed periods become one renewal, into the present one. The new budget is the amount,
 * plus what is carried over, plus the grants that go on. Grants that end without a renewal are taken off the budget,
 * which never falls below 0.
 *
 * @returns undefined when nothing is due
 */
export function findDue({period, grants, budget, spent}: PeriodState, now: Date, spanOf: SpanOf): Renewal | undefined {
  const isDue = period !== null && spanOf(period, now).start > period.renewed;
  if (!isDue && grants.length === 0) return undefined;
  const shared = isDue ? sharedRenewal({period, grants}, now) : undefined;
  if (shared !== undefined) return shared;
  const ended = grants.filter((grant) => isOver(grant, now) || (isDue && grant.until === null));
  const live = grants.filter((grant) => !ended.includes(grant));
  if (!isDue) {
    if (ended.length === 0) return undefined;
    const left = budget.state === 'money' ? notBelowZero(budget.amount.minus(sumOf(ended))) : undefined;
    return {period: null, grants: live, ended, budget: left && typed(left)};
  }
  const carried = typed(carryOver(period, grants, budget, spent));
  return {
    period: {...period, renewed: now, carried},
    grants: live,
    ended,
    budget: typed(period.amount.value.plus(carried.value).plus(sumOf(live))),
  };
}

const renewals = new WeakMap<Period, Renewal & {period: Period}>();

/**
 * The renewal of a period that is due. Without grants and rollover it is the same for all sessions that share the period;
 * otherwise returns undefined.
 */
export function sharedRenewal(
  {period, grants}: Pick<PeriodState, 'period' | 'grants'>,
  now: Date,
): Renewal | undefined {
  if (period?.rollover !== 'none' || grants.length > 0) return undefined;
  const known = renewals.get(period);
  if (known?.period.renewed === now) return known;
  const renewed = {...period, renewed: now, carried: typed(ZERO)};
  const renewal = {period: renewed, grants: [], ended: [], budget: typed(period.amount.value)};
  renewals.set(period, renewal);
  return renewal;
}

/** Grants are spent last: the rest of one is not carried over, and one that goes on is not given twice. */
function carryOver(
  {rollover, maxRollover}: Period,
  grants: readonly Grant[],
  budget: StoredAmount,
  spent: StoredAmount,
): Money {
  if (rollover === 'none' || budget.state !== 'money' || spent.state === 'invalid') return ZERO;
  const used = spent.state === 'money' ? spent.amount : ZERO;
  const left = notBelowZero(budget.amount.minus(sumOf(grants)).minus(used));
  return maxRollover !== null && left.gt(maxRollover.value) ? maxRollover.value : left;
}

export function typed(value: Money): TypedAmount {
  return {text: toPlainDigits(value), value};
}

function notBelowZero(amount: Money): Money {
  return amount.lt(ZERO) ? ZERO : amount;
}

const DEFAULT_GRACE_MS = parseDuration(DEFAULT_GRACE) * 1000;

/** The state of a session's period at a moment. */
export interface Renewing {
  /** Null where there are only grants. */
  period: Period | null;
  grants: readonly Grant[];
  /** When the next period begins; null without one. */
  next: Date | null;
  /** True when a renewal, or the end of a grant, is late by more than the grace. */
  isOverdue: boolean;
}

export function toRenewing(
  {period, grants}: Pick<PeriodState, 'period' | 'grants'>,
  now: Date,
  spanOf: SpanOf,
  graceMs = DEFAULT_GRACE_MS,
): Renewing {
  const next = period === null ? null : spanOf(period, now).end;
  return {period, grants, next, isOverdue: isOverdue({period, grants}, now, spanOf, graceMs)};
}

/**
 * True when the last renewal is in the future, because the server's clock was wrong: the next one would come only after
 * it. Within the tolerance are the clocks of servers that take over from each other.
 */
export function isAhead({renewed}: Period, now: Date): boolean {
  return renewed.getTime() > now.getTime() + DEFAULT_GRACE_MS;
}

/** True when a renewal, or the end of a grant, is late by more than the grace, or is held up by a wrong clock. */
export function isOverdue(
  {period, grants}: Pick<PeriodState, 'period' | 'grants'>,
  now: Date,
  spanOf: SpanOf,
  graceMs: number,
): boolean {
  const before = new Date(now.getTime() - graceMs);
  if (grants.some((grant) => isOver(grant, before)) || (period !== null && isAhead(period, now))) return true;
  // A period that began within the grace is not late, but the one before it may never have been renewed.
  return period !== null && spanOf(period, before).start > period.renewed;
}
