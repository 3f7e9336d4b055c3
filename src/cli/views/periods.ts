import {describeAmount, moneyOf} from '../../lib/gateway/stored-amount.js';
import type {PeriodChange} from '../../lib/operations/period.js';
import type {PeriodRenewal} from '../../lib/operations/renewal.js';
import {formatInZone, formatIsoInZone} from '../../lib/periods/calendar.js';
import {describeGrant, describeGrantEnd, describePeriod, describeSchedule} from '../../lib/periods/describe.js';
import {type Grant, sumOf} from '../../lib/periods/grants.js';
import {isAhead, type PeriodState, type Renewing} from '../../lib/periods/renewal.js';
import type {SpanOf} from '../../lib/periods/schedule.js';
import {formatExactMoney, type Money, ZERO} from '../../lib/values/money.js';
import {nameOf, type RawId} from '../../lib/values/session-id.js';
import {formatDuration} from '../../lib/values/time.js';
import {renderDocuments} from '../text/documents.js';
import {roomOf, showCut} from '../text/escape.js';
import {drawTable} from '../text/table.js';
import type {SecondLookJson} from './second-look.js';

export const PERIOD_FORMATS = ['table', 'json', 'ndjson', 'csv'] as const;
type Format = (typeof PERIOD_FORMATS)[number];

/** The renewal of a session's budget in the form for scripts, which is a contract. Null means absent or unreadable. */
export interface RenewalJson {
  every: string | null;
  timezone: string | null;
  /** The start of the next period, on the zone's own clock. */
  next_renewal: string | null;
  /** The sum of the session's grants, in USD. */
  grants: Money | null;
}

/** The same for a row of a table, safe to show. */
export interface RenewalCells {
  json: RenewalJson;
  period: string;
  resets: string;
  grants: string;
}

/** The same for one session. */
export interface ShownRenewal {
  json: RenewalJson;
  /** With the labels of `get-budget`. */
  lines: string[];
  /** `every month $50.00, next 2026-12-01 00:00 +00:00 (in 3d4h)`; null without a period. */
  sentence: string | null;
  /** Why it is unknown. */
  problems: string[];
}

/** The terms of a renewal in the form for scripts, which is a contract. Times are on the clock of the period's zone. */
export interface PeriodTermsJson {
  every: string | null;
  amount: Money | null;
  timezone: string | null;
  at: string | null;
  on: number | null;
  rollover: string | null;
  max_rollover: Money | null;
  last_renewal: string | null;
  next_renewal: string | null;
  carried_over: Money | null;
  budget: Money | null;
  spent: Money | null;
  grants: Money;
}

export interface PeriodJson extends PeriodTermsJson {
  session_id: string;
  /** Null when no spending was removed. */
  second_look: SecondLookJson | null;
  change_id: string | null;
}

/** @param now the moment after which to look for `next_renewal`; by default the last renewal */
export function toPeriodJson(
  {period, grants, budget, spent}: PeriodState,
  spanOf: SpanOf,
  now?: Date,
): PeriodTermsJson {
  const terms = period ?? undefined;
  return {
    every: terms?.every ?? null,
    amount: terms?.amount.value ?? null,
    timezone: terms?.timezone ?? null,
    at: terms?.at ?? null,
    on: terms?.on ?? null,
    rollover: terms?.rollover ?? null,
    max_rollover: terms?.maxRollover?.value ?? null,
    last_renewal: terms === undefined ? null : formatIsoInZone(terms.renewed, terms.timezone),
    next_renewal: terms === undefined ? null : formatIsoInZone(spanOf(terms, now ?? terms.renewed).end, terms.timezone),
    carried_over: terms?.carried.value ?? null,
    budget: moneyOf(budget),
    spent: spent.state === 'absent' ? ZERO : moneyOf(spent),
    grants: sumOf(grants),
  };
}

/** What `set-period` did to a session, for people. */
export function describeSetPeriod({before, after}: PeriodChange): string {
  const {period, budget} = after;
  if (period !== null) return `${describePeriod(period)}, budget ${describeAmount(budget)}`;
  if (before === after) return 'it does not renew';
  return before.period === null ? 'it no longer renews' : `no longer ${describePeriod(before.period)}`;
}

export function toRenewedJson({before, after, renewal}: PeriodRenewal, spanOf: SpanOf): Record<string, unknown> {
  const {period, ended} = renewal;
  return {
    budget: moneyOf(after.budget),
    previous_budget: moneyOf(before.budget),
    removed_spent: period === null || before.spent.state === 'absent' ? null : moneyOf(before.spent),
    carried_over: period?.carried.value ?? null,
    ended_grants: ended.map(toGrantJson),
    next_renewal: toPeriodJson(after, spanOf).next_renewal,
  };
}

export function describeUnreadable(id: RawId): string {
  return `The period or the grants of session '${nameOf(id)}' cannot be read: check-store says what is wrong.`;
}

function toRenewalJson({period, grants, next}: Renewing): RenewalJson {
  return {
    every: period?.every ?? null,
    timezone: period?.timezone ?? null,
    next_renewal: period && next && formatIsoInZone(next, period.timezone),
    grants: sumOf(grants),
  };
}

const UNKNOWN: RenewalCells = {
  json: {every: null, timezone: null, next_renewal: null, grants: null},
  ...{period: 'unreadable', resets: '-', grants: '-'},
};

