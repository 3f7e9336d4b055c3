import type {PlannedChange, Settled, Write} from '../change/change.js';
import {BUDGET_KEYS, GRANTS_KEYS, PERIOD_KEYS, SPENT_KEYS} from '../gateway/keys.js';
import {ABSENT, describeAmount, describeAmounts} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Stored} from '../journal/entry.js';
import {describePeriod} from '../periods/describe.js';
import {type Grant, isOver, sumOf} from '../periods/grants.js';
import {applyNext, type Next, toStored} from '../periods/next.js';
import type {Period} from '../periods/period.js';
import {findDue, type PeriodState, readPeriodState, type Renewal, typed} from '../periods/renewal.js';
import type {SpanOf} from '../periods/schedule.js';
import type {Redis} from '../redis/contract.js';
import {readPeriods, scanPeriods} from '../sessions/periods.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type TypedAmount, ZERO} from '../values/money.js';
import {nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import type {SecondLook} from './second-look.js';
import {writeBackLook} from './write-back.js';

/** In the order in which all of these changes read and write them. */
const SHAPES = [PERIOD_KEYS, GRANTS_KEYS, BUDGET_KEYS, SPENT_KEYS];

/** What a change of a session's period or grants found, and what it left. */
export interface PeriodChange {
  id: string;
  key: RawId;
  before: PeriodState;
  after: PeriodState;
}

export interface PeriodRenewal extends PeriodChange {
  renewal: Renewal;
}

export interface GrantChange extends PeriodChange {
  grants: readonly Grant[];
}

/** What to write, and whether to remove what is spent. */
interface FreshNext extends Next {
  isFresh?: boolean;
}

/**
 * Makes a budget renew, or (null) end that. The budget is the amount and the live grants at once; a period that ends leaves it.
 *
 * @param isFresh sets the spending to nothing too
 */
export function setPeriodChange(period: Period | null, now: Date, isFresh: boolean): PlannedChange<PeriodChange> {
  return periodChange((_id, state) => {
    const live = state.grants.filter((grant) => !isOver(grant, now));
    if (period === null) {
      if (state.period === null) return 'unchanged';
      return {period: null};
    }
    return {period, grants: live, budget: typed(period.amount.value.plus(sumOf(live))), isFresh};
  }, toChange);
}

/** Renews what is due now, by `findDue`. */
export function renewChange(now: Date, spanOf: SpanOf): PlannedChange<PeriodRenewal> {
  return periodChange(
    (_id, state) => {
      const renewal = findDue(state, now, spanOf);
      if (renewal === undefined) return 'unchanged';
      const {period, grants, budget} = renewal;
      return {period: period ?? undefined, grants, budget, isFresh: period !== null, renewal};
    },
    ({id, key, before, after}, decided) => ({id, key, before, after, renewal: decided?.renewal ?? NOTHING_DUE}),
  );
}

const NOTHING_DUE: Renewal = {period: null, grants: [], ended: [], budget: undefined};

/** Gives a session more budget for a while. */
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

/** Ends grants before their time: one, or (undefined) all of a session. The budget never falls below 0. */
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
 * A change of the four keys, decided from all of them, and written only where they still are as they were read.
 *
 * @param toResult gets what was decided, unless that is to change nothing
 */
function periodChange<N extends FreshNext, T>(
  decide: (id: RawId, state: PeriodState) => N | 'unchanged' | TokengateError,
  toResult: (change: PeriodChange, decided?: N) => T,
): PlannedChange<T> {
  const plan = (id: RawId, held: readonly Held[]): Settled<T> | Write<T> => {
    const name = nameOf(id);
    const before = readPeriodState(held.map(inText));
    if (before instanceof TokengateError) return {id: name, state: 'failed', error: before};
    const decided = decide(id, before);
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
    // What is spent meanwhile by a change that leaves it is no reason to begin again.
    const expected = held.map((value, index) => (SHAPES[index] === SPENT_KEYS && next[index] === null ? null : value));
    return {state: 'write', expected, next, result};
  };
  return {
    shapes: SHAPES,
    plan,
    lookAt: SHAPES,
    preview(id, held) {
      const before = readPeriodState(held.map(inText));
      if (before instanceof TokengateError) {
        return {id: nameOf(id), now: 'not readable', state: 'failed', error: before};
      }
      const facts = {id: nameOf(id), now: describeState(before)};
      const decided = decide(id, before);
      if (decided === 'unchanged') return {...facts, state: 'unchanged'};
      if (!(decided instanceof TokengateError)) {
        return {...facts, state: 'done', then: describeState(apply(before, decided))};
      }
      if (decided.code === 'SESSION_NOT_FOUND') return {...facts, state: 'not_found'};
      return {...facts, state: 'failed', error: decided};
    },
  };
}

function apply(before: PeriodState, next: FreshNext): PeriodState {
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

/** Looks whether a request that was under way has written back the spending that a new period, or a fresh start, removed. */
export function freshLook(afterMs: readonly number[]): SecondLook<PeriodChange> {
  return writeBackLook(afterMs, ({key, before: {spent}, after}) =>
    after.spent.state === 'absent' && spent.state === 'money' ? {key, text: spent.text} : undefined,
  );
}

/** `spent $12.00 removed, budget $50.00, carried over $3.00`, or which grants have ended. */
export function describeRenewal({before, after, renewal}: PeriodRenewal): string {
  const {period, ended} = renewal;
  const parts = [`budget ${describeAmount(after.budget)}`];
  if (period !== null) {
    if (before.spent.state !== 'absent') parts.unshift(`spent ${describeAmount(before.spent)} removed`);
    if (period.carried.value.gt(ZERO)) parts.push(`carried over ${formatExactMoney(period.carried.value)}`);
  }
  if (ended.length > 0)
    parts.push(`${ended.length === 1 ? 'grant' : 'grants'} of ${formatExactMoney(sumOf(ended))} ended`);
  return parts.join(', ');
}

/** The sessions with a renewal or the end of a grant that is due now, or whose period cannot be read; sorted. */
export async function findDueSessions(redis: Redis, now: Date, spanOf: SpanOf, glob?: string): Promise<RawId[]> {
  const due: RawId[] = [];
  for await (const page of readPeriods(redis, await scanPeriods(redis, glob), {withAmounts: false})) {
    for (const {key, state} of page) {
      if (state === undefined || findDue(state, now, spanOf) !== undefined) due.push(key);
    }
  }
  return due;
}
