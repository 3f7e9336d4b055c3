import {BUDGET_KEYS, SPENT_KEYS} from '../gateway/keys.js';
import {readMoney} from '../gateway/read-money.js';
import type {Held} from '../gateway/stored-value.js';
import type {Redis} from '../redis/contract.js';
import {scanIds} from '../sessions/scan-ids.js';
import {sortedOnce} from '../sessions/sorted-ids.js';
import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {decide, type ToWrite} from './decide.js';
import {readHeld} from './state.js';
import {type Budgets, findWanted, isInScope, type Wanted} from './wanted.js';

/** How a session differs from the files. */
export type Difference = {id: RawId; held: readonly Held[]} & (
  | {state: 'differs'; wanted: Wanted; decision: ToWrite}
  /** It exists, the files speak for it, and say nothing of it. */
  | {state: 'unlisted'}
  | {state: 'failed'; wanted: Wanted | undefined; error: TokengateError}
);

export interface Comparison {
  differences: Difference[];
  /** The number of sessions without a difference. */
  same: number;
}

/** A comparison, with what the sessions that differ have spent, as far as that is an amount. */
export interface SpentComparison extends Comparison {
  spent: ReadonlyMap<RawId, Money>;
}

export async function* withSpent(
  redis: Redis,
  comparisons: AsyncIterable<Comparison>,
): AsyncGenerator<SpentComparison> {
  for await (const comparison of comparisons) {
    const changing = comparison.differences.flatMap(({state, id}) => (state === 'differs' ? id : []));
    yield {...comparison, spent: await readMoney(redis, SPENT_KEYS, changing)};
  }
}

/** Compares Redis with the files, session by session, in the order of their IDs, page by page. */
export async function* compare(
  redis: Redis,
  budgets: Budgets,
  now: Date,
  {withUnlisted}: {withUnlisted: boolean},
): AsyncGenerator<Comparison> {
  // Nothing else is about sessions that no file names.
  const isOverAll = withUnlisted || budgets.rules.length > 0;
  const existing = isOverAll ? await scanIds(redis, BUDGET_KEYS) : [];
  const ids = sortedOnce([...existing, ...budgets.named.keys()]);
  for await (const page of readHeld(redis, ids)) {
    const comparison: Comparison = {differences: [], same: 0};
    for (const {id, held} of page) {
      const wanted = findWanted(budgets, id);
      if (wanted === undefined && (!withUnlisted || !isInScope(budgets, id))) continue;
      if (held instanceof TokengateError) {
        comparison.differences.push({id, held: [], state: 'failed', wanted, error: held});
        continue;
      }
      if (wanted === undefined) {
        // Sessions that were removed after the scan.
        if (held.at(-1) !== false) comparison.differences.push({id, held, state: 'unlisted'});
        continue;
      }
      const decision = decide(held, wanted, now);
      if (decision.state === 'unchanged') comparison.same++;
      else if (decision.state === 'failed') comparison.differences.push({id, held, wanted, ...decision});
      else comparison.differences.push({id, held, state: 'differs', wanted, decision});
    }
    yield comparison;
  }
}