/** @param renewing null when it cannot be read */
export function toRenewalCells(renewing: Renewing | null): RenewalCells {
  if (renewing === null) return UNKNOWN;
  const {period, grants, next, isOverdue} = renewing;
  return {
    json: toRenewalJson(renewing),
    period: period === null ? '-' : describeSchedule(period),
    resets: isOverdue ? 'overdue' : period && next ? formatInZone(next, period.timezone) : '-',
    grants: grants.length === 0 ? '-' : formatExactMoney(sumOf(grants)),
  };
}

/** @param renewing null when it cannot be read */
export function showRenewal(id: RawId, renewing: Renewing | null, now: Date): ShownRenewal {
  if (renewing === null) return {json: UNKNOWN.json, lines: [], sentence: null, problems: [describeUnreadable(id)]};
  const {period, grants, next, isOverdue} = renewing;
  const given = grants.map(describeGrant);
  const left = next === null ? '' : formatDuration(next.getTime() - now.getTime());
  const at = period && next ? formatInZone(next, period.timezone) : '';
  const problems = isOverdue ? [describeOverdue(id, renewing, now)] : [];
  return {
    json: toRenewalJson(renewing),
    lines: [
      ...(period === null ? [] : [`Period:    ${describePeriod(period)}`, `Resets in: ${left} (${at})`]),
      ...(given.length === 0 ? [] : [`Grants:    ${given.join(', ')}`]),
    ],
    sentence: period && `${describePeriod(period)}, next ${at} (in ${left})`,
    problems,
  };
}

function describeOverdue(id: RawId, {period}: Renewing, now: Date): string {
  if (period === null || !isAhead(period, now)) {
    return `A renewal of session '${nameOf(id)}' is overdue: is renew-budgets still run?`;
  }
  return `The last renewal of session '${nameOf(id)}' is in the future, so it does not renew: check-store --fix mends that.`;
}

interface ListView {
  format: Format;
  /** The text in place of an empty table. */
  none: string;
  isTerminal: boolean;
}

/** A row of `list-periods`. */
export interface ListedPeriod {
  id: string;
  /** Undefined when it cannot be read. */
  state: PeriodState | undefined;
  isOverdue: boolean;
}

const PERIOD_HEADINGS = [
  'Session ID',
  'Renews every',
  'Amount',
  'Last renewal',
  'Next renewal',
  'Carried over',
  'Grants',
];

/** A list of periods as text, piece by piece; `none` stands for an empty table. */
export async function* renderPeriods(
  rows: readonly ListedPeriod[],
  {format, spanOf, now, none, isTerminal}: ListView & {spanOf: SpanOf; now: Date},
): AsyncGenerator<string> {
  const toJson = ({id, state, isOverdue}: ListedPeriod): object => ({
    session_id: id,
    ...toPeriodJson(state ?? UNREADABLE, spanOf, now),
    is_overdue: isOverdue,
  });
  if (format === 'table') {
    if (rows.length === 0) yield none;
    else
      yield* await drawTable(
        PERIOD_HEADINGS,
        rows.map((row) => toCells(row, spanOf, now)),
        {flexible: [0], right: [2, 5, 6]},
      );
  } else {
    yield* renderDocuments(rows.map(toJson), format, {isTerminal, fields: Object.keys(toJson(NO_ROW))});
  }
}

const UNREADABLE: PeriodState = {period: null, grants: [], budget: {state: 'absent'}, spent: {state: 'absent'}};
const NO_ROW: ListedPeriod = {id: '', state: undefined, isOverdue: false};

function toCells({id, state, isOverdue}: ListedPeriod, spanOf: SpanOf, now: Date): string[] {
  const shown = showCut(id, roomOf(process.stdout));
  if (state === undefined) return [shown, 'unreadable', '-', '-', '-', '-', '-'];
  const {period, grants} = state;
  const granted = grants.length === 0 ? '-' : formatExactMoney(sumOf(grants));
  if (period === null) return [shown, '-', '-', '-', '-', '-', granted];
  const {timezone, renewed, carried, amount} = period;
  const next = isOverdue ? 'overdue' : formatInZone(spanOf(period, now).end, timezone);
  return [
    shown,
    describeSchedule(period),
    formatExactMoney(amount.value),
    formatInZone(renewed, timezone),
    next,
    carried.value.gt(ZERO) ? formatExactMoney(carried.value) : '-',
    granted,
  ];
}

export interface GrantJson {
  grant_id: string;
  amount: Money;
  until: Date | null;
  note: string;
}

export function toGrantJson({id, amount, until, note}: Grant): GrantJson {
  return {grant_id: id, amount: amount.value, until, note};
}

/** A list of grants as text, piece by piece. */
export async function* renderGrants(
  rows: readonly {id: string; grant: Grant}[],
  {format, none, isTerminal}: ListView,
): AsyncGenerator<string> {
  if (format === 'table') {
    const room = roomOf(process.stdout);
    const cells = rows.map(({id, grant}) => [
      showCut(id, room),
      showCut(grant.id, room),
      formatExactMoney(grant.amount.value),
      describeGrantEnd(grant).replace(/^until /, ''),
      showCut(grant.note, room),
    ]);
    if (rows.length === 0) yield none;
    else {
      const header = ['Session ID', 'Grant', 'Amount', 'Until', 'Note'];
      yield* await drawTable(header, cells, {flexible: [0, 4], right: [2]});
    }
  } else {
    const documents = rows.map(({id, grant}) => ({session_id: id, ...toGrantJson(grant)}));
    yield* renderDocuments(documents, format, {
      isTerminal,
      fields: ['session_id', 'grant_id', 'amount', 'until', 'note'],
    });
  }
}
