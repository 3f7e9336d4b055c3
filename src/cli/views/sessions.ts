import {describeEnd} from '../../lib/gateway/freeze.js';
import type {Session} from '../../lib/gateway/session.js';
import type {Journal} from '../../lib/journal/entry.js';
import {type BudgetChange} from '../../lib/operations/budget.js';
import type {PlainSession} from '../../lib/sessions/plain.js';
import {addToTotals, NO_TOTALS, type Totals, usedOf} from '../../lib/sessions/totals.js';
import {TokengateError} from '../../lib/values/errors.js';
import {formatMoney, formatPercentage, type Money, ZERO} from '../../lib/values/money.js';
import {hexOf} from '../../lib/values/session-id.js';
import {statusOf} from '../../lib/watch/row.js';
import {type Colour, STATUS_COLOURS} from '../text/colour.js';
import {toCsvCell, toCsvLine} from '../text/csv.js';
import {roomOf, showCut, showText} from '../text/escape.js';
import {jsonList} from '../text/json-list.js';
import {stringifyJson} from '../text/json.js';
import {drawTable} from '../text/table.js';
import type {Forecast, ForecastJson} from './forecast.js';
import {writeIdLine} from './id-lines.js';
import type {RenewalCells} from './periods.js';
import {arePlain, plainWriter} from './plain-sessions.js';
import {NO_RENEWAL} from './renewal.js';

/**
 * A session in the form for scripts, which is a contract. Amounts are exact; null is a value in Redis that is not
 * money.
 */
export interface SessionJson {
  session_id: string;
  budget: Money | null;
  spent: Money | null;
  remaining: Money | null;
  percentage_used: Money | null;
}

export const LIST_FORMATS = ['table', 'json', 'ndjson', 'csv', 'ids'] as const;
type ListFormat = (typeof LIST_FORMATS)[number];

export interface ListView {
  format: ListFormat;
  columns: readonly ColumnName[];
  totals: boolean;
  /** The text of a table without rows. */
  none: string;
  /** Separates IDs by NUL instead of line feeds. */
  nul: boolean;
  /** Makes text safe to show on a terminal, instead of exact. */
  isTerminal: boolean;
  /** Receives the totals. */
  onTotals: (totals: Totals) => void;
  /**
   * Receives the IDs that cannot be printed with NUL as the separator: they would name other sessions when read back.
   */
  leftOut: string[];
}

export function toSessionJson({id, budget, spent, remaining, percentageUsed}: Session): SessionJson {
  return {session_id: id, budget, spent, remaining, percentage_used: percentageUsed};
}

/** What a change of a budget did, in the form for scripts, which is a contract. */
export interface BudgetChangeJson {
  session_id: string;
  budget: Money | null;
  previous_budget: Money | null;
  spent: Money | null;
  /** Null without a journal. */
  change_id: string | null;
}

export function toBudgetChangeJson(
  {session: {id, budget, spent}, previousBudget}: BudgetChange,
  journal: Journal | undefined,
): BudgetChangeJson {
  return {session_id: id, budget, previous_budget: previousBudget, spent, change_id: journal?.change ?? null};
}

/** A session in a list, with its renewal if a column shows that and it has one. */
export interface ListedSession extends Session {
  renewal?: RenewalCells | undefined;
  /** From the ledger of spending, if a column shows it and it is known. */
  forecast?: Forecast | undefined;
}

interface Column {
  title: string;
  /** The name of the JSON field and of the CSV column. */
  key: string;
  value: (session: ListedSession) => unknown;
  /** The table's text, safe to show. */
  cell: (session: ListedSession) => string;
}

function cut(text: string): string {
  return showCut(text, roomOf(process.stdout));
}

/** `invalid` for an amount that cannot be read. */
export const money = (amount: Money | null): string => (amount === null ? 'invalid' : formatMoney(amount));

