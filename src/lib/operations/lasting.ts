import type {FreezeState} from '../gateway/freeze.js';
import type {StoredAmount} from '../gateway/stored-amount.js';
import type {TokengateError} from '../values/errors.js';
import {type Money, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';

/** What a change left that a request under way can undo, because the gateway reads and writes in separate steps. */
export type Left = {id: string; key: RawId} & (
  | /**
     * Spending that was removed, lowered or restored, and the budget of before: the texts in Redis, null for none. They are
     * small, and are parsed only where a session has spending again: a batch leaves many.
     */
    {kind: 'spent'; from: string; to: string; limit: string | null}
    /** A budget where there was none. */
  | {kind: 'budget'; budget: Money}
  /** `wasOver` where it replaced a freeze that had ended. */
  | {kind: 'freeze'; until: Date; wasOver: boolean}
  /** A freeze that was ended. */
  | {kind: 'unfrozen'}
);

/** The effect of a change that did not last. */
export type NotLasting = {id: string} & (
  | /** Removed spending was written back by a request that was under way, and was taken off again. */
    {kind: 'taken_off'; removed: Money; found: Money; left: Money}
    /** Restored spending was overwritten by such a request, and was put back. */
  | {kind: 'put_back'; added: Money; found: Money; left: Money}
  | {kind: 'not_corrected'; from: Money; to: Money; error: TokengateError}
  /** It could be removed spending that was written back, or the cost of new requests. */
  | {kind: 'jumped'; removed: Money; found: Money}
  | {kind: 'budget_overwritten'; wanted: Money; budget: StoredAmount}
  | {kind: 'freeze_overwritten'; freeze: FreezeState}
  | {kind: 'frozen_again'; freeze: FreezeState}
);

/** The finding of a second look. */
export type Sighting = NotLasting | {kind: 'no_look'; error: TokengateError};

/** A look, some time after changes, at whether their effect lasts. */
export interface SecondLook<R> {
  /** When to look at spending, in milliseconds after the change, in this order; the rest is looked at the first time. */
  afterMs: readonly number[];
  leftBy: (result: R) => readonly Left[];
}

/** After a change that somebody waits for. */
export const LOOKS = [100, 500];
/** After a renewal: old spending would block the session for a whole period, and nobody waits. */
export const RENEWAL_LOOKS = [100, 1000];

interface Replacement {
  before: StoredAmount;
  after: StoredAmount;
}

/** None where nothing was replaced, and for what is no money. */
export function leftOfSpent(key: RawId, {before, after}: Replacement, limit: string | null): Left[] {
  const [from, to] = [spentOf(before), spentOf(after)];
  if (from === undefined || to === undefined || from.eq(to)) return [];
  return [{id: nameOf(key), key, kind: 'spent', from: spentText(before), to: spentText(after), limit}];
}

/** None where there was a budget before: then the gateway writes none. */
export function leftOfBudget(key: RawId, {before, after}: Replacement): Left[] {
  if (before.state !== 'absent' || after.state !== 'money') return [];
  return [{id: nameOf(key), key, kind: 'budget', budget: after.amount}];
}

function spentOf(amount: StoredAmount): Money | undefined {
  if (amount.state === 'absent') return ZERO;
  return amount.state === 'money' ? amount.amount : undefined;
}

function spentText(amount: StoredAmount): string {
  return amount.state === 'money' ? amount.text : '0';
}
