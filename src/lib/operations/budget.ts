import {changeKnown, changeOne} from '../change/apply.js';
import {type Change, MAX_TRIES, type Settled, toReply} from '../change/change.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from '../gateway/keys.js';
import {type Session, toSession, withoutBudget} from '../gateway/session.js';
import {describeAmounts, readAmounts, type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import type {Journal} from '../journal/entry.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type Money, toPlainDigits, type TypedAmount, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';

export interface BudgetChange {
  session: Session;
  /** Null when there was none, or when what was there is not money (then `problems` says so). */
  previousBudget: Money | null;
  problems: string[];
  /** True when it had neither a budget nor spending before. */
  isNew: boolean;
}

/**
 * Sets the budget. What it replaces is read in the same atomic step.
 *
 * @throws TokengateError OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function setBudget(
  redis: Redis,
  id: RawId,
  amount: TypedAmount,
  journal: Journal | undefined,
): Promise<BudgetChange> {
  return changeKnown(redis, id, budgetSetting(redis, amount), {
    journal,
    what: `the budget of session '${nameOf(id)}' was set`,
  });
}

/**
 * Adds an amount (which may be negative) to a budget, exactly, and loses no change that somebody else makes meanwhile.
 *
 * @throws TokengateError SESSION_NOT_FOUND, INVALID_BUDGET, BUDGET_BELOW_ZERO, BUDGET_CONTENDED, OUTCOME_UNKNOWN,
 * JOURNAL_REFUSED
 */
export async function addBudget(
  redis: Redis,
  id: RawId,
  amount: Money,
  journal: Journal | undefined,
): Promise<BudgetChange> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const before = await readAmounts(redis, id);
    const {budget} = before;
    if (budget.state === 'absent') throw withoutBudget(id, before);
    if (budget.state === 'invalid') {
      throw new TokengateError('INVALID_BUDGET', `The budget of session '${nameOf(id)}' is ${budget.why}.`, {
        hint: 'Replace it with: tokengate set-budget',
      });
    }
    const sum = budget.amount.plus(amount);
    if (sum.lt(ZERO)) {
      const would = budget.amount.lt(ZERO) ? 'still be' : 'fall';
      throw new TokengateError(
        'BUDGET_BELOW_ZERO',
        `The budget of session '${nameOf(id)}' is ${formatExactMoney(budget.amount)}: it would ${would} below zero.`,
      );
    }
    const change = budgetSetting(redis, {text: toPlainDigits(sum), value: sum}, budget.text);
    const outcome = await changeOne(redis, id, change, {
      journal,
      what: `the budget of session '${nameOf(id)}' was changed`,
      before: describeAmounts(before),
    });
    if (outcome.state === 'done') return outcome.result;
    if (outcome.state === 'failed') throw outcome.error;
  }
  throw new TokengateError(
    'BUDGET_CONTENDED',
    `The budget of session '${nameOf(id)}' keeps changing; nothing was added.`,
  );
}

/** Sets a budget; with `expected` only where that text stands now, since Redis itself can add only as binary floats. */
function budgetSetting(redis: Redis, amount: TypedAmount, expected?: string): Change<BudgetChange> {
  const read = (id: RawId, previous: StoredAmount, spent: StoredAmount): Settled<BudgetChange> => {
    const session = toSession(id, {budget: {state: 'money', text: amount.text, amount: amount.value}, spent});
    const name = nameOf(id);
    const problems =
      previous.state === 'invalid' ? [`The budget of session '${name}' was ${previous.why}; it is replaced.`] : [];
    const previousBudget = previous.state === 'money' ? previous.amount : null;
    const isNew = previous.state === 'absent' && spent.state === 'absent';
    return {id: name, state: 'done', result: {session, previousBudget, problems, isNew}};
  };
  return {
    shapes: [BUDGET_KEYS, SPENT_KEYS],
    script: SET_BUDGET,
    args: expected === undefined ? [amount.text] : [amount.text, expected],
    read(id, word, [budget, spent]) {
      if (word === 'other') return {id: nameOf(id), state: 'not_found'};
      return read(id, toStoredAmount(redis, toReply(budget)), toStoredAmount(redis, toReply(spent)));
    },
    ...(expected === undefined && {
      withoutScript: {
        commands: (id) => [
          ['GET', keyOf(BUDGET_KEYS, id)],
          ['GET', keyOf(SPENT_KEYS, id)],
          ['SET', keyOf(BUDGET_KEYS, id), amount.text],
        ],
        read: (id, [budget, spent, answer]) =>
          answer instanceof ErrorReply
            ? {id: nameOf(id), state: 'failed', error: redis.explain(answer)}
            : read(id, toStoredAmount(redis, budget), toStoredAmount(redis, spent)),
      },
    }),
    lookAt: [BUDGET_KEYS, SPENT_KEYS],
    preview(id, [budget, spent]) {
      const amounts = {budget: toStoredAmount(redis, budget), spent: toStoredAmount(redis, spent)};
      return {id: nameOf(id), state: 'done', now: describeAmounts(amounts)};
    },
  };
}

/** Old: budget, spent. Args: the new budget; perhaps the only text that it may replace. */
const SET_BUDGET = `
  if args[2] and old[1] ~= args[2] then return 'other' end
  return 'done', {args[1]}`;
