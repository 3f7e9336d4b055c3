import type {Session} from '../gateway/session.js';
import {forecastEmpty} from '../periods/forecast.js';
import {addPartial, NO_TOTALS, type Totals, usedOf} from '../sessions/totals.js';
import {type Money, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';

/** The status of a session. `empty` has spent its budget: like for a `frozen` one, the gateway refuses its requests. */
export const STATUSES = ['frozen', 'invalid', 'empty', 'low', 'ok'] as const;
export type Status = (typeof STATUSES)[number];

/** From this percentage of the budget on, a session is `low`. */
const LOW = 80;

/** A session under watch. The same object for as long as the session is known. */
export interface Watched {
  readonly id: RawId;
  /** With its freeze. A new object whenever anything in it changes. */
  session: Session;
  status: Status;
  /** US dollars a minute; null until there is enough data. */
  rate: Money | null;
  /** When the budget renews; null when it does not, or when a renewal is overdue. */
  renewsAt: Date | null;
  /** The same in seconds after the last reading. */
  renewsIn: number | null;
  /** Requests since the last 60 s without one; null when it is not a count, undefined when it was not read. */
  requests: number | null | undefined;
  /** What a row sums up that is no session. */
  group?: WatchedGroup;
}

export interface WatchedGroup {
  members: readonly Watched[];
  /** The number of sessions with each status. */
  statuses: Record<Status, number>;
}

export function statusOf({budget, spent, remaining, percentageUsed, freeze}: Session): Status {
  if (freeze?.isFrozen) return 'frozen';
  if (budget === null || spent === null || freeze?.isFrozen === null) return 'invalid';
  if (remaining?.eq(ZERO)) return 'empty';
  return percentageUsed?.gte(LOW) ? 'low' : 'ok';
}

/**
 * Seconds until the budget is spent at the present rate, or `lasts` when it renews before. Null when it is not known,
 * or never happens: a freeze stops it.
 */
export function forecastOf({session: {remaining}, status, rate, renewsIn}: Watched): number | 'lasts' | null {
  return status === 'frozen' ? null : forecastEmpty(remaining, rate, renewsIn);
}

/** The same, as seconds only. */
export function emptyIn(one: Watched): number | null {
  const forecast = forecastOf(one);
  return forecast === 'lasts' ? null : forecast;
}

/** The sums over the sessions of a reading, without values that are not money. */
export interface Summary extends Totals {
  /** Percent of the budget spent, over sessions whose two amounts are both money. */
  used: Money;
  /** US dollars a minute; null until there is enough data for any session. */
  rate: Money | null;
  /** Seconds until the first budget renews; null when none does. */
  renewsIn: number | null;
  /** The number of sessions with each status. */
  statuses: Record<Status, number>;
}

export function summarize(sessions: readonly Watched[]): Summary {
  const summary: Summary = {
    ...NO_TOTALS,
    count: sessions.length,
    used: ZERO,
    rate: null,
    renewsIn: null,
    statuses: {frozen: 0, invalid: 0, empty: 0, low: 0, ok: 0},
  };
  for (const {session, status, rate, renewsIn} of sessions) {
    summary.statuses[status]++;
    if (renewsIn !== null) summary.renewsIn = Math.min(renewsIn, summary.renewsIn ?? renewsIn);
    for (const field of ['budget', 'spent', 'remaining'] as const) {
      const amount = session[field];
      if (amount !== null && amount !== ZERO) summary[field] = summary[field].plus(amount);
    }
    summary.partial = addPartial(summary.partial, session);
    if (rate !== null) summary.rate = rate === ZERO ? (summary.rate ?? ZERO) : (summary.rate ?? ZERO).plus(rate);
  }
  summary.used = usedOf(summary);
  return summary;
}

/** In column order. Each sorts the most pressing sessions first; the ID sorts from A. */
export const WATCH_FIELDS = [
  'status',
  'id',
  'budget',
  'spent',
  'remaining',
  'used',
  'rate',
  'empty',
  'requests',
] as const;
export type WatchField = (typeof WATCH_FIELDS)[number];

/** Sorts in place; equal sessions by their IDs, and unknown values last. */
export function sortWatched<T extends Watched>(sessions: T[], field: WatchField, reverse: boolean): T[] {
  const direction = reverse ? -1 : 1;
  const byId = (a: Watched, b: Watched): number => (a.id < b.id ? -1 : 1);
  if (field === 'id') return sessions.sort((a, b) => direction * byId(a, b));
  const compare = COMPARE[field];
  return sessions.sort((a, b) => {
    const [left, right] = [compare.value(a), compare.value(b)];
    if (left === null || right === null) return Number(left === null) - Number(right === null) || byId(a, b);
    const order = typeof left === 'number' ? left - (right as number) : left === right ? 0 : left.cmp(right);
    return direction * compare.direction * order || byId(a, b);
  });
}

const amount = (field: 'budget' | 'spent' | 'remaining' | 'percentageUsed', direction: 1 | -1): Comparison => ({
  value: ({session}) => session[field],
  direction,
});

interface Comparison {
  value: (one: Watched) => Money | number | null;
  /** -1 when the largest comes first. */
  direction: 1 | -1;
}

const COMPARE: Record<Exclude<WatchField, 'id'>, Comparison> = {
  rate: {value: ({rate}) => rate, direction: -1},
  // Of groups the one with the most that are frozen.
  status: {value: ({status, group}) => (group ? -group.statuses.frozen : STATUSES.indexOf(status)), direction: 1},
  budget: amount('budget', -1),
  spent: amount('spent', -1),
  remaining: amount('remaining', 1),
  used: amount('percentageUsed', -1),
  empty: {value: emptyIn, direction: 1},
  requests: {value: ({requests = null}) => requests, direction: -1},
};
