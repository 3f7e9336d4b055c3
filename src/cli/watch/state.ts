import type {Session} from '../../lib/gateway/session.js';
import type {GroupOf} from '../../lib/sessions/groups.js';
import type {RawId} from '../../lib/values/session-id.js';
import {foldSessions, rememberGroups} from '../../lib/watch/fold.js';
import {type Reading, type Wanted, wantedBy} from '../../lib/watch/reader.js';
import {sortWatched, summarize, type Summary, type Watched, type WatchField} from '../../lib/watch/row.js';
import type {PageLine} from '../views/session-page.js';
import type {Action, Confirmation} from './actions/actions.js';
import type {PreparedUndo} from './actions/undo.js';
import type {Layout} from './drawing/columns.js';
import type {EditedLine} from './line-editor.js';

/** Everything on the screen. A new object for each key and each reading; only the sessions update themselves. */
export interface State {
  /** The time of the last reading, by the server's clock. */
  now: Date;
  /** All sessions of the last reading. */
  sessions: readonly Watched[];
  /** The same, sorted; the order does not change while a dialog is open. */
  sorted: readonly Watched[];
  /** The sessions that the filter lets through, singly or as groups. */
  rows: readonly Watched[];
  /** Undefined for single sessions; otherwise the groups, or the sessions of the open group. */
  folding: {open: string | undefined} | undefined;
  groupOf: (one: Watched) => string;
  summary: Summary;
  sort: WatchField;
  reverse: boolean;
  filter: Filter;
  /** Undefined until a key selects a session: until then the first row is selected, whichever it is. */
  selected: RawId | undefined;
  /** The sessions for the next action; empty if it is for the selected one. */
  marked: ReadonlySet<RawId>;
  dialog: Dialog | undefined;
  /** Set if changes are refused, or if they need a name first. */
  guard: {readOnly: string} | {name: string} | undefined;
  notice: Notice | undefined;
  /** The changes of this view that were not undone, the newest last. */
  changes: readonly OwnChange[];
  /** What is going on, in words; undefined when nothing is. */
  busy: string | undefined;
  /** The first visible row, and the number of rows that fit. */
  top: number;
  page: number;
  layout: Layout | undefined;
}

export interface Filter {
  typed: string;
  wanted: Wanted;
}

export interface OwnChange {
  /** Its ID in the journal. */
  change: string;
  /** As in "freeze 'x'". */
  what: string;
}

/** A message below the table, until it is replaced or its time is over. */
interface Notice {
  messages: readonly Message[];
  /** Disappears at the next key. */
  isBrief: boolean;
}

export interface Message {
  text: string;
  level: 'done' | 'warning' | 'error';
}

export type Dialog =
  | {kind: 'help'; top: number}
  /** An explanation, over a part of the table. */
  | {kind: 'text'; title: string; lines: readonly PageLine[]; top: number}
  /** All about one session, in place of the table. */
  | {kind: 'page'; one: Watched; lines: readonly PageLine[]; top: number}
  | {kind: 'filter'; line: EditedLine; before: Filter; problem: string}
  | {
      kind: 'field';
      title: string;
      action: Action;
      sessions: readonly Session[];
      answers: readonly string[];
      line: EditedLine;
      problem: string;
    }
  /** The name of what is protected, before the first change. */
  | {kind: 'name'; title: string; name: string; effect: Confirmed; line: EditedLine}
  | {
      kind: 'confirm';
      title: string;
      question: string;
      confirmations: readonly Confirmation[];
      /** The turn of the key that opened it: keys of the same turn were pasted, and confirm nothing. */
      turn: number;
      request: Request;
    };

/** What is done once it is confirmed. */
export type Confirmed = Request & {confirmation: string};

/** The subject of a confirmation. */
type Request =
  | {kind: 'change'; action: Action; sessions: readonly Session[]; answers: readonly string[]}
  | {kind: 'undo'; undo: PreparedUndo};

/** Something to do outside of the state; its outcome comes back into the state. */
export type Effect =
  | Confirmed
  | {kind: 'prepareUndo'; change: OwnChange}
  | {kind: 'explain' | 'page'; one: Watched}
  | {kind: 'read'}
  | {kind: 'leave'};

