import type {Redis} from '../redis/contract.js';
import {Decimal} from '../values/decimal.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type Money, ZERO} from '../values/money.js';
import {isText, nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import {DEFAULT_BUDGET, judgeBudget} from './budget-judgement.js';
import type {FreezeState} from './freeze.js';
import {type Amounts, describeAmount, moneyOf, readAmounts, type StoredAmount} from './stored-amount.js';
import type {Held} from './stored-value.js';

/** The values of one session in Redis. An amount is null when it is not money; `problems` then says what it is. */
export interface Session {
  id: string;
  /** The same as bytes. */
  key: RawId;
  budget: Money | null;
  /** 0 when the gateway has not written it yet. */
  spent: Money | null;
  /** Never negative. */
  remaining: Money | null;
  /** Percent of the budget, unrounded. For a budget of 0 it is 0 when nothing is spent, else 100. */
  percentageUsed: Money | null;
  /** Null when the caller did not ask for it. */
  freeze: FreezeState | null;
  /** US dollars a minute; null when it is not known, undefined when it was not sampled. */
  rate?: Money | null;
  /** One sentence for each value that the gateway would not have written. May hold untrusted text. */
  problems: string[];
}

/** @throws TokengateError SESSION_NOT_FOUND when the session has no budget */
export async function findSession(redis: Redis, id: RawId): Promise<Session> {
  const amounts = await readAmounts(redis, id);
  if (amounts.budget.state === 'absent') throw withoutBudget(id, amounts);
  return toSession(id, amounts);
}

export function toSession(id: RawId, {budget, spent}: Amounts, freeze: FreezeState | null = null): Session {
  const name = nameOf(id);
  const limit = moneyOf(budget);
  const used = spent.state === 'absent' ? ZERO : moneyOf(spent);
  const problems = isText(id) ? [] : [`The ID of session '${name}' is invalid: its key is not UTF-8 text.`];
  if (freeze !== null) problems.push(...freeze.problems);
  for (const [field, value] of Object.entries({budget, spent})) {
    if (value.state !== 'invalid') continue;
    problems.push(`The ${field} of session '${name}' is ${value.why}: ${value.effect ?? effectOf({budget, spent})}.`);
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

const HUNDRED: Money = Decimal.of(100);

/** How the gateway treats a session with an amount that is not money. */
function effectOf({budget, spent}: Amounts): string {
  const held = (value: StoredAmount): Held => (value.state === 'absent' ? false : (value.text ?? true));
  const request = {cost: null, defaultBudget: DEFAULT_BUDGET};
  const {answer, isUnlimited} = judgeBudget({budget: held(budget), spent: held(spent)}, request);
  if (answer !== null) return `the gateway answers its requests with HTTP ${answer}`;
  return isUnlimited ? 'the gateway takes it as no limit' : 'the gateway can read it';
}

export function percentageOf(budget: Money, spent: Money): Money {
  if (budget.lte(ZERO)) return spent.gt(ZERO) ? HUNDRED : ZERO;
  return spent.times(100).div(budget);
}

function remainingOf(budget: Money, spent: Money): Money {
  const left = budget.minus(spent);
  return left.lt(ZERO) ? ZERO : left;
}

/** The consequence of a budget that is spent. May hold untrusted text. */
export function explainUsedUp(id: string, spent: Money, budget?: Money): string {
  const of = budget === undefined ? '' : ` of ${formatExactMoney(budget)}`;
  return `Session '${id}' has spent ${formatExactMoney(spent)}${of}: the gateway refuses its requests`;
}

/** For a session without a budget, which may have spent something nevertheless. */
export function withoutBudget(id: RawId, {spent}: Amounts): TokengateError {
  const more = ` It has spent ${describeAmount(spent)} nevertheless, and gets a budget at its next request.`;
  return sessionNotFound(id, spent.state === 'absent' ? '' : more);
}