const COLUMNS = {
  id: {title: 'Session ID', key: 'session_id', value: ({id}) => id, cell: ({id}) => cut(id)},
  budget: {title: 'Budget', key: 'budget', value: ({budget}) => budget, cell: ({budget}) => money(budget)},
  spent: {title: 'Spent', key: 'spent', value: ({spent}) => spent, cell: ({spent}) => money(spent)},
  remaining: {
    title: 'Remaining',
    key: 'remaining',
    value: ({remaining}) => remaining,
    cell: ({remaining}) => money(remaining),
  },
  used: {title: 'Used %', key: 'percentage_used', value: ({percentageUsed}) => percentageUsed, cell: usedCell},
  frozen: {
    title: 'Frozen',
    key: 'is_frozen',
    value: ({freeze}) => freeze?.isFrozen ?? null,
    cell: ({freeze}) => (freeze?.isFrozen == null ? 'invalid' : freeze.isFrozen ? 'yes' : 'no'),
  },
  until: {
    title: 'Frozen until',
    key: 'frozen_until',
    value: ({freeze}) => (freeze?.isFrozen ? freeze.until : null),
    cell: ({freeze}) => (freeze?.isFrozen && freeze.until ? describeEnd(freeze.until).replace('until ', '') : '-'),
  },
  reason: {
    title: 'Reason',
    key: 'freeze_reason',
    value: ({freeze}) => (freeze?.isFrozen ? freeze.reason : null),
    cell: ({freeze}) => (freeze?.isFrozen ? cut(freeze.reason ?? '') : '-'),
  },
  status: {title: 'Status', key: 'status', value: statusOf, cell: statusOf},
  rate: {title: '$/min', key: 'spent_per_minute', value: ({rate}) => rate ?? null, cell: ({rate}) => rateCell(rate)},
  period: {title: 'Period', key: 'every', ...renewalColumn('period', 'every')},
  resets: {title: 'Resets', key: 'next_renewal', ...renewalColumn('resets', 'next_renewal')},
  grants: {title: 'Grants', key: 'grants', ...renewalColumn('grants', 'grants')},
  hourly: {title: '$/h', key: 'spent_per_hour', ...forecastColumn('hour', 'spent_per_hour')},
  daily: {title: '$/h in a day', key: 'spent_per_hour_of_day', ...forecastColumn('day', 'spent_per_hour_of_day')},
  empties: {title: 'Empties', key: 'seconds_until_empty', ...forecastColumn('empties', 'seconds_until_empty')},
} satisfies Record<string, Column>;

function renewalColumn(
  cell: 'period' | 'resets' | 'grants',
  field: keyof RenewalCells['json'],
): Pick<Column, 'value' | 'cell'> {
  return {
    value: ({renewal}) => (renewal?.json ?? NO_RENEWAL)[field],
    cell: ({renewal}) => renewal?.[cell] ?? '-',
  };
}

function forecastColumn(cell: 'hour' | 'day' | 'empties', field: keyof ForecastJson): Pick<Column, 'value' | 'cell'> {
  return {
    value: ({forecast}) => forecast?.json[field] ?? null,
    cell: ({forecast}) => forecast?.[cell] ?? '-',
  };
}

export type ColumnName = keyof typeof COLUMNS;
export const COLUMN_NAMES: readonly string[] = Object.keys(COLUMNS);
const DEFAULT_COLUMNS: readonly ColumnName[] = ['id', 'budget', 'spent', 'remaining', 'used'];
const RENEWAL_COLUMNS: readonly ColumnName[] = ['period', 'resets', 'grants'];
const FORECAST_COLUMNS: readonly ColumnName[] = ['hourly', 'daily', 'empties'];
const FREEZE_COLUMNS: readonly ColumnName[] = ['frozen', 'until', 'reason', 'status'];

/** The five documented columns; scripts also get the freeze, and people see each session's status. */
export function defaultColumns(format: ListFormat, isTerminal: boolean): readonly ColumnName[] {
  if (format === 'json' || format === 'ndjson') return [...DEFAULT_COLUMNS, 'frozen', 'until', 'reason'];
  return format === 'table' && isTerminal ? [...DEFAULT_COLUMNS, 'status'] : DEFAULT_COLUMNS;
}

