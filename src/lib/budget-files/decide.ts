import type {Held} from '../gateway/stored-value.js';
import {inText} from '../journal/entry.js';
import {parseTimezone} from '../periods/calendar.js';
import {sumOf} from '../periods/grants.js';
import {applyNext, type Next} from '../periods/next.js';
import type {Period} from '../periods/period.js';
import {type PeriodState, readPeriodState, typed} from '../periods/renewal.js';
import type {Terms} from '../periods/terms.js';
import {TokengateError} from '../values/errors.js';
import {type Money, ZERO} from '../values/money.js';
import type {Wanted} from './wanted.js';

/**
 * The state of a session, as far as a file describes it. The budget includes grants and what a renewal carried over.
 */
export type BudgetState = Omit<PeriodState, 'spent'>;

/** The wanted state of a session that no file lists: it spends nothing, now or later. */
export const NOTHING = 'nothing';

export type Decision = {state: 'unchanged'} | ToWrite | {state: 'failed'; error: TokengateError};

export interface ToWrite {
  state: 'write';
  next: Next;
  before: BudgetState;
  after: BudgetState;
}

const UNCHANGED: Decision = {state: 'unchanged'};

/** What to write to bring a session into its wanted state. */
export function decide(held: readonly Held[], wanted: Wanted | typeof NOTHING, now: Date): Decision {
  if (wanted !== NOTHING && wanted.budget === undefined && wanted.period === undefined) return UNCHANGED;
  const before = readBudgetState(held);
  if (before instanceof TokengateError) return {state: 'failed', error: before};
  const next = wanted === NOTHING ? nextOfNothing(before) : nextOf(before, wanted, now);
  if (Object.keys(next).length === 0) return UNCHANGED;
  return {state: 'write', next, before, after: applyNext(before, next)};
}

export function readBudgetState(held: readonly Held[]): BudgetState | TokengateError {
  return readPeriodState(held.map(inText));
}

/** The part of the budget that no file describes: grants, and what a renewal carried over. */
function besides({period, grants}: Pick<BudgetState, 'period' | 'grants'>): Money {
  const granted = grants.length === 0 ? ZERO : sumOf(grants);
  return period === null ? granted : granted.plus(period.carried.value);
}

/** The budget as a file describes it; undefined if it is not money. May be negative. */
export function budgetInFile(state: BudgetState): Money | undefined {
  return state.budget.state === 'money' ? state.budget.amount.minus(besides(state)) : undefined;
}

function nextOf(before: BudgetState, wanted: Wanted, now: Date): Next {
  const period = nextPeriod(before.period, wanted.period, now);
  const ofNewSession = before.budget.state === 'absent' ? wanted.period?.amount : undefined;
  const own = wanted.budget ?? ofNewSession;
  const next: Next = period === undefined ? {} : {period};
  if (own === undefined) return next;
  const more = besides({period: period === undefined ? before.period : period, grants: before.grants});
  const budget = more.eq(ZERO) ? own : typed(own.value.plus(more));
  if (before.budget.state === 'money' && before.budget.amount.eq(budget.value)) return next;
  return {...next, budget};
}

/** The new period; undefined if it stays. If only its amount changes, it renews when it would have anyway. */
function nextPeriod(before: Period | null, wanted: Terms | null | undefined, now: Date): Period | null | undefined {
  if (wanted === undefined) return undefined;
  if (wanted === null || before === null) {
    if (wanted === before) return undefined;
    return wanted && {...wanted, renewed: now, carried: typed(ZERO)};
  }
  const isSame = hasSchedule(before, wanted);
  if (isSame && givesAmount(before, wanted)) return undefined;
  return {...wanted, renewed: isSame ? before.renewed : now, carried: before.carried};
}

function hasSchedule(before: Period, {every, timezone, at, on}: Terms): boolean {
  return before.every === every && before.at === at && before.on === on && isZone(before.timezone, timezone);
}

function givesAmount({amount, rollover, maxRollover}: Period, wanted: Terms): boolean {
  if (!amount.value.eq(wanted.amount.value) || rollover !== wanted.rollover) return false;
  if (rollover === 'none') return true;
  const other = wanted.maxRollover;
  return maxRollover === null || other === null ? maxRollover === other : maxRollover.value.eq(other.value);
}

/** A zone may be stored in another spelling. */
function isZone(stored: string, wanted: string): boolean {
  return stored === wanted || toZone(stored) === wanted;
}

/** The usual spelling of a zone; undefined if it is unknown here. */
export function toZone(stored: string): string | undefined {
  try {
    return parseTimezone(stored);
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return undefined;
  }
}

function nextOfNothing({period, grants, budget}: BudgetState): Next {
  return {
    ...(period !== null && {period: null}),
    ...(grants.length > 0 && {grants: []}),
    ...(!(budget.state === 'money' && budget.amount.eq(ZERO)) && {budget: typed(ZERO)}),
  };
}
