import {changeKnown} from '../change/apply.js';
import type {Change, Settled} from '../change/change.js';
import {isPlainAmount} from '../gateway/amount-texts.js';
import {BUDGET_KEYS, GRANTS_KEYS, keyOf, SPENT_KEYS} from '../gateway/keys.js';
import {ABSENT, describeAmounts, describeText, isAbsent, toAmount, toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Journal} from '../journal/entry.js';
import {DECIDE_RESET, RESET} from '../lua/scripts.js';
import {parseGrants, sumOf} from '../periods/grants.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {formatExactMoney, type Money} from '../values/money.js';
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
  /** False for none; true where they were no text. */
  grants: Held;
  /** The budget that it had, removed or not. */
  limit: string | null;
}

export interface ResetOptions {
  /** Removes the spending only. */
  keepBudget: boolean;
}

/**
 * Removes budget, grants and spending (or only the spending) in one atomic step, and returns exactly what it removed. The
 * end of a grant would otherwise be taken off the gateway's default budget. A session
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
    shapes: keepBudget ? [BUDGET_KEYS, SPENT_KEYS] : [BUDGET_KEYS, SPENT_KEYS, GRANTS_KEYS],
    ...(keepBudget ? {} : {rare: GRANTS_KEYS}),
    scripts: {change: RESET, decide: DECIDE_RESET},
    args: [keepBudget ? 'spent' : 'all'],
    tellsOld: true,
    read(id, word, [budget, spent, grants = false]) {
      const name = nameOf(id);
      if (word === 'not_found') return {id: name, state: 'not_found'};
      if (word === 'wrong_type') return {id: name, state: 'failed', error: wrongType(budget === true)};
      const text = (old: Held | undefined): string | null => (typeof old === 'string' ? old : null);
      const limit = text(budget);
      const result = {id: name, key: id, budget: keepBudget ? null : limit, spent: text(spent), grants, limit};
      return {id: name, state: word === 'unchanged' ? 'unchanged' : 'done', result};
    },
    withoutScript: {
      commands: (id, shapes) => [
        [keepBudget ? 'GET' : 'GETDEL', keyOf(BUDGET_KEYS, id)],
        ['GETDEL', keyOf(SPENT_KEYS, id)],
        ...(shapes.includes(GRANTS_KEYS) ? [['GETDEL', keyOf(GRANTS_KEYS, id)]] : []),
      ],
      read: (redis, id, replies) => readRemoval(redis, id, replies, options),
    },
    lookAt: [BUDGET_KEYS, SPENT_KEYS],
    preview(id, [budget, spent, grants = false]) {
      const amounts = {budget: toStoredAmount(inText(budget)), spent: toStoredAmount(inText(spent))};
      const now = [describeAmounts(amounts), ...describeGrants(inText(grants))].join(', ');
      const facts = {id: nameOf(id), now};
      const isWrong = budget === true || spent === true;
      if (isWrong) return {...facts, state: 'failed', error: wrongType(budget === true)};
      if (isAbsent(amounts)) return {...facts, state: 'not_found'};
      if (keepBudget && amounts.spent.state === 'absent') return {...facts, state: 'unchanged'};
      const then = keepBudget ? 'nothing spent' : `no budget, nothing spent${grants === false ? '' : ', no grants'}`;
      return {...facts, then, state: 'done'};
    },
  };
}

function wrongType(isBudget: boolean): TokengateError {
  const message = `its ${isBudget ? 'budget' : 'spent'} is of a wrong Redis type. Nothing was removed.`;
  return new TokengateError('WRONG_TYPE', message, {
    hint: 'The gateway never writes that. Look at the key with redis-cli, and remove it there.',
  });
}

/** `budget $25.50, spent $12.34, grants $5.00`; a text that is not money is quoted. May hold untrusted text. */
export function describeRemoved({budget, spent, grants}: Reset): string {
  const parts: string[] = [];
  if (budget !== null) parts.push(`budget ${describeText(budget)}`);
  if (spent !== null) parts.push(`spent ${describeText(spent)}`);
  parts.push(...describeGrants(grants));
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** Their sum in USD; null for grants that cannot be read, and undefined for none. */
export function sumOfGrants(grants: Held): Money | null | undefined {
  if (grants === false) return undefined;
  const list = typeof grants === 'string' ? parseGrants(grants) : undefined;
  return list === undefined ? null : sumOf(list);
}

function describeGrants(grants: Held): string[] {
  const sum = sumOfGrants(grants);
  if (sum === undefined) return [];
  return [sum === null ? 'grants that cannot be read' : `grants ${formatExactMoney(sum)}`];
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
  [budget, spent, grants]: readonly unknown[],
  {keepBudget}: ResetOptions,
): Settled<Reset> {
  const name = nameOf(id);
  if ([budget, spent, grants ?? null].every((reply) => reply === null)) return {id: name, state: 'not_found'};
  const text = (reply: unknown): string | null => (typeof reply === 'string' ? reply : null);
  const limit = text(budget);
  const removed = {budget: keepBudget ? null : limit, spent: text(spent), grants: text(grants) ?? false};
  const result = {id: name, key: id, ...removed, limit};
  const refusal = [budget, spent, grants].find((reply) => reply instanceof ErrorReply);
  if (refusal !== undefined) {
    const kept = refusal === budget ? 'budget' : refusal === spent ? 'spent' : 'grants';
    const message = `removed ${describeRemoved(result)}, but not its ${kept}: ${redis.explain(refusal).message}`;
    return {id: name, state: 'failed', error: new TokengateError('RESET_INCOMPLETE', message)};
  }
  return {id: name, state: keepBudget && spent === null ? 'unchanged' : 'done', result};
}