/**
 * Reads a list of column names separated by commas.
 *
 * @throws TokengateError INVALID_COLUMNS
 */
export function parseColumns(typed: string): ColumnName[] {
  const names = typed.split(',').map((part) => {
    const name = part.trim();
    if (Object.hasOwn(COLUMNS, name)) return name as ColumnName;
    throw new TokengateError('INVALID_COLUMNS', `There is no column '${name}'.`, {
      hint: `Columns: ${COLUMN_NAMES.join(', ')}.`,
    });
  });
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TokengateError('INVALID_COLUMNS', `The column '${twice}' is named twice.`);
  return names;
}

/** True when a column shows a forecast from the ledger. */
export function needsForecast(columns: readonly ColumnName[]): boolean {
  return columns.some((name) => FORECAST_COLUMNS.includes(name));
}

/** True when a column shows the freeze, which takes another read. */
export function needsFreeze(columns: readonly ColumnName[]): boolean {
  return columns.some((name) => FREEZE_COLUMNS.includes(name));
}

/** True when a column shows how a budget renews, for which more keys have to be read. */
export function needsRenewal(columns: readonly ColumnName[]): boolean {
  return columns.some((name) => RENEWAL_COLUMNS.includes(name));
}

/** A list of sessions as text, piece by piece. */
export function renderSessions(pages: AsyncIterable<ListedSession[]>, view: ListView): AsyncGenerator<string> {
  if (view.format === 'table') return renderTable(pages, columnsOf(view), view);
  return view.totals ? renderWithTotals(pages, view) : renderPrinted(pages, view);
}

/** True when `renderPrinted` can show everything of plain sessions. */
export function canBePlain({format, columns, totals}: Pick<ListView, 'format' | 'columns' | 'totals'>): boolean {
  return format !== 'table' && !totals && arePlain(columns);
}

type Printed = ListedSession | PlainSession;

/** The same for the formats that show each session alone. */
export async function* renderPrinted(pages: AsyncIterable<Printed[]>, view: ListView): AsyncGenerator<string> {
  const write = writerOf(view);
  if (view.format === 'json') {
    yield* jsonList(writeAll(pages, write), '  ');
    yield '\n';
    return;
  }
  if (view.format === 'csv')
    yield `${columnsOf(view)
      .map(({key}) => key)
      .join(',')}\n`;
  for await (const page of pages) yield page.map(write).join('');
}

function columnsOf({columns}: ListView): Column[] {
  return columns.map((name) => COLUMNS[name]);
}

async function* writeAll<T>(pages: AsyncIterable<T[]>, write: (session: T) => string): AsyncGenerator<string[]> {
  for await (const page of pages) yield page.map(write);
}

/** How to write a session, as a line or as an element of a list. */
function writerOf(view: ListView): (session: Printed) => string {
  const columns = columnsOf(view);
  if (view.format === 'ids') return (session) => toIdLine(session, view);
  if (view.format === 'csv') {
    const before = columns.map((_, index) => (index === 0 ? '' : ','));
    const toId = (id: string): string => toCsvCell(id, view);
    const writePlain = plainWriter(view.columns, {before, end: '\n', none: '', toId});
    return (session) =>
      'budgetText' in session
        ? writePlain(session)
        : toCsvLine(
            columns.map(({value}) => value(session)),
            view,
          );
  }
  return view.format === 'json' ? jsonWriter(view, '\n  ') : jsonWriter(view, '', '\n');
}

function toIdLine({id, key}: Printed, {nul, isTerminal, leftOut}: ListView): string {
  if (isTerminal) return `${showText(id)}\n`;
  const line = writeIdLine(key, nul);
  if (line === undefined) leftOut.push(id);
  return line ?? '';
}

