import {
  type BudgetState,
  decide,
  type Decision,
  NOTHING,
  readBudgetState,
  type ToWrite,
} from '../budget-files/decide.js';
import {describeState, describeUsedUp} from '../budget-files/describe.js';
import {BUDGET_FILE_KEYS} from '../budget-files/state.js';
import type {Wanted} from '../budget-files/wanted.js';
import type {ScriptedChange, Settled, Write} from '../change/change.js';
import {packWrites} from '../change/compare-and-set.js';
import {SPENT_KEYS} from '../gateway/keys.js';
import {moneyOf, toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {COMPARE_AND_SET} from '../lua/scripts.js';
import {toStored} from '../periods/next.js';
import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';

/** The spending is read only to report it. */
const SHAPES = [...BUDGET_FILE_KEYS, SPENT_KEYS];

/** The outcome for a session in a file. */
export interface BudgetFileChange {
  id: string;
  /** The same as bytes. */
  key: RawId;
  before: BudgetState;
  after: BudgetState;
  /** Null where nothing is recorded, or what is no amount. */
  spent: Money | null;
  /** False for a session that no file lists, whose budget is 0 now. */
  isListed: boolean;
  /** The note about it in the file; untrusted text. */
  note: string;
}

/** The wanted state of a session, and the values that it had when they were compared. */
export interface Planned {
  wanted: Wanted | typeof NOTHING;
  held: readonly Held[];
  /** What follows from them, if that is known. */
  decision?: ToWrite;
}

/**
 * Brings sessions into the wanted state. What is first written follows from the values read before the question.
 *
 * @param isBound refuses a session that has changed since it was read, instead of deciding again
 */
export function budgetFileChange(
  planned: ReadonlyMap<RawId, Planned>,
  now: Date,
  {isBound}: {isBound: boolean},
): ScriptedChange<BudgetFileChange> {
  const of = (id: RawId): Planned => {
    const found = planned.get(id);
    if (found === undefined) throw new RangeError('nothing is wanted of a session');
    return found;
  };
  const plan = (id: RawId, held: readonly Held[]): Settled<BudgetFileChange> | Write<BudgetFileChange> => {
    const seen = of(id);
    if (isBound && seen.held.some((value, index) => value !== held[index])) return changedSince(id);
    return planOne(id, held, seen.wanted, now);
  };
  const decisions = new Map<RawId, Decision>();
  const decisionOf = (id: RawId, {held, wanted, decision}: Planned): Decision => {
    // A new period begins when it is written, which is later if a question was asked.
    if (decision !== undefined && !decision.next.period) return decision;
    const found = decisions.get(id) ?? decide(held, wanted, now);
    decisions.set(id, found);
    return found;
  };
  return {
    shapes: SHAPES,
    scripts: {change: COMPARE_AND_SET},
    args: [],
    pack(group) {
      const writes = group.map((id) => {
        const seen = of(id);
        const decision = decisionOf(id, seen);
        return decision.state === 'write' ? {expected: seen.held, next: toStored(decision.next)} : undefined;
      });
      return packWrites(writes, SHAPES.length);
    },
    tellsOld: true,
    read(id, word, old) {
      const seen = of(id);
      const decision = decisionOf(id, seen);
      if (decision.state !== 'write') return undefined;
      if (word === 'moved') return isBound ? changedSince(id) : undefined;
      return {id: nameOf(id), state: 'done', result: toChange(id, decision, seen.wanted, old)};
    },
    plan,
    lookAt: SHAPES,
    preview(id, held) {
      const name = nameOf(id);
      const settled = plan(id, held);
      const before = readBudgetState(held);
      const now = before instanceof TokengateError ? 'not readable' : describeState(before);
      if (settled.state === 'failed') return {id: name, now, state: 'failed', error: settled.error};
      if (settled.state !== 'write') return {id: name, now, state: 'unchanged'};
      const {result} = settled;
      const usedUp = result.isListed ? describeUsedUp(result.before, result.after, result.spent) : '';
      const then = `${describeState(result.after)}${usedUp}`;
      return {id: name, now, then, state: 'done'};
    },
  };
}

function planOne(
  id: RawId,
  held: readonly Held[],
  wanted: Planned['wanted'],
  now: Date,
): Settled<BudgetFileChange> | Write<BudgetFileChange> {
  const decision = decide(held, wanted, now);
  const name = nameOf(id);
  if (decision.state === 'failed') return {id: name, state: 'failed', error: decision.error};
  if (decision.state === 'unchanged') {
    const before = readBudgetState(held);
    if (before instanceof TokengateError) return {id: name, state: 'failed', error: before};
    return {id: name, state: 'unchanged', result: toChange(id, {before, after: before}, wanted, held)};
  }
  return {
    state: 'write',
    expected: [...held.slice(0, BUDGET_FILE_KEYS.length), null],
    next: [...toStored(decision.next), null],
    result: toChange(id, decision, wanted, held),
  };
}

/** @param held with the spending */
function toChange(
  key: RawId,
  {before, after}: Pick<ToWrite, 'before' | 'after'>,
  wanted: Planned['wanted'],
  held: readonly Held[],
): BudgetFileChange {
  const isListed = wanted !== NOTHING;
  const note = isListed ? wanted.note : '';
  return {id: nameOf(key), key, before, after, spent: spentOf(held), isListed, note};
}

function spentOf(held: readonly Held[]): Money | null {
  return moneyOf(toStoredAmount(held[BUDGET_FILE_KEYS.length] ?? false));
}

function changedSince(id: RawId): Settled<BudgetFileChange> {
  const error = new TokengateError('CHANGED_SINCE', 'it has changed since the plan was made.', {
    hint: 'Make a new plan with: tokengate diff-budgets --out',
  });
  return {id: nameOf(id), state: 'failed', error};
}
