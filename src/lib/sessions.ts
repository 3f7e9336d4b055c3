import {type Amounts, describeAmount, describeAmounts, readAmounts, toStoredAmount} from './amounts.js';
import {TokengateError} from './errors.js';
import type {FreezeState} from './freezes.js';
import {nameOf, type RawId} from './ids.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from './keys.js';
import {formatExactMoney, type Money, toPlainDigits, type TypedAmount, ZERO} from './money.js';
import {withKnownOutcome} from './outcome.js';
import {ErrorReply, type Redis} from './redis.js';

/** What stands in Redis for one session. An amount is null when it is not money; `problems` then says what it is. */
export interface Session {
  id: string;
  /** The same as bytes. */
  key: RawId;
  budget: Money | null;
  /** 0 when the gateway has written nothing yet. */
  spent: Money | null;
  /** Never negative. */
  remaining: Money | null;
  /** Spent, in percent of the budget, unrounded; of a budget of 0 it is 0 when nothing is spent, else 100. */
  percentageUsed: Money | null;
  /** Null when it was not asked for. */
  freeze: FreezeState | null;
  /** One sentence for each thing that is not as the gateway writes it. May hold untrusted text. */
  problems: string[];
}

export interface BudgetChange {
  session: Session;
  /** Null when there was none, or when what was there is not money (then `problems` says so). */
  previousBudget: Money | null;
  problems: string[];
}

/** @throws TokengateError SESSION_NOT_FOUND when the session has no budget */
export async function findSession(redis: Redis, id: RawId): Promise<Session> {
  const amounts = await readAmounts(redis, id);
  if (amounts.budget.state === 'absent') throw withoutBudget(id, amounts);
  return toSession(id, amounts);
}

/** Sets the budget. What it replaces is read in the same atomic step. */
export async function setBudget(redis: Redis, id: RawId, amount: TypedAmount): Promise<BudgetChange> {
  return withKnownOutcome(redis, {
    what: `the budget of session '${nameOf(id)}' was set`,
    look: async (fresh) => describeAmounts(await readAmounts(fresh, id)),
    async run() {
      const [previousReply, spentReply, setReply] = await redis.transaction([
        ['GET', keyOf(BUDGET_KEYS, id)],
        ['GET', keyOf(SPENT_KEYS, id)],
        ['SET', keyOf(BUDGET_KEYS, id), amount.text],
      ]);
      if (setReply instanceof ErrorReply) throw redis.explain(setReply);
      const previous = toStoredAmount(redis, previousReply);
      const spent = toStoredAmount(redis, spentReply);
      const session = toSession(id, {budget: {state: 'money', text: amount.text, amount: amount.value}, spent});
      const problems =
        previous.state === 'invalid'
          ? [`The budget of session '${nameOf(id)}' was ${previous.why}; it is replaced.`]
          : [];
      return {session, previousBudget: previous.state === 'money' ? previous.amount : null, problems};
    },
  });
}

/** How often a change made by somebody else in between is met with another try. */
const MAX_TRIES = 100;

/**
 * Writes only when the key still holds what the sum was made from. Redis itself can add only as binary floats.
 * KEYS: budget, spent. ARGV: the text that was read, the text to write. Returns the budget as it was, and spent; the
 * write was done when that budget is the text that was read. One atomic step.
 */
const REPLACE_BUDGET = `
local budget = redis.call('GET', KEYS[1])
if budget == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return {budget, redis.pcall('GET', KEYS[2])}`;

/**
 * Adds an amount (which may be negative) to a budget, exactly, and loses no change that somebody else makes meanwhile.
 *
 * @throws TokengateError SESSION_NOT_FOUND, INVALID_BUDGET, BUDGET_BELOW_ZERO, BUDGET_CONTENDED, OUTCOME_UNKNOWN
 */
export async function addBudget(redis: Redis, id: RawId, amount: Money): Promise<BudgetChange> {
  const before = await readAmounts(redis, id);
  return withKnownOutcome(redis, {
    what: `the budget of session '${nameOf(id)}' was changed`,
    before: describeAmounts(before),
    look: async (fresh) => describeAmounts(await readAmounts(fresh, id)),
    async run() {
      let {budget} = before;
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        if (budget.state === 'absent') throw withoutBudget(id, before);
        if (budget.state === 'invalid') {
          throw new TokengateError('INVALID_BUDGET', `The budget of session '${nameOf(id)}' is ${budget.why}.`, {
            hint: 'Replace it with: tokengate set-budget',
          });
        }
        const sum = budget.amount.plus(amount);
        if (sum.lt(ZERO)) {
          throw new TokengateError(
            'BUDGET_BELOW_ZERO',
            `The budget of session '${nameOf(id)}' is ${formatExactMoney(budget.amount)}: it would fall below zero.`,
          );
        }
        const text = toPlainDigits(sum);
        const reply = await redis.send([
          'EVAL',
          REPLACE_BUDGET,
          '2',
          keyOf(BUDGET_KEYS, id),
          keyOf(SPENT_KEYS, id),
          budget.text,
          text,
        ]);
        const [seen, spent] = reply as unknown[];
        if (seen === budget.text) {
          const amounts: Amounts = {budget: {state: 'money', text, amount: sum}, spent: toStoredAmount(redis, spent)};
          return {session: toSession(id, amounts), previousBudget: budget.amount, problems: []};
        }
        budget = toStoredAmount(redis, seen);
      }
      throw new TokengateError(
        'BUDGET_CONTENDED',
        `The budget of session '${nameOf(id)}' keeps changing; nothing was added.`,
      );
    },
  });
}

export function toSession(id: RawId, {budget, spent}: Amounts, freeze: FreezeState | null = null): Session {
  const name = nameOf(id);
  const limit = budget.state === 'money' ? budget.amount : null;
  const used = spent.state === 'money' ? spent.amount : spent.state === 'absent' ? ZERO : null;
  const problems = freeze === null ? [] : [...freeze.problems];
  for (const [field, value] of Object.entries({budget, spent})) {
    if (value.state === 'invalid') problems.push(`The ${field} of session '${name}' is ${value.why}: ${value.effect}.`);
  }
  const known = limit !== null && used !== null;
  return {
    id: name,
    key: id,
    budget: limit,
    spent: used,
    remaining: known ? remainingOf(limit, used) : null,
    percentageUsed: known ? percentageOf(limit, used) : null,
    freeze,
    problems,
  };
}

export function sessionNotFound(id: RawId, more = ''): TokengateError {
  return new TokengateError('SESSION_NOT_FOUND', `Session '${nameOf(id)}' not found.${more}`, {
    hint: 'IDs are compared exactly. See them all with: tokengate list-sessions',
  });
}

export function percentageOf(budget: Money, spent: Money): Money {
  if (budget.lte(ZERO)) return spent.gt(ZERO) ? ZERO.plus(100) : ZERO;
  return spent.times(100).div(budget);
}

function remainingOf(budget: Money, spent: Money): Money {
  const left = budget.minus(spent);
  return left.lt(ZERO) ? ZERO : left;
}

function withoutBudget(id: RawId, {spent}: Amounts): TokengateError {
  const more = ` It has spent ${describeAmount(spent)} all the same, and gets a budget at its next request.`;
  return sessionNotFound(id, spent.state === 'absent' ? '' : more);
}
