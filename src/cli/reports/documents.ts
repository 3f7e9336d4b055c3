import type {Coverage} from '../../lib/spending/coverage.js';
import type {Report, ReportRow} from '../../lib/spending/report.js';
import {type Money, toPlainDigits} from '../../lib/values/money.js';
import {toCsvCell} from '../text/csv.js';
import {stringifyJson} from '../text/json.js';

interface RowJson {
  name: string;
  spent: Money;
  share: Money | null;
  budget: Money | null;
  sessions: number;
  previous: Money | null;
}

interface CoverageJson {
  from: string;
  to: string;
  is_whole: boolean;
  largest_gap_seconds: number;
  journal_trimmed: number;
  unaccounted: Money;
}

/** A report in the form for scripts, which is a contract. */
export interface ReportJson {
  period: {from: string; to: string; timezone: string};
  by: string;
  rows: RowJson[];
  others: RowJson | null;
  total: RowJson;
  compared_with: {from: string; to: string} | null;
  coverage: CoverageJson;
}

export function toReportJson(report: Report, by: string): ReportJson {
  const {period, timezone, rows, others, total, before, coverage} = report;
  return {
    period: {...period, timezone},
    by,
    rows: rows.map(toRowJson),
    others: others && toRowJson(others),
    total: toRowJson(total),
    compared_with: before,
    coverage: toCoverageJson(coverage),
  };
}

/** A line for each row, then `total`, then `coverage`. */
export function* renderNdjson({rows, others, total, coverage}: Report, by: string): Generator<string> {
  const line = (kind: string, fields: object): string => `${stringifyJson({kind, ...fields})}\n`;
  for (const row of rows) yield line(by, toRowJson(row));
  if (others !== null) yield line('others', toRowJson(others));
  yield line('total', toRowJson(total));
  yield line('coverage', toCoverageJson(coverage));
}

/** Rows without a total: a spreadsheet adds them up itself. */
export function* renderCsv({rows, others, coverage}: Report, by: string, isTerminal: boolean): Generator<string> {
  const digits = (amount: Money | null): string => (amount === null ? '' : toPlainDigits(amount));
  yield 'kind,name,spent,share,budget,sessions,previous\n';
  const line = (kind: string, {name, spent, share, budget, sessions, previous}: ReportRow): string =>
    `${kind},${toCsvCell(name, {isTerminal})},${[spent, share, budget].map(digits).join(',')},${sessions},${digits(previous)}\n`;
  for (const row of rows) yield line(by, row);
  if (others !== null) yield line('others', others);
  yield `unaccounted,,${digits(coverage.unaccounted)},,,,\n`;
}

function toRowJson({name, spent, share, budget, sessions, previous}: ReportRow): RowJson {
  return {name, spent, share, budget, sessions, previous};
}

function toCoverageJson({from, to, isWhole, gapMs, trimmed, unaccounted}: Coverage): CoverageJson {
  const seconds = Math.ceil(gapMs / 1000);
  return {from, to, is_whole: isWhole, largest_gap_seconds: seconds, journal_trimmed: trimmed, unaccounted};
}
