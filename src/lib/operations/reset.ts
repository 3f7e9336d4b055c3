import {changeKnown} from '../change/apply.js';
import type {Change, Settled} from '../change/change.js';
import {isPlainAmount} from '../gateway/amount-texts.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from '../gateway/keys.js';
import {ABSENT, describeAmounts, describeText, isAbsent, toAmount, toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Journal} from '../journal/entry.js';
import {DECIDE_RESET, RESET} from '../lua/scripts.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {leftOfSpent, LOOKS, type SecondLook} from './lasting.js';

/** What a reset removed: the exact text in Redis; null when there was none. */
export interface Reset {
  id: string;
  /** The same as bytes. */
  key: RawId;
  /** Null as well when it was to be kept. */
  budget: string | null;
  spent: string | null;
  /** The budget that it had, removed or not. */
  limit: string | null;
}

export interface ResetOptions {
  /** Removes the spending only. */
  keepBudget: boolean;
}

/**
 * Removes budget and spending (or only the spending) in one atomic step, and returns exactly what it removed. A session
 * that doesn't exist, or that holds a value of a wrong type, is refused untouched.
 *
 * @throws TokengateError SESSION_NOT_FOUND, WRONG_TYPE, RESET_INCOMPLETE, OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function resetSession(
  redis: Redis,
  id: RawId,
  options: ResetOptions,
  journal: Journal | undefined,
): Promise<Reset> {
  return changeKnown(redis, id, resetChange(options), {journal, what: `session '${nameOf(id)}' was reset`});
}

export function resetChange(options: ResetOptions): Change<Reset> {
  const {keepBudget} = options;
  return {
    shapes: [BUDGET_KEYS, SPENT_KEYS],
    scripts: {change: RESET, decide: DECIDE_RESET},
    args: [keepBudget ? 'spent' : 'both'],
    tellsOld: true,
    read(id, word, [budget, spent]) {
      const name = nameOf(id);
      if (word === 'not_found') return {id: name, state: 'not_found'};
      if (word === 'wrong_type') return {id: name, state: 'failed', error: wrongType(budget === true)};
      const text = (old: Held | undefined): string | null => (typeof old === 'string' ? old : null);
      const limit = text(budget);
      const result = {id: name, key: id, budget: keepBudget ? null : limit, spent: text(spent), limit};
      return {id: name, state: word === 'unchanged' ? 'unchanged' : 'done', result};
    },
    withoutScript: {
      commands: (id) => [
        [keepBudget ? 'GET' : 'GETDEL', keyOf(BUDGET_KEYS, id)],
        ['GETDEL', keyOf(SPENT_KEYS, id)],
      ],
      read: (redis, id, replies) => readRemoval(redis, id, replies, options),
    },
    lookAt: [BUDGET_KEYS, SPENT_KEYS],
    preview(id, [budget, spent]) {
      const amounts = {budget: toStoredAmount(inText(budget)), spent: toStoredAmount(inText(spent))};
      const facts = {id: nameOf(id), now: describeAmounts(amounts)};
      const isWrong = budget === true || spent === true;
      if (isWrong) return {...facts, state: 'failed', error: wrongType(budget === true)};
      if (isAbsent(amounts)) return {...facts, state: 'not_found'};
      if (keepBudget && amounts.spent.state === 'absent') return {...facts, state: 'unchanged'};
      return {...facts, then: keepBudget ? 'nothing spent' : 'no budget, nothing spent', state: 'done'};
    },
  };
}

function wrongType(isBudget: boolean): TokengateError {
  const message = `its ${isBudget ? 'budget' : 'spent'} is of a wrong Redis type. Nothing was removed.`;
  return new TokengateError('WRONG_TYPE', message, {
    hint: 'The gateway never writes that. Look at the key with redis-cli, and remove it there.',
  });
}

/** `budget $25.50, spent $12.34`; a text that is not money is quoted. May hold untrusted text. */
export function describeRemoved({budget, spent}: Reset): string {
  const parts: string[] = [];
  if (budget !== null) parts.push(`budget ${describeText(budget)}`);
  if (spent !== null) parts.push(`spent ${describeText(spent)}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** Looks whether a request under way has written the removed spending back. */
export const resetLook: SecondLook<Reset> = {
  afterMs: LOOKS,
  leftBy({id, key, spent, limit}) {
    if (spent === null) return [];
    if (!isPlainAmount(spent)) return leftOfSpent(key, {before: toAmount(spent), after: ABSENT}, limit);
    // As most are: no number is needed to see that it is not 0.
    return /[1-9]/.test(spent) ? [{id, key, kind: 'spent', from: spent, to: '0', limit}] : [];
  },
};

/** GETDEL removes one value even if the other one has a wrong type. */
function readRemoval(
  redis: Redis,
  id: RawId,
  [budget, spent]: readonly unknown[],
  {keepBudget}: ResetOptions,
): Settled<Reset> {
  const name = nameOf(id);
  if (budget === null && spent === null) return {id: name, state: 'not_found'};
  const text = (reply: unknown): string | null => (typeof reply === 'string' ? reply : null);
  const limit = text(budget);
  const result = {id: name, key: id, budget: keepBudget ? null : limit, spent: text(spent), limit};
  const refusal = [budget, spent].find((reply) => reply instanceof ErrorReply);
  if (refusal !== undefined) {
    const kept = budget instanceof ErrorReply ? 'budget' : 'spent';
    const message = `removed ${describeRemoved(result)}, but not its ${kept}: ${redis.explain(refusal).message}`;
    return {id: name, state: 'failed', error: new TokengateError('RESET_INCOMPLETE', message)};
  }
  return {id: name, state: keepBudget && spent === null ? 'unchanged' : 'done', result};
}
