import {isDeepStrictEqual} from 'node:util';

import {parseCount} from '../gateway/anomaly-stats.js';
import {type FreezeState, NOT_FROZEN} from '../gateway/freeze.js';
import {toSession} from '../gateway/session.js';
import {ABSENT, type StoredAmount} from '../gateway/stored-amount.js';
import type {ErrorReply, Redis} from '../redis/contract.js';
import {toListedFreeze} from '../sessions/read.js';
import {type Money, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {statusOf, type Watched} from './row.js';
import {addReading, rateOf, type Spending, startSpending} from './spend-rate.js';

export const FIELDS = ['budget', 'spent'] as const;

export type Field = (typeof FIELDS)[number];

/** Everything that is kept about one session. */
export interface Known {
  id: RawId;
  name: string;
  amounts: Record<Field, StoredAmount>;
  /** As in Redis; null when absent, undefined when not read yet. */
  texts: Record<Field, string | null | undefined>;
  /** The end of the freeze as in Redis, or the error of its GET; null when absent. */
  until: string | ErrorReply | null;
  reasonText: string | null;
  freeze: FreezeState;
  spending: Spending | undefined;
  /** From the ledger; null when it is not known. */
  firstRate: Money | null;
  /** When the budget renews; null when it does not, or when a renewal is overdue. */
  renewsAt: Date | null;
  /** True when an amount has changed since `watched` was made. */
  isStale: boolean;
  /** Undefined while there is no budget. */
  watched: Watched | undefined;
}

export function toKnown(id: RawId): Known {
  return {
    id,
    name: nameOf(id),
    amounts: {budget: ABSENT, spent: ABSENT},
    texts: {budget: undefined, spent: undefined},
    until: null,
    reasonText: null,
    freeze: NOT_FROZEN,
    spending: undefined,
    firstRate: null,
    renewsAt: null,
    isStale: true,
    watched: undefined,
  };
}

export function setAmount(one: Known, field: Field, text: string | null, amount: StoredAmount): void {
  one.texts[field] = text;
  if (isDeepStrictEqual(one.amounts[field], amount)) return;
  one.amounts[field] = amount;
  one.isStale = true;
}

export function setCounts(page: readonly Known[], texts: readonly (string | null)[]): void {
  for (const [index, {watched}] of page.entries()) {
    const text = texts[index] ?? null;
    if (watched !== undefined) watched.requests = text === null ? 0 : parseCount(text);
  }
}

/** Updates everything that is derived from what was read of a session. */
export function refresh(redis: Redis, one: Known, at: Date): void {
  const {id, name, until, reasonText, watched} = one;
  const {budget, spent} = one.amounts;
  if (budget.state === 'absent') {
    // Removed. If it comes back, the next reading sees it.
    one.watched = undefined;
    one.spending = undefined;
    return;
  }
  const amount = spent.state === 'money' ? spent.amount : spent.state === 'absent' ? ZERO : undefined;
  if (amount === undefined) one.spending = undefined;
  else if (one.spending === undefined) one.spending = startSpending(at.getTime(), amount);
  else addReading(one.spending, at.getTime(), amount);
  const rate = one.spending === undefined ? null : (rateOf(one.spending) ?? one.firstRate);

  const freeze = until === null ? NOT_FROZEN : toListedFreeze(redis, name, until, reasonText, at);
  const isChanged = watched === undefined || one.isStale || !isSameFreeze(freeze, one.freeze);
  one.freeze = freeze;
  one.isStale = false;
  const {renewsAt} = one;
  const renewsIn = renewsAt === null || renewsAt <= at ? null : Math.ceil((renewsAt.getTime() - at.getTime()) / 1000);
  if (watched !== undefined && !isChanged) {
    watched.rate = rate;
    watched.renewsAt = renewsAt;
    watched.renewsIn = renewsIn;
    return;
  }
  const session = toSession(id, {budget, spent}, freeze);
  const facts = {session, status: statusOf(session), rate, renewsAt, renewsIn};
  if (watched === undefined) one.watched = {id, requests: undefined, ...facts};
  else Object.assign(watched, facts);
}

function isSameFreeze(a: FreezeState, b: FreezeState): boolean {
  return a.isFrozen === b.isFrozen && a.until?.getTime() === b.until?.getTime() && a.reason === b.reason;
}
