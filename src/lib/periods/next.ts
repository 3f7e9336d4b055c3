import type {TypedAmount} from '../values/money.js';
import {formatGrants, type Grant} from './grants.js';
import {formatPeriod, type Period} from './period.js';
import type {PeriodState} from './renewal.js';

/** What to write to a session's period, grants and budget; a missing part stays as it is. */
export interface Next {
  period?: Period | null | undefined;
  grants?: readonly Grant[];
  budget?: TypedAmount | undefined;
}

/** The new values of the keys: false for no key, null for one that stays. In the order of period, grants and budget. */
export function toStored({period, grants, budget}: Next): (string | false | null)[] {
  return [
    period === undefined ? null : period !== null && formatPeriod(period),
    grants === undefined ? null : grants.length > 0 && formatGrants(grants),
    budget === undefined ? null : budget.text,
  ];
}

/** The state after that. */
export function applyNext(
  before: Omit<PeriodState, 'spent'>,
  {period, grants, budget}: Next,
): Omit<PeriodState, 'spent'> {
  return {
    period: period === undefined ? before.period : period,
    grants: grants ?? before.grants,
    budget: budget === undefined ? before.budget : {state: 'money', text: budget.text, amount: budget.value},
  };
}
