import {hrtime} from 'node:process';

import {type FreezeState, NOT_FROZEN} from '../gateway/freeze.js';
import {BUDGET_KEYS} from '../gateway/keys.js';
import type {Session} from '../gateway/session.js';
import type {Renewing} from '../periods/renewal.js';
import {ifPermitted, type Redis} from '../redis/contract.js';
import {type Filter, mayPass} from '../sessions/filter.js';
import {readRenewing} from '../sessions/periods.js';
import {readFreezesAndCounts, readSessions} from '../sessions/read.js';
import {scanIds} from '../sessions/scan-ids.js';
import {TokengateError} from '../values/errors.js';
import {type Money, ZERO} from '../values/money.js';
import {isText} from '../values/session-id.js';
import {checkHealth} from './health.js';

/** A gauge: a value of this moment. All metrics here are gauges, since even spending falls at a reset. */
export interface Gauge {
  name: string;
  help: string;
  samples: {labels: Record<string, string>; value: Money | number}[];
}

export interface Metrics {
  gauges: Gauge[];
  /** The number of sessions measured. */
  sessions: number;
  /** The number of sessions without series of their own. */
  leftOut: number;
}

export interface MetricsOptions {
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** Maximum number of sessions with series of their own. */
  maxSeries: number;
  now: Date;
}

/** The measured values of one session. Null means unreadable. */
interface Measured {
  session: Session;
  freeze: FreezeState;
  requests: number | null;
  /** When the budget renews. */
  next: Date | null;
  isUnreadable: boolean;
}

interface Sums {
  count: number;
  budget: Money;
  spent: Money;
  remaining: Money;
  requests: number;
}

const NO_SUMS: Sums = {count: 0, budget: ZERO, spent: ZERO, remaining: ZERO, requests: 0};
/** The states in which Redis takes no writes: the gateway then counts no spending, and refuses requests. */
const UNWRITABLE = ['REDIS_READONLY', 'REDIS_OUT_OF_MEMORY', 'REDIS_WRITES_REFUSED'];

/**
 * Measures the sessions that have a budget. Unreadable sessions get series of their own first, then those that have
 * used most of their budget; the rest is summed. A session that a filter cannot decide on, because a value is
 * unreadable, is measured too.
 */
export async function measure(redis: Redis, options: MetricsOptions): Promise<Metrics> {
  const start = hrtime.bigint();
  const {match, where, maxSeries, now} = options;
  const isWritable = await askWritable(redis);
  const {freezes, requests} = await readFreezesAndCounts(redis, match, now);
  // A user who may read only the gateway's keys gets the rest.
  const periods = await ifPermitted(readRenewing(redis, {match, now}));
  let kept: Measured[] = [];
  let all = NO_SUMS;
  const counts = {frozen: 0, exhausted: 0, unreadable: 0, overdue: 0};
  const countOverdue = (renewing: Renewing | null): void => {
    if (renewing?.isOverdue ?? true) counts.overdue++;
  };
  for await (const page of readSessions(redis, await scanIds(redis, BUDGET_KEYS, match), 'skip')) {
    const measured: Measured[] = [];
    for (const session of page) {
      const freeze = freezes.get(session.key) ?? NOT_FROZEN;
      const count = requests.get(session.key);
      if (where !== undefined && !mayPass(where, {...session, freeze})) continue;
      const renewing = periods?.get(session.key);
      periods?.delete(session.key);
      if (renewing !== undefined) countOverdue(renewing);
      measured.push(toMeasured(session, freeze, count === undefined ? 0 : count, renewing?.next ?? null));
    }
    all = addUp(all, measured);
    counts.frozen += measured.filter(({freeze}) => freeze.isFrozen).length;
    counts.exhausted += measured.filter(({session}) => session.remaining?.eq(ZERO)).length;
    counts.unreadable += measured.filter(({isUnreadable}) => isUnreadable).length;
    // Sorted now and then, so that only few more than these are held.
    kept.push(...measured);
    if (kept.length > 2 * maxSeries + 1000) kept = kept.sort(byInterest).slice(0, maxSeries);
  }
  if (where === undefined) for (const renewing of periods?.values() ?? []) countOverdue(renewing);
  kept = withOwnName(kept.sort(byInterest).slice(0, maxSeries));
  const own = addUp(NO_SUMS, kept);
  const other: Sums = {
    count: all.count - own.count,
    budget: all.budget.minus(own.budget),
    spent: all.spent.minus(own.spent),
    remaining: all.remaining.minus(own.remaining),
    requests: all.requests - own.requests,
  };
  const gauges = [
    ...sessionGauges(kept),
    ...sumGauges(
      {sessions: 'tokengate_other_sessions', prefix: 'tokengate_other_sessions', of: 'of sessions without own series'},
      other,
    ),
    ...sumGauges({sessions: 'tokengate_sessions', prefix: 'tokengate_all_sessions', of: 'of all sessions'}, all),
    gauge('tokengate_sessions_frozen', 'Sessions that are frozen now.', counts.frozen),
    gauge('tokengate_sessions_exhausted', 'Sessions that have nothing left.', counts.exhausted),
    gauge('tokengate_sessions_unreadable', 'Sessions with a value that is not readable.', counts.unreadable),
    ...(periods === undefined
      ? []
      : [
          gauge(
            'tokengate_periods_overdue',
            'Sessions with a renewal, or the end of a grant, that is overdue or not readable.',
            counts.overdue,
          ),
        ]),
    ...storeGauges(redis, isWritable),
    gauge('tokengate_last_success_timestamp_seconds', 'When this was measured, by the clock of Redis.', seconds(now)),
    gauge(
      'tokengate_scrape_duration_seconds',
      'How long measuring took.',
      Number((Number(hrtime.bigint() - start) / 1e9).toFixed(6)),
    ),
  ];
  return {gauges: gauges.sort((a, b) => (a.name < b.name ? -1 : 1)), sessions: all.count, leftOut: other.count};
}

