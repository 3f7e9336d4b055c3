import type {Redis} from '../redis/contract.js';
import {parseGatewayNumber} from '../values/gateway-number.js';
import {formatExactMoney, type Money, parseStoredMoney} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from './keys.js';
import {type Held, toHeld} from './stored-value.js';

/** An amount as it stands in Redis. `text` is missing when the key cannot be read as text. */
export type StoredAmount =
  | {state: 'absent'}
  | {state: 'money'; text: string; amount: Money}
  | {state: 'invalid'; text?: string; why: string; effect: string};

/** The two amounts of one session. */
export interface Amounts {
  budget: StoredAmount;
  spent: StoredAmount;
}

export const ABSENT: StoredAmount = {state: 'absent'};

/** Reads both amounts of a session in one flight. */
export async function readAmounts(redis: Redis, id: RawId): Promise<Amounts> {
  const [budget, spent] = await redis.pipeline([
    ['GET', keyOf(BUDGET_KEYS, id)],
    ['GET', keyOf(SPENT_KEYS, id)],
  ]);
  return {budget: toStoredAmount(toHeld(redis, budget)), spent: toStoredAmount(toHeld(redis, spent))};
}

/** Reads what the key of an amount holds. */
export function toStoredAmount(held: Held): StoredAmount {
  if (typeof held === 'string') return toAmount(held);
  if (!held) return ABSENT;
  return {
    state: 'invalid',
    why: 'of a wrong Redis type',
    effect: 'the gateway answers its requests with HTTP 503',
  };
}

/** Reads a text that stood in Redis. */
export function toAmount(text: string): StoredAmount {
  const amount = parseStoredMoney(text);
  if (amount !== undefined) return {state: 'money', text, amount};
  return {
    state: 'invalid',
    text,
    why: `${quoteStart(text)}, which is not an amount`,
    effect:
      parseGatewayNumber(text) === 'infinity'
        ? 'the gateway takes it as no limit'
        : 'the gateway answers its requests with HTTP 503',
  };
}

/** The text in quotes, cut off where it is long. */
export function quoteStart(text: string): string {
  return text.length > 60 ? `'${text.slice(0, 60)}…'` : `'${text}'`;
}

export function isAbsent({budget, spent}: Amounts): boolean {
  return budget.state === 'absent' && spent.state === 'absent';
}

/** `budget $25.50, spent none`, with the text itself where it is not money. May hold untrusted text. */
export function describeAmounts({budget, spent}: Amounts): string {
  return `budget ${describeAmount(budget)}, spent ${describeAmount(spent)}`;
}

export function describeAmount(value: StoredAmount): string {
  if (value.state === 'absent') return 'none';
  if (value.state === 'money') return formatExactMoney(value.amount);
  return value.text === undefined ? value.why : `'${value.text}'`;
}
