import type {Redis} from '../redis/contract.js';
import {formatExactMoney, type Money, parseStoredMoney} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from './keys.js';
import {quoteStart, WRONG_TYPE} from './stored-text.js';
import {type Held, toHeldText} from './stored-value.js';

/** An amount in Redis. `text` is missing when the key cannot be read as text. */
export type StoredAmount =
  | {state: 'absent'}
  | {state: 'money'; text: string; amount: Money}
  | {
      state: 'invalid';
      text?: string;
      why: string;
      /**
       * What the gateway does because of it; missing where that depends on the other amount as well: see `judgeBudget`.
       */
      effect?: string;
    };

/** The two amounts of one session. */
export interface Amounts {
  budget: StoredAmount;
  spent: StoredAmount;
}

export const ABSENT: StoredAmount = {state: 'absent'};

/** Reads both amounts of a session in one flight. */
export async function readAmounts(redis: Redis, id: RawId): Promise<Amounts> {
  const [budget, spent] = await redis.pipelineBytes([
    ['GET', keyOf(BUDGET_KEYS, id)],
    ['GET', keyOf(SPENT_KEYS, id)],
  ]);
  return {budget: toStoredAmount(toHeldText(redis, budget)), spent: toStoredAmount(toHeldText(redis, spent))};
}

/** Reads the value of an amount's key. */
export function toStoredAmount(held: Held): StoredAmount {
  if (typeof held === 'string') return toAmount(held);
  return held ? {state: 'invalid', why: WRONG_TYPE} : ABSENT;
}

/** Reads a text from Redis. */
export function toAmount(text: string): StoredAmount {
  const amount = parseStoredMoney(text);
  if (amount !== undefined) return {state: 'money', text, amount};
  return {state: 'invalid', text, why: `${quoteStart(text)}, which is not an amount`};
}

/** Null when there is no amount, or it is not money. */
export function moneyOf(value: StoredAmount): Money | null {
  return value.state === 'money' ? value.amount : null;
}

/** Null for no key, and for a value that is not text. */
export function textOf(value: StoredAmount): string | null {
  return value.state === 'absent' ? null : (value.text ?? null);
}

export function isAbsent({budget, spent}: Amounts): boolean {
  return budget.state === 'absent' && spent.state === 'absent';
}

/** `budget $25.50, spent none`; an amount that is not money is quoted. May hold untrusted text. */
export function describeAmounts({budget, spent}: Amounts): string {
  return `budget ${describeAmount(budget)}, spent ${describeAmount(spent)}`;
}

export function describeAmount(value: StoredAmount): string {
  if (value.state === 'absent') return 'none';
  if (value.state === 'money') return showPlain(value.text) ?? formatExactMoney(value.amount);
  return value.text === undefined ? value.why : quoteStart(value.text);
}

/** The same for a text from Redis. */
export function describeText(text: string): string {
  return showPlain(text) ?? describeAmount(toAmount(text));
}

/** Most texts are plain digits and are shown as they are; undefined for the others. */
function showPlain(text: string): string | undefined {
  if (!/^(0|[1-9]\d{0,17})(\.(\d\d?|\d+[1-9]))?$/.test(text)) return undefined;
  const point = text.indexOf('.');
  if (point === -1) return `$${text}.00`;
  return point === text.length - 2 ? `$${text}0` : `$${text}`;
}
