import type {Session} from '../../lib/gateway/session.js';
import type {GroupOf} from '../../lib/sessions/groups.js';
import {addToTotals, NO_TOTALS, type Totals, usedOf} from '../../lib/sessions/totals.js';
import {formatMoney, formatPercentage, type Money} from '../../lib/values/money.js';
import {renderDocuments} from '../text/documents.js';
import {roomOf, showCut} from '../text/escape.js';
import {drawTable} from '../text/table.js';

/** The sums of a group in the form for scripts, which is a contract. */
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
  isTerminal: boolean;
}

/** The sums of the groups of sessions. Values that are not money are left out, and counted in `onTotals`. */
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
  if (view.format !== 'table') {
    const fields = ['group', 'count', 'budget', 'spent', 'remaining', 'percentage_used'];
    yield* renderDocuments(groups, view.format, {fields, isTerminal: view.isTerminal});
  } else {
    yield* groups.length === 0 ? [view.none] : await drawGroups(groups);
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
