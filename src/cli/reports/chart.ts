import {type Unit, unitOf} from '../../lib/spending/days.js';
import type {Report} from '../../lib/spending/report.js';
import {formatMoney} from '../../lib/values/money.js';
import {roomOf} from '../text/escape.js';
import {describeCoverage} from './coverage.js';

/** From one to seven eighths of a character, filled from the left. */
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar for each day, week or month, as wide as the terminal. */
export function* renderChart({days, total, coverage}: Report, unit: Unit): Generator<string> {
  const sums = new Map<string, number>();
  for (const [index, day] of days.entries()) {
    const name = unitOf(day, unit);
    sums.set(name, (sums.get(name) ?? 0) + (total.days[index] ?? 0));
  }
  const lines = [...sums].map(([name, amount]) => ({name, amount, label: `$${amount.toFixed(2)}`}));
  const highest = Math.max(...sums.values());
  const widest = Math.max(...lines.map(({label}) => label.length));
  const room = roomOf(process.stdout) - (lines[0]?.name.length ?? 0) - widest - 4;
  for (const {name, amount, label} of lines) {
    const eighths = highest <= 0 ? 0 : Math.round((Math.max(0, amount) / highest) * Math.max(1, room) * 8);
    // Any spending shows up.
    const shown = amount > 0 ? Math.max(1, eighths) : 0;
    const bar = '█'.repeat(shown >> 3) + (EIGHTHS[shown & 7] ?? '');
    yield `${name}  ${label.padStart(widest)}${bar === '' ? '' : `  ${bar}`}\n`;
  }
  yield `Total ${formatMoney(total.spent)}\n${describeCoverage(coverage)}\n`;
}
