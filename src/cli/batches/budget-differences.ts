import type {Difference, SpentComparison} from '../../lib/budget-files/compare.js';
import {budgetInFile, type BudgetState} from '../../lib/budget-files/decide.js';
import {describeDifference, describeUsedUp, isUsedUp} from '../../lib/budget-files/describe.js';
import type {BudgetFileChange} from '../../lib/operations/budget-file.js';
import {sumOf} from '../../lib/periods/grants.js';
import type {Money} from '../../lib/values/money.js';
import {hexOf, nameOf, type RawId} from '../../lib/values/session-id.js';
import {type Colour, paint} from '../text/colour.js';
import {roomOf, showCut, showText} from '../text/escape.js';
import {jsonList} from '../text/json-list.js';
import {stringifyJson} from '../text/json.js';
import {formatCount} from '../text/words.js';

export const DIFF_FORMATS = ['text', 'json', 'ndjson'] as const;

/** How many sessions differ, and in which way. */
export interface DifferenceCounts {
  change: number;
  unlisted: number;
  same: number;
  failed: number;
}

/** A budget and its renewal, as a file describes them. */
interface BudgetStateJson {
  /** Null when there is no amount, or it is not money. */
  budget: Money | null;
  grants: Money;
  period: Record<string, unknown> | null;
}

/** The differences as text, piece by piece. Counts them in `counts`. */
export async function* renderDifferences(
  comparisons: AsyncIterable<SpentComparison>,
  {format, counts}: {format: (typeof DIFF_FORMATS)[number]; counts: DifferenceCounts},
): AsyncGenerator<string> {
  const write = (difference: Difference, spent: Money | null): string => {
    if (format === 'text') return toLine(difference, spent);
    const json = toJson(difference, spent);
    return format === 'json' ? stringifyJson(json, '  ', '    ') : `${stringifyJson(json)}\n`;
  };
  const pages = writeEach(comparisons, counts, write);
  if (format === 'json') {
    yield '{\n  "differences": ';
    yield* jsonList(pages, '    ');
    const {change, unlisted, same, failed} = counts;
    const summary = stringifyJson({to_change: change, not_listed: unlisted, unchanged: same, failed}, '  ', '  ');
    yield `,\n  "summary": ${summary}\n}\n`;
    return;
  }
  for await (const texts of pages) yield texts.join('');
  if (format === 'text') yield `${describeCounts(counts)}\n`;
}

/** The texts of each page's differences, which it counts. */
async function* writeEach(
  comparisons: AsyncIterable<SpentComparison>,
  counts: DifferenceCounts,
  write: (difference: Difference, spent: Money | null) => string,
): AsyncGenerator<string[]> {
  for await (const {differences, same, spent} of comparisons) {
    counts.same += same;
    for (const {state} of differences) {
      counts[state === 'failed' ? 'failed' : state === 'unlisted' ? 'unlisted' : 'change']++;
    }
    yield differences.map((difference) => write(difference, spent.get(difference.id) ?? null));
  }
}

/** `2 to change, 1 not listed, 40 as they should be` */
function describeCounts({change, unlisted, same, failed}: DifferenceCounts): string {
  return [
    `${formatCount(change)} to change`,
    ...(unlisted > 0 ? [`${formatCount(unlisted)} not listed`] : []),
    ...(failed > 0 ? [`${formatCount(failed)} not readable`] : []),
    `${formatCount(same)} as ${same === 1 ? 'it' : 'they'} should be`,
  ].join(', ');
}

function toLine(difference: Difference, spent: Money | null): string {
  const [mark, colour, what] = toParts(difference, spent);
  return `${paint(colour, `${mark} ${showId(difference.id)}: ${what}`, process.stdout)}\n`;
}

function toParts(difference: Difference, spent: Money | null): [mark: string, colour: Colour, what: string] {
  if (difference.state === 'unlisted') return ['?', 'cyan', 'not in the file'];
  if (difference.state === 'failed') return ['!', 'red', showText(difference.error.message)];
  const {
    decision: {before, after},
    wanted,
  } = difference;
  const usedUp = describeUsedUp(before, after, spent);
  const what = showText(`${describeWithNote(before, after, wanted.note)}${usedUp}`);
  return before.budget.state === 'absent' ? ['+', 'green', what] : ['~', 'yellow', what];
}

/** `budget $45.00 → $50.00 besides grants of $20.00 (asked for)`. May hold untrusted text. */
export function describeWithNote(before: BudgetState, after: BudgetState, note: string): string {
  const why = note === '' ? '' : ` (${showCut(note, roomOf(process.stdout))})`;
  return `${describeDifference(before, after)}${why}`;
}

function showId(id: RawId): string {
  return showCut(nameOf(id), roomOf(process.stdout));
}

function toJson(difference: Difference, spent: Money | null): Record<string, unknown> {
  const {id, state} = difference;
  const hex = hexOf(id);
  const head = {session_id: nameOf(id), ...(hex !== undefined && {session_id_hex: hex})};
  if (state === 'unlisted') return {...head, difference: 'unlisted'};
  if (state === 'failed') {
    const {code, message} = difference.error;
    return {...head, difference: 'failed', error: {code, message}};
  }
  const {
    decision: {before, after},
    wanted,
  } = difference;
  return {
    ...head,
    difference: before.budget.state === 'absent' ? 'add' : 'change',
    ...toChangeJson({before, after, spent, note: wanted.note}),
  };
}

export function toChangeJson({
  before,
  after,
  spent,
  note,
}: Pick<BudgetFileChange, 'before' | 'after' | 'spent' | 'note'>): Record<string, unknown> {
  return {
    before: toStateJson(before),
    after: toStateJson(after),
    spent,
    used_up: isUsedUp(before, after, spent),
    note: note === '' ? null : note,
  };
}

function toStateJson(state: BudgetState): BudgetStateJson {
  const {period, grants} = state;
  return {
    budget: budgetInFile(state) ?? null,
    grants: sumOf(grants),
    period: period && {
      every: period.every,
      amount: period.amount.value,
      timezone: period.timezone,
      at: period.at,
      on: period.on,
      rollover: period.rollover,
      max_rollover: period.maxRollover?.value ?? null,
    },
  };
}