function seconds(time: Date): number {
  return time.getTime() / 1000;
}

function gauge(name: string, help: string, value: Money | number, labels: Record<string, string> = {}): Gauge {
  return {name, help, samples: [{labels, value}]};
}

function sumGauges({sessions, prefix, of}: {sessions: string; prefix: string; of: string}, sums: Sums): Gauge[] {
  return [
    gauge(sessions, `Number ${of}.`, sums.count),
    gauge(`${prefix}_budget_usd`, `Budgets ${of}, in US dollars.`, sums.budget),
    gauge(`${prefix}_spent_usd`, `What is spent ${of}, in US dollars.`, sums.spent),
    gauge(`${prefix}_remaining_usd`, `What is left ${of}, in US dollars.`, sums.remaining),
    gauge(`${prefix}_requests_last_minute`, `Requests ${of} that count against the limit of each.`, sums.requests),
  ];
}

function storeGauges({server}: Redis, isWritable: boolean | undefined): Gauge[] {
  const {version = 'unknown', role} = server;
  return [
    gauge('tokengate_up', 'Always 1: if the sessions cannot be read, nothing is written.', 1),
    gauge('tokengate_redis_info', 'The Redis that was read.', 1, {version, role}),
    ...(isWritable === undefined
      ? []
      : [gauge('tokengate_redis_writable', '1 when Redis takes writes, as the gateway needs.', Number(isWritable))]),
  ];
}

function sessionGauges(sessions: readonly Measured[]): Gauge[] {
  const each = (name: string, help: string, valueOf: (measured: Measured) => Money | number | null): Gauge => ({
    name: `tokengate_session_${name}`,
    help,
    samples: sessions.flatMap((measured) => {
      const value = valueOf(measured);
      return value === null ? [] : [{labels: {session_id: measured.session.id}, value}];
    }),
  });
  return [
    each('budget_usd', 'The budget, in US dollars.', ({session}) => session.budget),
    each('spent_usd', 'What is spent, in US dollars; falls at a reset.', ({session}) => session.spent),
    each('remaining_usd', 'What is left, in US dollars; never negative.', ({session}) => session.remaining),
    each(
      'used_ratio',
      'Spent share of the budget: 1 is all of it, and it can be more. With a budget of 0 it is 0 until something is spent.',
      ({session}) => session.percentageUsed?.div(100) ?? null,
    ),
    each('frozen', '1 when the session is frozen now.', ({freeze}) =>
      freeze.isFrozen === null ? null : Number(freeze.isFrozen),
    ),
    each(
      'requests_last_minute',
      'Requests since the last minute without one, which the gateway limits.',
      ({requests}) => requests,
    ),
    each('period_next_timestamp_seconds', 'When the budget renews; missing where it does not.', ({next}) =>
      next === null ? null : seconds(next),
    ),
    each('unreadable', '1 when a value of the session cannot be read; that value is then missing.', (measured) =>
      Number(measured.isUnreadable),
    ),
  ];
}

/**
 * Sorted by ID. The name of an ID that is not UTF-8 may equal another's, and Prometheus refuses a whole file with two
 * series of one name.
 */
function withOwnName(measured: readonly Measured[]): Measured[] {
  const names = new Set(measured.flatMap(({session: {key, id}}) => (isText(key) ? [id] : [])));
  const hasOwn = ({session: {key, id}}: Measured): boolean => isText(key) || (!names.has(id) && Boolean(names.add(id)));
  return measured.filter(hasOwn).sort((a, b) => (a.session.key < b.session.key ? -1 : 1));
}

function addUp(sums: Sums, measured: readonly Measured[]): Sums {
  return measured.reduce(
    ({count, budget, spent, remaining, requests}, {session, requests: more}) => ({
      count: count + 1,
      budget: budget.plus(session.budget ?? ZERO),
      spent: spent.plus(session.spent ?? ZERO),
      remaining: remaining.plus(session.remaining ?? ZERO),
      requests: requests + (more ?? 0),
    }),
    sums,
  );
}

/**
 * Unreadable sessions first, then by the share of the budget used, then by the amount spent; equal ones stay sorted by
 * ID.
 */
function byInterest(a: Measured, b: Measured): number {
  return (
    Number(b.isUnreadable) - Number(a.isUnreadable) ||
    (b.session.percentageUsed ?? ZERO).cmp(a.session.percentageUsed ?? ZERO) ||
    (b.session.spent ?? ZERO).cmp(a.session.spent ?? ZERO)
  );
}

function toMeasured(session: Session, freeze: FreezeState, requests: number | null, next: Date | null): Measured {
  const isUnreadable =
    session.budget === null || session.spent === null || freeze.isFrozen === null || requests === null;
  return {session, freeze, requests, next, isUnreadable};
}

/** Undefined when the user may not write. */
async function askWritable(redis: Redis): Promise<boolean | undefined> {
  try {
    await checkHealth(redis);
    return true;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    if (UNWRITABLE.includes(error.code)) return false;
    if (error.code === 'REDIS_NO_PERMISSION') return undefined;
    throw error;
  }
}