export const NO_FILTER: Filter = {typed: '', wanted: {}};

export interface Start {
  sort: WatchField;
  reverse: boolean;
  groupOf: GroupOf;
  isFolded: boolean;
}

export function openState({sort, reverse, groupOf, isFolded}: Start, reading: Reading): State {
  const state: State = {
    now: reading.at,
    sessions: [],
    sorted: [],
    rows: [],
    folding: isFolded ? {open: undefined} : undefined,
    groupOf: rememberGroups(groupOf),
    summary: summarize([]),
    sort,
    reverse,
    filter: NO_FILTER,
    selected: undefined,
    marked: new Set(),
    dialog: undefined,
    guard: undefined,
    notice: undefined,
    changes: [],
    busy: undefined,
    top: 0,
    page: 1,
    layout: undefined,
  };
  return takeReading(state, reading);
}

/** Takes over a reading. While a dialog is open, rows do not move, and only their contents change. */
export function takeReading(state: State, {at, sessions}: Reading): State {
  const read = {...state, now: at, sessions};
  return state.dialog === undefined ? arrange(read) : {...read, summary: summarize(sessionsOf(state.rows))};
}

/** Sorts the sessions. */
export function arrange(state: State): State {
  const sorted = sortWatched([...state.sessions], state.sort, state.reverse);
  const arranged = narrow({...state, sorted}, state.filter);
  const {rows, selected, marked} = arranged;
  const isThere = (id: RawId): boolean => rows.some((one) => one.id === id);
  const known = marked.size === 0 ? undefined : new Set(sorted.map(({id}) => id));
  return {
    ...arranged,
    marked: known === undefined ? marked : new Set([...marked].filter((id) => known.has(id))),
    // If the selected session is gone, the one in its place is selected.
    selected:
      selected === undefined || isThere(selected)
        ? selected
        : rows[Math.min(selectedIndex(state), rows.length - 1)]?.id,
  };
}

/** Shows the sessions that a filter lets through. */
export function narrow(state: State, filter: Filter): State {
  const {sorted, sort, reverse, folding, groupOf} = state;
  const isAll = filter.wanted.match === undefined && filter.wanted.where === undefined;
  const passing = isAll ? sorted : sorted.filter(wantedBy(filter.wanted));
  if (folding !== undefined && folding.open === undefined) {
    const rows = sortWatched(foldSessions(passing, groupOf), sort, reverse);
    return {...state, filter, rows, summary: summarize(passing)};
  }
  const rows = folding === undefined ? passing : passing.filter((one) => groupOf(one) === folding.open);
  return {...state, filter, rows, summary: summarize(rows)};
}

/** The sessions that rows stand for. */
export function sessionsOf(rows: readonly Watched[]): readonly Watched[] {
  return rows.some(({group}) => group !== undefined) ? rows.flatMap((one) => one.group?.members ?? [one]) : rows;
}

export function selectedIndex({rows, selected}: State): number {
  if (selected === undefined) return 0;
  return Math.max(
    0,
    rows.findIndex(({id}) => id === selected),
  );
}

export function selectedRow(state: State): Watched | undefined {
  return state.rows[selectedIndex(state)];
}

export function select(state: State, index: number): State {
  const row = state.rows[Math.max(0, Math.min(state.rows.length - 1, index))];
  return {...state, selected: row?.id};
}

/** Shows a text, unless it is empty or something else is open. */
export function showPage(state: State, title: string, lines: readonly PageLine[] | undefined): State {
  if (lines === undefined || state.dialog !== undefined) return state;
  return {...state, dialog: {kind: 'text', title, lines, top: 0}};
}

/** Leaves a dialog, and sorts what was read meanwhile. */
export function closeDialog(state: State): State {
  return arrange({...state, dialog: undefined});
}

export function say(state: State, ...messages: Message[]): State {
  return {...state, notice: {messages, isBrief: false}};
}

/** The same for a message that needs no more than a glance. */
export function mention(state: State, text: string): State {
  return {...state, notice: {messages: [{text, level: 'warning'}], isBrief: true}};
}
