import {changeKnown, changeOne} from '../change/apply.js';
import type {Change, PlannedChange, ScriptedChange, Settled} from '../change/change.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from '../gateway/keys.js';
import {type Session, toSession, withoutBudget} from '../gateway/session.js';
import {type Amounts, describeAmounts, moneyOf, toStoredAmount} from '../gateway/stored-amount.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {inText, type Journal} from '../journal/entry.js';
import {DECIDE_SET_BUDGET, SET_BUDGET} from '../lua/scripts.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type Money, toPlainDigits, type TypedAmount, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {LOOKS, type SecondLook} from './lasting.js';

export interface BudgetChange {
  session: Session;
  /** Null when there was none, or when it was not money (then `problems` says so). */
  previousBudget: Money | null;
  problems: string[];
  /** True when it had neither a budget nor spending before. */
  isNew: boolean;
  /** True when it had no budget before. */
  isFirst: boolean;
}

/**
 * Sets the budget, and reads the old one in the same atomic step.
 *
 * @throws TokengateError OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function setBudget(
  redis: Redis,
  id: RawId,
  amount: TypedAmount,
  journal: Journal | undefined,
): Promise<BudgetChange> {
  return changeKnown(redis, id, setBudgetChange(amount), {
    journal,
    what: `the budget of session '${nameOf(id)}' was set`,
  });
}

/**
 * Adds an amount (which may be negative) to a budget, exactly, without losing what anybody else changes meanwhile.
 *
 * @throws TokengateError SESSION_NOT_FOUND, INVALID_BUDGET, BUDGET_BELOW_ZERO, BUDGET_CONTENDED, OUTCOME_UNKNOWN,
 *   JOURNAL_REFUSED
 */
export async function addBudget(
  redis: Redis,
  id: RawId,
  amount: Money,
  journal: Journal | undefined,
): Promise<BudgetChange> {
  const outcome = await changeOne(redis, id, addBudgetChange(amount), {
    journal,
    what: `the budget of session '${nameOf(id)}' was changed`,
  });
  if ('result' in outcome) return outcome.result;
  if (outcome.state === 'failed' && outcome.error.code !== 'CONTENDED') throw outcome.error;
  throw new TokengateError(
    'BUDGET_CONTENDED',
    `The budget of session '${nameOf(id)}' keeps changing; nothing was added.`,
  );
}

const LOOK_AT: Pick<Change<BudgetChange>, 'shapes' | 'lookAt' | 'preview'> = {
  shapes: [BUDGET_KEYS, SPENT_KEYS],
  lookAt: [BUDGET_KEYS, SPENT_KEYS],
  preview: (id, held) => ({id: nameOf(id), state: 'done', now: describeAmounts(toAmounts(held.map(inText)))}),
};

function setBudgetChange(amount: TypedAmount): ScriptedChange<BudgetChange> {
  const done = (id: RawId, held: readonly Held[]): Settled<BudgetChange> => ({
    id: nameOf(id),
    state: 'done',
    result: toBudgetChange(id, amount, toAmounts(held)),
  });
  return {
    ...LOOK_AT,
    scripts: {change: SET_BUDGET, decide: DECIDE_SET_BUDGET},
    args: [amount.text],
    tellsOld: true,
    read: (id, _word, held) => done(id, held),
    withoutScript: {
      commands: (id) => [
        ['GET', keyOf(BUDGET_KEYS, id)],
        ['GET', keyOf(SPENT_KEYS, id)],
        ['SET', keyOf(BUDGET_KEYS, id), amount.text],
      ],
      read(redis, id, [budget, spent, answer]) {
        if (answer instanceof ErrorReply) return {id: nameOf(id), state: 'failed', error: redis.explain(answer)};
        return done(id, [toHeld(redis, budget), toHeld(redis, spent)]);
      },
    },
  };
}

/** Computed here, because Redis adds binary floats only. */
export function addBudgetChange(amount: Money): PlannedChange<BudgetChange> {
  return {
    ...LOOK_AT,
    plan(id, held) {
      const before = toAmounts(held.map(inText));
      const sum = add(id, before, amount);
      if (sum instanceof TokengateError) return {id: nameOf(id), state: 'failed', error: sum};
      const [expected = null] = held;
      const text = toPlainDigits(sum);
      const result = toBudgetChange(id, {text, value: sum}, before);
      return {state: 'write', expected: [expected, null], next: [text, null], result};
    },
  };
}

/** The sum, or the reason why there is none. */
function add(id: RawId, before: Amounts, amount: Money): Money | TokengateError {
  const {budget} = before;
  if (budget.state === 'absent') return withoutBudget(id, before);
  if (budget.state === 'invalid') {
    return new TokengateError('INVALID_BUDGET', `The budget of session '${nameOf(id)}' is ${budget.why}.`, {
      hint: 'Replace it with: tokengate set-budget',
    });
  }
  const sum = budget.amount.plus(amount);
  if (!sum.lt(ZERO)) return sum;
  const would = budget.amount.lt(ZERO) ? 'still be' : 'fall';
  return new TokengateError(
    'BUDGET_BELOW_ZERO',
    `The budget of session '${nameOf(id)}' is ${formatExactMoney(budget.amount)}: it would ${would} below zero.`,
  );
}

function toAmounts([budget = false, spent = false]: readonly Held[]): Amounts {
  return {budget: toStoredAmount(budget), spent: toStoredAmount(spent)};
}

function toBudgetChange(id: RawId, {text, value}: TypedAmount, {budget: previous, spent}: Amounts): BudgetChange {
  const name = nameOf(id);
  return {
    session: toSession(id, {budget: {state: 'money', text, amount: value}, spent}),
    previousBudget: moneyOf(previous),
    problems:
      previous.state === 'invalid' ? [`The budget of session '${name}' was ${previous.why}; it is replaced.`] : [],
    isNew: previous.state === 'absent' && spent.state === 'absent',
    isFirst: previous.state === 'absent',
  };
}

/** Looks whether a request under way has written the gateway's default over a first budget. */
export const budgetLook: SecondLook<BudgetChange> = {
  afterMs: LOOKS,
  leftBy: ({session: {id, key, budget}, isFirst}) =>
    isFirst && budget !== null ? [{id, key, kind: 'budget', budget}] : [],
};
