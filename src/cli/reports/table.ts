import type {Report, ReportRow} from '../../lib/spending/report.js';
import {formatMoney, formatPercentage, type Money, ZERO} from '../../lib/values/money.js';
import {roomOf, showCut} from '../text/escape.js';
import {drawTable} from '../text/table.js';
import {describeCoverage} from './coverage.js';

const BARS = Array.from('▁▂▃▄▅▆▇█');
/** Maximum number of days in a cell. */
const MOST_DAYS = 31;

/** A report for people. `title` names the first column. */
export async function* renderTable(report: Report, title: string, isTerminal: boolean): AsyncGenerator<string> {
  const {rows, others, total, days, before, coverage} = report;
  const hasBudget = total.budget !== null;
  const hasDays =
    isTerminal && days.length > 1 && rows.some((row) => row.days.filter((amount) => amount > 0).length > 1);
  const header = [title, 'Spent', 'Share'];
  if (hasBudget) header.push('Budget now');
  if (before !== null) header.push('Before', 'Change');
  const right = header.flatMap((_, index) => (index === 0 ? [] : index));
  if (hasDays) header.push('Days');
  const toCells = (row: ReportRow): string[] => [
    showCut(row.name, roomOf(process.stdout)),
    formatMoney(row.spent),
    row.share === null ? '-' : formatPercentage(row.share),
    ...(hasBudget ? [row.budget === null ? '-' : formatMoney(row.budget)] : []),
    ...(before === null ? [] : [row.previous === null ? 'not recorded' : formatMoney(row.previous), changeOf(row)]),
    ...(hasDays ? [sparkline(row.days)] : []),
  ];
  const shown = [...rows, ...(others === null ? [] : [others]), total];
  yield* await drawTable(header, shown.map(toCells), {hasFooter: true, flexible: [0], right});
  if (coverage.unaccounted.gt(ZERO)) {
    yield `Spending that fell without an entry in the journal, not in these sums: ${formatMoney(coverage.unaccounted)}\n`;
  }
  yield `${describeCoverage(coverage)}\n`;
}

/** `+12.3%`, `new`, `none` or `-`. */
export function changeOf({spent, previous}: {spent: Money; previous: Money | null}): string {
  if (previous === null) return '-';
  if (previous.eq(ZERO)) return spent.eq(ZERO) ? '-' : 'new';
  const percent = spent.minus(previous).times(100).div(previous).toFixed(1, 'half-even');
  return percent.startsWith('-') ? `${percent}%` : `+${percent}%`;
}

/** Bars for the last days, relative to the highest one. */
function sparkline(days: Float64Array): string {
  const last = days.slice(-MOST_DAYS);
  const highest = Math.max(...last);
  return Array.from(last)
    .map((amount) => (amount <= 0 ? ' ' : (BARS[Math.ceil((amount / highest) * BARS.length) - 1] ?? '')))
    .join('');
}
