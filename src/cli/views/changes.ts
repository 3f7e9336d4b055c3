import {FREEZE_REASON_KEYS, keyName} from '../../lib/gateway/keys.js';
import {describeChanged} from '../../lib/journal/describe.js';
import {addOlder, type KeyRecord, toText, type Value} from '../../lib/journal/entry.js';
import type {HistoryPart} from '../../lib/journal/history.js';
import type {ShippedChange} from '../../lib/journal/ship.js';
import {nameOf, type RawId} from '../../lib/values/session-id.js';
import {formatUtc} from '../../lib/values/time.js';
import {roomOf, showCut} from '../text/escape.js';
import {jsonList} from '../text/json-list.js';
import {stringifyJson} from '../text/json.js';
import {drawTable} from '../text/table.js';

export const CHANGE_FORMATS = ['table', 'json', 'ndjson'] as const;

export interface ChangeView {
  format: (typeof CHANGE_FORMATS)[number];
  /** One row for each session instead of each change. */
  isEach: boolean;
}

/** Changes as text, piece by piece. */
export async function* renderChanges(
  pages: AsyncIterable<HistoryPart[]>,
  {format, isEach}: ChangeView,
): AsyncGenerator<string> {
  if (format === 'table') {
    yield* await renderTable(pages, isEach);
    return;
  }
  if (format === 'json') {
    yield* jsonList(writeEach(pages, '  '), '  ');
    yield '\n';
    return;
  }
  for await (const lines of writeEach(pages, '')) yield lines.map((line) => `${line}\n`).join('');
}

async function* writeEach(pages: AsyncIterable<HistoryPart[]>, indent: string): AsyncGenerator<string[]> {
  for await (const parts of pages) {
    yield parts.flatMap(toChangesJson).map((change) => stringifyJson(change, indent, indent));
  }
}

const HEADER = ['When (UTC)', 'Change', 'Who', 'What', 'Session', 'Before → after', 'Note'];

/** From this width on, a terminal has room for the table. */
const WIDE = 110;

/** The number of a change's sessions to tell apart. */
const REMEMBERED = 1000;

interface Row {
  part: HistoryPart;
  /** Some of the sessions, and their number. */
  sessions: Set<RawId>;
  count: number;
  /** The session that was changed first, and the changes of its keys. */
  first: RawId;
  keys: KeyRecord[];
  /** The number of records, and how many of them were undone. */
  records: number;
  undone: number;
  isComplete: boolean;
}

async function renderTable(pages: AsyncIterable<HistoryPart[]>, isEach: boolean): Promise<Iterable<string>> {
  const rows = new Map<string, Row>();
  for await (const parts of pages) {
    for (const part of parts) {
      for (const [index, {id, keys, isComplete}] of part.records.entries()) {
        const undone = part.undoneBy[index] === undefined ? 0 : 1;
        const key = isEach ? `${part.change} ${id}` : part.change;
        const row = rows.get(key);
        if (row === undefined) {
          rows.set(key, {
            ...{part, first: id, keys: [...keys], sessions: new Set([id])},
            ...{count: 1, records: 1, undone, isComplete},
          });
          continue;
        }
        row.isComplete &&= isComplete;
        row.records++;
        row.undone += undone;
        // On a cluster a session may have been changed in several steps, shortly after one another.
        if (row.sessions.has(id)) {
          if (id === row.first) for (const older of keys) addOlder(row.keys, older);
          continue;
        }
        row.count++;
        if (row.sessions.size < REMEMBERED) row.sessions.add(id);
        // The newest entries of a batch come first.
        if (index === 0) Object.assign(row, {first: id, keys: [...keys]});
      }
    }
  }
  if (rows.size === 0) return ['No changes found.\n'];
  const cells = [...rows.values()].map(toCells);
  // Where truncated cells would say too little, a change gets a paragraph, unless everything fits.
  const isWide = (process.stdout.columns || Infinity) >= WIDE;
  const lines = [...(await drawTable(HEADER, cells, isWide ? {flexible: [2, 3, 4, 5, 6]} : {}))];
  const isTooWide = process.stdout.isTTY && (lines[0]?.indexOf('\n') ?? 0) > (process.stdout.columns || Infinity);
  return isTooWide ? cells.map(toParagraph) : lines;
}

/** For a terminal that is too narrow for the table. */
function toParagraph([
  when = '',
  id = '',
  actor = '',
  what = '',
  session = '',
  changed = '',
  note = '',
]: string[]): string {
  const lines = [[`${when} UTC`, id, actor, what, session].join('  ')];
  if (changed !== '') lines.push(`  ${changed}`);
  if (note !== '') lines.push(`  Note: ${note}`);
  return `${lines.join('\n')}\n\n`;
}

function toCells({part, first, count, records, undone, keys, isComplete}: Row): string[] {
  const room = roomOf(process.stdout);
  const {at, change: id, actor, command, undoes} = part;
  const what = `${undoes === undefined ? command : `${command} ${undoes}`}${isComplete ? '' : ' (not known to be complete)'}`;
  const others = count === 1 ? '' : ` and ${count - 1} more`;
  return [
    formatUtc(at).replace(' UTC', ''),
    id,
    actor,
    undone === 0 ? what : `${what} (${undone < records ? 'partly ' : ''}undone)`,
    `${showCut(nameOf(first) || '(the store)', room - others.length)}${others}`,
    describeChanged(keys),
    noteOf(part, keys),
  ].map((text, column) => (column === HEADER.indexOf('Session') ? text : showCut(text, room)));
}

/** The note, unless it is the reason of a freeze, which the change shows itself. */
function noteOf({reason}: HistoryPart, keys: readonly KeyRecord[]): string {
  const frozen = keys.find(({shape}) => shape === FREEZE_REASON_KEYS)?.after;
  return frozen && frozen.kind === 'text' && toText(frozen.text) === reason ? '' : reason;
}

/** The change of one session in the form for scripts, which is a contract. */
function toChangesJson({
  at,
  change,
  actor,
  command,
  version,
  reason,
  undoes,
  undoneBy,
  records,
}: HistoryPart): unknown[] {
  return records.map(({id, keys, isComplete}, index) => ({
    change_id: change,
    at,
    actor,
    command,
    reason,
    version,
    undoes: undoes ?? null,
    undone_by: undoneBy[index] ?? null,
    session_id: nameOf(id),
    complete: isComplete,
    before: toKeysJson(keys, ({before}) => before),
    after: toKeysJson(keys, ({after}) => after ?? false),
  }));
}

/** A line for a log store. A later undo gets a line of its own. */
export function toShippedLine({part, record, cursor}: ShippedChange): string {
  const [fields] = toChangesJson({...part, records: [record], undoneBy: []}) as [Record<string, unknown>];
  const shown = Object.entries(fields).filter(([name]) => name !== 'undone_by');
  return `${stringifyJson({cursor, ...Object.fromEntries(shown)})}\n`;
}

/** The changed keys: null for no key, otherwise the exact text (null if it was not a text) and its TTL. */
function toKeysJson(keys: readonly KeyRecord[], valueOf: (key: KeyRecord) => Value): Record<string, unknown> {
  const changed = keys.filter(({after}) => after !== undefined);
  return Object.fromEntries(
    changed.map((key) => {
      const value = valueOf(key);
      if (value === false) return [keyName(key.shape), null];
      const {kind, text, ttl} = value;
      return [keyName(key.shape), {value: kind === 'text' ? toText(text) : null, ttl_ms: ttl < 0 ? null : ttl}];
    }),
  );
}