async function* renderTable(
  pages: AsyncIterable<ListedSession[]>,
  columns: readonly Column[],
  view: ListView,
): AsyncGenerator<string> {
  const rows: string[][] = [];
  let totals = NO_TOTALS;
  for await (const page of pages) {
    for (const session of page) rows.push(columns.map(({cell}) => cell(session)));
    if (view.totals) totals = addToTotals(totals, page);
  }
  if (rows.length === 0) {
    yield view.none;
    return;
  }
  if (view.totals) {
    rows.push(totalCells(totals, view.columns));
    view.onTotals(totals);
  }
  /** Titles have no colour. */
  const colours: Partial<Record<string, Colour>> = STATUS_COLOURS;
  const indexes = (names: readonly ColumnName[]): number[] =>
    view.columns.flatMap((name, index) => (names.includes(name) ? [index] : []));
  yield* await drawTable(
    columns.map(({title}) => title),
    rows,
    {
      hasFooter: view.totals,
      flexible: indexes(['id', 'reason']),
      right: indexes(['budget', 'spent', 'remaining', 'used', 'rate', 'grants', 'hourly', 'daily', 'empties']),
      colour: (cell, column) => (view.columns[column] === 'status' ? colours[cell] : undefined),
    },
  );
}

async function* renderWithTotals(pages: AsyncIterable<ListedSession[]>, view: ListView): AsyncGenerator<string> {
  let totals = NO_TOTALS;
  const counted = async function* (): AsyncGenerator<ListedSession[]> {
    for await (const page of pages) {
      totals = addToTotals(totals, page);
      yield page;
    }
  };
  yield '{\n  "sessions": ';
  yield* jsonList(writeAll(counted(), jsonWriter(view, '\n    ')), '    ');
  const {count, budget, spent, remaining} = totals;
  const sums = {count, budget, spent, remaining, percentage_used: usedOf(totals)};
  view.onTotals(totals);
  yield `,\n  "totals": ${stringifyJson(sums, '  ', '  ')}\n}\n`;
}

/** Writes a session like `stringifyJson`, on one line or several. It runs for every session, so it builds no object. */
function jsonWriter(view: ListView, newline: string, end = ''): (session: Printed) => string {
  const columns = columnsOf(view);
  const inner = newline === '' ? '' : `${newline}  `;
  const colon = newline === '' ? ':' : ': ';
  const fields = columns.map(({key, value}, index) => ({
    before: `${index === 0 ? '{' : ','}${inner}"${key}"${colon}`,
    value,
  }));
  const last = `${newline}}${end}`;
  const before = fields.map((field) => field.before);
  const writePlain = plainWriter(view.columns, {before, end: last, none: 'null', toId: (id) => stringifyJson(id)});
  const hasId = columns.some(({key}) => key === 'session_id');
  return (session) => {
    if ('budgetText' in session) return writePlain(session);
    let text = '';
    for (const {before, value} of fields) text += before + stringifyJson(value(session));
    const hex = hasId ? hexOf(session.key) : undefined;
    if (hex !== undefined) text += `,${inner}"session_id_hex"${colon}"${hex}"`;
    return text + last;
  };
}

function totalCells(totals: Totals, columns: readonly ColumnName[]): string[] {
  const {count, budget, spent, remaining} = totals;
  const cells: Partial<Record<ColumnName, string>> = {
    id: `Total (${count})`,
    budget: formatMoney(budget),
    spent: formatMoney(spent),
    remaining: formatMoney(remaining),
    used: formatPercentage(usedOf(totals)),
  };
  // Without a column of IDs, a column without a sum has room for the count.
  return columns.map((name, index) => cells[name] ?? (index === 0 && !columns.includes('id') ? (cells.id ?? '') : ''));
}

function rateCell(rate: Money | null | undefined): string {
  return rate == null ? '-' : formatMoney(rate);
}

function usedCell({budget, spent, percentageUsed}: Session): string {
  if (budget === null || spent === null || percentageUsed === null) return 'invalid';
  return budget.eq(ZERO) && spent.eq(ZERO) ? '-' : formatPercentage(percentageUsed);
}
