import {describeAmount} from '../gateway/stored-amount.js';
import {describeTerms} from '../periods/describe.js';
import {sumOf} from '../periods/grants.js';
import {formatExactMoney, type Money, ZERO} from '../values/money.js';
import {budgetInFile, type BudgetState} from './decide.js';

/** `budget $45.00 → $50.00, renewal none → every month $50.00`: the parts that differ. May hold untrusted text. */
export function describeDifference(before: BudgetState, after: BudgetState): string {
  const [old, now] = [describeParts(before), describeParts(after)];
  const isNew = before.budget.state === 'absent';
  return Object.entries(now)
    .flatMap(([name, text]) => {
      const was = old[name as keyof typeof old];
      if (was === text) return [];
      const more = name === 'budget' ? describeBesides(after) : '';
      return isNew ? `${name} ${text}${more}` : `${name} ${was} → ${text}${more}`;
    })
    .join(', ');
}

/**
 * True when the new budget of a session is spent already, so that the gateway refuses its requests.
 *
 * @param spent null where nothing is recorded, or what is no amount
 */
export function isUsedUp(before: BudgetState, {budget}: BudgetState, spent: Money | null): spent is Money {
  if (budget.state !== 'money' || spent?.gte(budget.amount) !== true) return false;
  return before.budget.state !== 'money' || !before.budget.amount.eq(budget.amount);
}

/** `, used up: $7.50 is spent`; empty where it is not. */
export function describeUsedUp(before: BudgetState, after: BudgetState, spent: Money | null): string {
  return isUsedUp(before, after, spent) ? `, used up: ${formatExactMoney(spent)} is spent` : '';
}

/** `budget $45.00, renewal every month $50.00`. May hold untrusted text. */
export function describeState(state: BudgetState): string {
  const {budget, renewal, grants} = describeParts(state);
  const more = [
    ...(renewal === 'none' ? [] : [`renewal ${renewal}`]),
    ...(grants === 'none' ? [] : [`grants ${grants}`]),
  ];
  return [`budget ${budget}`, ...more].join(', ');
}

function describeParts(state: BudgetState): {budget: string; renewal: string; grants: string} {
  const {period, grants, budget} = state;
  const own = budgetInFile(state);
  return {
    budget: own === undefined ? describeAmount(budget) : formatExactMoney(own),
    renewal: period === null ? 'none' : describeTerms(period),
    grants: grants.length === 0 ? 'none' : formatExactMoney(sumOf(grants)),
  };
}

/** ` besides grants of $20.00 and $3.00 carried over`; empty if there are none. */
function describeBesides({period, grants}: BudgetState): string {
  const carried = period?.carried.value ?? ZERO;
  const parts = [
    ...(grants.length === 0 ? [] : [`grants of ${formatExactMoney(sumOf(grants))}`]),
    ...(carried.gt(ZERO) ? [`${formatExactMoney(carried)} carried over`] : []),
  ];
  return parts.length === 0 ? '' : ` besides ${parts.join(' and ')}`;
}
