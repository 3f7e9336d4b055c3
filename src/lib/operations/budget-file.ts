import {type BudgetState, decide, NOTHING, readBudgetState} from '../budget-files/decide.js';
import {describeState} from '../budget-files/describe.js';
import {BUDGET_FILE_KEYS} from '../budget-files/state.js';
import type {Wanted} from '../budget-files/wanted.js';
import type {ScriptedChange, Settled, Write} from '../change/change.js';
import {packWrites} from '../change/compare-and-set.js';
import type {Held} from '../gateway/stored-value.js';
import {COMPARE_AND_SET} from '../lua/scripts.js';
import {toStored} from '../periods/next.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';

/** What became of a session that a file speaks of. */
export interface BudgetFileChange {
  id: string;
  before: BudgetState;
  after: BudgetState;
  /** What the file says of it for people; untrusted text. */
  note: string;
}

/** What is wanted of a session, and what it held when that was compared with it. */
export interface Planned {
  wanted: Wanted | typeof NOTHING;
  held: readonly Held[];
}

/**
 * Makes sessions as they are wanted. What is written at first is what follows from what was read before the question.
 *
 * @param isBound refuses a session that has changed since it was read, rather than to decide again
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
    if (isBound && held.some((value, index) => value !== seen.held[index])) return changedSince(id);
    return planOne(id, held, seen.wanted, now);
  };
  /** Made when it is sent, and needed once more when that is answered. */
  const writes = new Map<RawId, Write<BudgetFileChange>>();
  return {
    shapes: BUDGET_FILE_KEYS,
    scripts: {change: COMPARE_AND_SET},
    args: [],
    pack(group) {
      const planned = group.map((id) => {
        const {held, wanted} = of(id);
        const write = planOne(id, held, wanted, now);
        if (write.state !== 'write') return undefined;
        writes.set(id, write);
        return write;
      });
      return packWrites(planned, BUDGET_FILE_KEYS.length);
    },
    read(id, word) {
      const write = writes.get(id);
      writes.delete(id);
      if (word !== 'moved' && write !== undefined) return {id: nameOf(id), state: 'done', result: write.result};
      return isBound && write !== undefined ? changedSince(id) : undefined;
    },
    plan,
    lookAt: BUDGET_FILE_KEYS,
    preview(id, held) {
      const name = nameOf(id);
      const settled = plan(id, held);
      const before = readBudgetState(held);
      const now = before instanceof TokengateError ? 'not readable' : describeState(before);
      if (settled.state === 'failed') return {id: name, now, state: 'failed', error: settled.error};
      if (settled.state !== 'write') return {id: name, now, state: 'unchanged'};
      return {id: name, now, then: describeState(settled.result.after), state: 'done'};
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
  const note = wanted === NOTHING ? '' : wanted.note;
  if (decision.state === 'unchanged') {
    const before = readBudgetState(held);
    if (before instanceof TokengateError) return {id: name, state: 'failed', error: before};
    return {id: name, state: 'unchanged', result: {id: name, before, after: before, note}};
  }
  const {next, before, after} = decision;
  return {state: 'write', expected: [...held], next: toStored(next), result: {id: name, before, after, note}};
}

function changedSince(id: RawId): Settled<BudgetFileChange> {
  const error = new TokengateError('CHANGED_SINCE', 'it has changed since the plan was made.', {
    hint: 'Make a new plan with: tokengate diff-budgets --out',
  });
  return {id: nameOf(id), state: 'failed', error};
}
