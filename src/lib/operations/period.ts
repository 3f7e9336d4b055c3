import type {PlannedChange, Settled, Write} from '../change/change.js';
import {BUDGET_KEYS, GRANTS_KEYS, PERIOD_KEYS, SPENT_KEYS} from '../gateway/keys.js';
import {ABSENT, describeAmounts, textOf} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Stored} from '../journal/entry.js';
import {describePeriod} from '../periods/describe.js';
import {type Grant, isOver, sumOf} from '../periods/grants.js';
import {applyNext, type Next, toStored} from '../periods/next.js';
import {parsePeriod, type Period} from '../periods/period.js';
import {type PeriodState, readPeriodState, typed} from '../periods/renewal.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type TypedAmount, ZERO} from '../values/money.js';
import {nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import {leftOfBudget, leftOfSpent, type SecondLook} from './lasting.js';

/** In the order in which all these changes read and write them. */
const SHAPES = [PERIOD_KEYS, GRANTS_KEYS, BUDGET_KEYS, SPENT_KEYS];

/** What a change of a session's period or grants found, and what it left. */
export interface PeriodChange {
  id: string;
  key: RawId;
  before: PeriodState;
  after: PeriodState;
}

export interface GrantChange extends PeriodChange {
  grants: readonly Grant[];
}

/** What to write, and whether to remove the spending. */
export interface FreshNext extends Next {
  isFresh?: boolean;
}

/**
 * Makes a budget renew, or with null stops that. The budget becomes the amount plus the live grants at once; a period
 * that stops leaves it. A period that cannot be read is replaced or removed like any other.
 *
 * @param isFresh also resets the spending to nothing
 */
export function setPeriodChange(period: Period | null, now: Date, isFresh: boolean): PlannedChange<PeriodChange> {
  return periodChange(
    (_id, state, [held]) => {
      const live = state.grants.filter((grant) => !isOver(grant, now));
      if (period === null) return held === false ? 'unchanged' : {period: null};
      return {period, grants: live, budget: typed(period.amount.value.plus(sumOf(live))), isFresh};
    },
    toChange,
    readWithoutPeriod,
  );
}

/** Gives a session more budget for a limited time. */
export function grantChange(grant: Grant): PlannedChange<GrantChange> {
  return periodChange(
    (id, state) => {
      if (grant.until === null && state.period === null) {
        return new TokengateError('NO_PERIOD', 'its budget does not renew.', {
          hint: 'Say how long the grant lasts with --for or --until.',
        });
      }
      const budget = knownBudget(id, state);
      if (budget instanceof TokengateError) return budget;
      return {grants: [...state.grants, grant], budget: typed(budget.plus(grant.amount.value))};
    },
    (change) => ({...change, grants: [grant]}),
  );
}

/** Ends grants early: one, or with undefined all of a session. The budget never falls below 0. */
export function revokeChange(grantId: string | undefined): PlannedChange<GrantChange> {
  const isMeant = ({id}: Grant): boolean => grantId === undefined || id === grantId;
  return periodChange(
    (_id, state) => {
      const meant = state.grants.filter(isMeant);
      if (meant.length === 0) {
        const which = grantId === undefined ? 'no grant' : `no grant '${grantId}'`;
        return new TokengateError('GRANT_NOT_FOUND', `it has ${which}.`, {
          hint: 'See them with: tokengate list-grants',
        });
      }
      const grants = state.grants.filter((grant) => !isMeant(grant));
      // Without a budget there is nothing to take off.
      if (state.budget.state !== 'money') return {grants};
      const left = state.budget.amount.minus(sumOf(meant));
      return {grants, budget: typed(left.lt(ZERO) ? ZERO : left)};
    },
    (change) => ({...change, grants: change.before.grants.filter(isMeant)}),
  );
}

function knownBudget(id: RawId, {budget}: PeriodState): TypedAmount['value'] | TokengateError {
  if (budget.state === 'money') return budget.amount;
  if (budget.state === 'absent') return sessionNotFound(id);
  return new TokengateError('INVALID_BUDGET', `its budget is ${budget.why}.`, {
    hint: 'Replace it with: tokengate set-budget',
  });
}

const toChange = (change: PeriodChange): PeriodChange => change;

/**
 * A change of the four keys, decided from all of them, and written only where they are as read.
 *
 * @param toResult receives the decision, unless that is to change nothing
 */
export function periodChange<N extends FreshNext, T>(
  decide: (id: RawId, state: PeriodState, held: readonly Held[]) => N | 'unchanged' | TokengateError,
  toResult: (change: PeriodChange, decided?: N) => T,
  read = readPeriodState,
): PlannedChange<T> {
  const plan = (id: RawId, held: readonly Held[]): Settled<T> | Write<T> => {
    const name = nameOf(id);
    const before = read(held.map(inText));
    if (before instanceof TokengateError) return {id: name, state: 'failed', error: before};
    const decided = decide(id, before, held);
    if (decided instanceof TokengateError) {
      if (decided.code === 'SESSION_NOT_FOUND') return {id: name, state: 'not_found'};
      return {id: name, state: 'failed', error: decided};
    }
    if (decided === 'unchanged') {
      return {id: name, state: 'unchanged', result: toResult({id: name, key: id, before, after: before})};
    }
    const next: (Stored | null)[] = toStored(decided);
    next.push(decided.isFresh ? false : null);
    const result = toResult({id: name, key: id, before, after: apply(before, decided)}, decided);
    // Spending is compared only by a change that touches it: otherwise each request would make it start again.
    const expected = held.map((value, index) => (SHAPES[index] === SPENT_KEYS && next[index] === null ? null : value));
    return {state: 'write', expected, next, result};
  };
  return {
    shapes: SHAPES,
    plan,
    lookAt: SHAPES,
    preview(id, held) {
      const before = read(held.map(inText));
      if (before instanceof TokengateError) {
        return {id: nameOf(id), now: 'not readable', state: 'failed', error: before};
      }
      const isUnreadable = held[0] !== false && before.period === null;
      const now = `${describeState(before)}${isUnreadable ? ', a period that cannot be read' : ''}`;
      const facts = {id: nameOf(id), now};
      const decided = decide(id, before, held);
      if (decided === 'unchanged') return {...facts, state: 'unchanged'};
      if (!(decided instanceof TokengateError)) {
        return {...facts, state: 'done', then: describeState(apply(before, decided))};
      }
      if (decided.code === 'SESSION_NOT_FOUND') return {...facts, state: 'not_found'};
      return {...facts, state: 'failed', error: decided};
    },
  };
}

/** The same, with an unreadable period taken for none. */
function readWithoutPeriod([period = false, ...others]: readonly Held[]): PeriodState | TokengateError {
  const isReadable = typeof period === 'string' && parsePeriod(period) !== undefined;
  return readPeriodState([isReadable && period, ...others]);
}

export function apply(before: PeriodState, next: FreshNext): PeriodState {
  const {period, grants, budget} = applyNext(before, next);
  return {period, grants, budget, spent: next.isFresh ? ABSENT : before.spent};
}

/** `budget $50.00, spent $12.00, every month $50.00`. May hold untrusted text. */
function describeState({period, grants, budget, spent}: PeriodState): string {
  const parts = [describeAmounts({budget, spent})];
  if (period !== null) parts.push(describePeriod(period));
  if (grants.length > 0) parts.push(`grants ${formatExactMoney(sumOf(grants))}`);
  return parts.join(', ');
}

/** Looks whether a request under way has written back the removed spending, or a budget over a first one. */
export function periodLook(afterMs: readonly number[]): SecondLook<PeriodChange> {
  return {
    afterMs,
    leftBy: ({key, before, after}) => [
      ...leftOfSpent(key, {before: before.spent, after: after.spent}, textOf(before.budget)),
      ...leftOfBudget(key, {before: before.budget, after: after.budget}),
    ],
  };
}
