import {quoteStart} from '../gateway/stored-text.js';
import {formatDay} from '../periods/terms.js';
import {TokengateError} from '../values/errors.js';
import {type Money, parseAmount, toPlainDigits} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {budgetInFile, type BudgetState, readBudgetState, toZone} from './decide.js';
import type {FieldName} from './fields.js';
import type {Reading} from './state.js';

/** What to write about a session. */
export interface WrittenSession {
  id: RawId;
  /** The values exactly as they are written: digits, names and words. */
  fields: Partial<Record<FieldName, string>>;
  /** What no file can express, as in "its budget is …"; may hold untrusted text. */
  problems: string[];
  /** Why Redis does not tell its values. */
  refusal?: TokengateError;
}

/**
 * A session as a file describes it: without its spending, and without anything that `apply-budgets` would refuse.
 * Undefined without a budget.
 */
export function toWritten({id, held}: Reading): WrittenSession | undefined {
  if (held instanceof TokengateError) {
    return {id, fields: {}, problems: [`it cannot be read: ${held.message.replace(/\.$/, '')}`], refusal: held};
  }
  if (held.at(-1) === false) return undefined;
  const state = readBudgetState(held);
  if (state instanceof TokengateError) return {id, fields: {}, problems: [state.message.replace(/\.$/, '')]};
  const budget = toTypable(budgetInFile(state));
  const problems = budget === undefined ? [whyNoBudget(state)] : [];
  const {period} = state;
  const fields = budget === undefined ? {} : {budget};
  if (period === null) return {id, fields, problems};
  if (toZone(period.timezone) === undefined) {
    return {id, fields, problems: [...problems, `its period has the unknown time zone ${quoteStart(period.timezone)}`]};
  }
  return {id, fields: {...fields, ...periodFields(period, budget)}, problems};
}

function periodFields(
  period: NonNullable<BudgetState['period']>,
  budget: string | undefined,
): WrittenSession['fields'] {
  const {every, timezone, at, on, amount, rollover, maxRollover} = period;
  const given = toPlainDigits(amount.value);
  return {
    ...(given !== budget && {amount: given}),
    period: every,
    ...(timezone !== 'UTC' && {timezone}),
    ...(at !== '00:00' && {at}),
    ...(on !== null && on !== 1 && {on: formatDay(every, on)}),
    ...(rollover !== 'none' && {rollover}),
    ...(rollover !== 'none' && maxRollover !== null && {'max-rollover': toPlainDigits(maxRollover.value)}),
  };
}

/** Undefined for an amount that nobody could type. */
function toTypable(amount: Money | undefined): string | undefined {
  if (amount === undefined) return undefined;
  try {
    return parseAmount(toPlainDigits(amount)).text;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return undefined;
  }
}

function whyNoBudget(state: BudgetState): string {
  const {budget} = state;
  if (budget.state !== 'money') return `its budget is ${budget.state === 'invalid' ? budget.why : 'none'}`;
  return `its budget is ${quoteStart(budget.text)}, which no file can say`;
}
