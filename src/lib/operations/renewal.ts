import type {PlannedChange, ScriptedChange} from '../change/change.js';
import {describeAmount} from '../gateway/stored-amount.js';
import {RENEW} from '../lua/scripts.js';
import {sumOf} from '../periods/grants.js';
import {toStored} from '../periods/next.js';
import {formatPeriod, type Period} from '../periods/period.js';
import {findDue, type PeriodState, readPeriodState, type Renewal, sharedRenewal} from '../periods/renewal.js';
import type {SpanOf} from '../periods/schedule.js';
import type {Redis, RedisText} from '../redis/contract.js';
import {readFound} from '../sessions/periods.js';
import {sortedOnce} from '../sessions/sorted-ids.js';
import {formatExactMoney, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {apply, type FreshNext, type PeriodChange, periodChange} from './period.js';

export interface PeriodRenewal extends PeriodChange {
  renewal: Renewal;
}

/** The sessions with a renewal or the end of a grant due now, or with an unreadable period. */
export interface Due {
  /** Sorted. */
  ids: RawId[];
  /** The periods of those that renew alike, whatever they have spent. */
  shared: Map<RawId, Period>;
}

export async function findDueSessions(redis: Redis, now: Date, spanOf: SpanOf, glob?: string): Promise<Due> {
  const ids: RawId[] = [];
  const shared = new Map<RawId, Period>();
  for await (const page of readFound(redis, glob)) {
    for (const {key, state} of page) {
      if (state !== undefined && findDue(state, now, spanOf) === undefined) continue;
      ids.push(key);
      if (state?.period && sharedRenewal(state, now)) shared.set(key, state.period);
    }
  }
  return {ids: sortedOnce(ids), shared};
}

/**
 * Does what is due now, according to `findDue`. A script renews the sessions that share a renewal, if their period is still
 * as it was found. The others are read, and written where they are as read.
 */
export function renewChange(
  now: Date,
  spanOf: SpanOf,
  shared: ReadonlyMap<RawId, Period> = new Map(),
): ScriptedChange<PeriodRenewal> & PlannedChange<PeriodRenewal> {
  const planned = periodChange<FreshNext & {renewal: Renewal}, PeriodRenewal>(
    (_id, state) => {
      const renewal = findDue(state, now, spanOf);
      return renewal === undefined ? 'unchanged' : {...nextOf(renewal), renewal};
    },
    (change, decided) => ({...change, renewal: decided?.renewal ?? NOTHING_DUE}),
  );
  return {
    ...planned,
    scripts: {change: RENEW},
    args: [],
    pack(group) {
      const periods = new Set(group.flatMap((id) => shared.get(id) ?? []));
      return [...periods].flatMap((period): RedisText[] => {
        const renewal = sharedRenewal({period, grants: []}, now);
        if (renewal === undefined) return [];
        const [next, , budget] = toStored(nextOf(renewal));
        return [formatPeriod(period), String(next), String(budget)];
      });
    },
    tellsOld: true,
    read(id, word, old) {
      const before = word === 'done' ? readPeriodState(old) : undefined;
      const renewal = before && 'period' in before ? sharedRenewal(before, now) : undefined;
      if (renewal === undefined) return undefined;
      const name = nameOf(id);
      const after = apply(before as PeriodState, nextOf(renewal));
      return {id: name, state: 'done', result: {id: name, key: id, before: before as PeriodState, after, renewal}};
    },
  };
}

const NOTHING_DUE: Renewal = {period: null, grants: [], ended: [], budget: undefined};

function nextOf({period, grants, budget}: Renewal): FreshNext {
  return {period: period ?? undefined, grants, budget, isFresh: period !== null};
}

/** `spent $12.00 removed, budget $50.00, carried over $3.00`, or the grants that have ended. */
export function describeRenewal({before, after, renewal}: PeriodRenewal): string {
  const {period, ended} = renewal;
  const parts = [`budget ${describeAmount(after.budget)}`];
  if (period !== null) {
    if (before.spent.state !== 'absent') parts.unshift(`spent ${describeAmount(before.spent)} removed`);
    if (period.carried.value.gt(ZERO)) parts.push(`carried over ${formatExactMoney(period.carried.value)}`);
  }
  if (ended.length > 0)
    parts.push(`${ended.length === 1 ? 'grant' : 'grants'} of ${formatExactMoney(sumOf(ended))} ended`);
  return parts.join(', ');
}
