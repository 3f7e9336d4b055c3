import type {Session} from '../../lib/gateway/session.js';
import type {GroupOf} from '../../lib/sessions/groups.js';
import {addToTotals, NO_TOTALS, type Totals, usedOf} from '../../lib/sessions/totals.js';
import {formatMoney, formatPercentage, type Money, toPlainDigits} from '../../lib/values/money.js';
import {toCsvCell} from '../text/csv.js';
import {roomOf, showCut} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {drawTable} from '../text/table.js';

/** The sums of a group as scripts see them: a contract. */
interface GroupJson {
  group: string;
  count: number;
  budget: Money;
  spent: Money;
  remaining: Money;
  percentage_used: Money;
}

export interface GroupView {
  format: 'table' | 'json' | 'ndjson' | 'csv';
  groupOf: GroupOf;
  sort: 'id' | 'budget' | 'spent' | 'remaining' | 'used';
  reverse: boolean;
  limit: number | undefined;
  none: string;
}

/** Sessions as the sums of their groups. What is not money is left out, and `onTotals` hears of it. */
export async function* renderGroups(
  pages: AsyncIterable<Session[]>,
  view: GroupView & {onTotals: (totals: Totals) => void},
): AsyncGenerator<string> {
  const sums = new Map<string, Totals>();
  for await (const page of pages) {
    for (const session of page) {
      const name = view.groupOf(session.key);
      sums.set(name, addToTotals(sums.get(name) ?? NO_TOTALS, [session]));
    }
  }
  for (const totals of sums.values()) view.onTotals(totals);
  const groups = sortGroups([...sums].map(toGroup), view).slice(0, view.limit);
  switch (view.format) {
    case 'table':
      yield* groups.length === 0 ? [view.none] : await drawGroups(groups);
      break;
    case 'json':
      yield `${stringifyJson(groups, '  ')}\n`;
      break;
    case 'ndjson':
      for (const group of groups) yield `${stringifyJson(group)}\n`;
      break;
    case 'csv':
      yield 'group,count,budget,spent,remaining,percentage_used\n';
      for (const {group, count, budget, spent, remaining, percentage_used: used} of groups) {
        yield `${[toCsvCell(group), count, ...[budget, spent, remaining, used].map(toPlainDigits)].join(',')}\n`;
      }
  }
}

function toGroup([group, totals]: [string, Totals]): GroupJson {
  const {count, budget, spent, remaining} = totals;
  return {group, count, budget, spent, remaining, percentage_used: usedOf(totals)};
}

function sortGroups(groups: GroupJson[], {sort, reverse}: GroupView): GroupJson[] {
  const direction = reverse ? -1 : 1;
  const field = sort === 'used' ? 'percentage_used' : sort;
  return groups.sort((a, b) => {
    const names = a.group < b.group ? -1 : 1;
    return direction * (field === 'id' ? names : a[field].cmp(b[field]) || names);
  });
}

function drawGroups(groups: readonly GroupJson[]): Promise<Iterable<string>> {
  return drawTable(
    ['Group', 'Sessions', 'Budget', 'Spent', 'Remaining', 'Used %'],
    groups.map(({group, count, budget, spent, remaining, percentage_used: used}) => [
      showCut(group, roomOf(process.stdout)),
      String(count),
      ...[budget, spent, remaining].map(formatMoney),
      formatPercentage(used),
    ]),
    {flexible: [0], right: [1, 2, 3, 4, 5]},
  );
}
