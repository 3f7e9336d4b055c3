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

/** All that is on the screen. Made anew at each key and each reading; the sessions alone bring themselves up to date. */
export interface State {
  /** Of the last reading, by the server's clock. */
  now: Date;
  /** All of the last reading. */
  sessions: readonly Watched[];
  /** The same in their order, which stays as it is behind a dialog. */
  sorted: readonly Watched[];
  /** Those of them that the filter lets through, one by one or as their groups. */
  rows: readonly Watched[];
  /** Undefined for sessions one by one; else their groups, or the sessions of the one that is open. */
  folding: {open: string | undefined} | undefined;
  groupOf: (one: Watched) => string;
  summary: Summary;
  sort: WatchField;
  reverse: boolean;
  filter: Filter;
  /** Undefined until a key has gone to a session: until then it is the first row, whichever that is. */
  selected: RawId | undefined;
  /** The sessions that the next action is for; none when it is for the selected one. */
  marked: ReadonlySet<RawId>;
  dialog: Dialog | undefined;
  /** What stands before a change: that there may be none, or a name that is to be typed. */
  guard: {readOnly: string} | {name: string} | undefined;
  notice: Notice | undefined;
  /** What this view has changed and not undone, the newest last. */
  changes: readonly OwnChange[];
  /** What is under way, in words; undefined when nothing is. */
  busy: string | undefined;
  /** The first row that is on the screen, and how many there is room for. */
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

/** What is said below the table until it is replaced, or for some time. */
interface Notice {
  messages: readonly Message[];
  /** Goes away at the next key. */
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
      /** The turn of the key that led to it: keys of the same turn were pasted, and confirm nothing. */
      turn: number;
      request: Request;
    };

/** What is done once it is confirmed. */
export type Confirmed = Request & {confirmation: string};

/** What a confirmation is for. */
type Request =
  | {kind: 'change'; action: Action; sessions: readonly Session[]; answers: readonly string[]}
  | {kind: 'undo'; undo: PreparedUndo};

/** What is done outside of the state; the outcome comes back into it. */
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

/** Takes in a reading. Behind a dialog rows stay where they are, and only what stands in them changes. */
export function takeReading(state: State, {at, sessions}: Reading): State {
  const read = {...state, now: at, sessions};
  return state.dialog === undefined ? arrange(read) : {...read, summary: summarize(sessionsOf(state.rows))};
}

/** Puts the sessions into their order. */
export function arrange(state: State): State {
  const sorted = sortWatched([...state.sessions], state.sort, state.reverse);
  const arranged = narrow({...state, sorted}, state.filter);
  const {rows, selected, marked} = arranged;
  const isThere = (id: RawId): boolean => rows.some((one) => one.id === id);
  const known = marked.size === 0 ? undefined : new Set(sorted.map(({id}) => id));
  return {
    ...arranged,
    marked: known === undefined ? marked : new Set([...marked].filter((id) => known.has(id))),
    // When the selected session is gone, the one that has taken its place is selected.
    selected:
      selected === undefined || isThere(selected)
        ? selected
        : rows[Math.min(selectedIndex(state), rows.length - 1)]?.id,
  };
}

/** Shows those that a filter lets through. */
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

/** Shows a text, unless there is none or something else is open. */
export function showPage(state: State, title: string, lines: readonly PageLine[] | undefined): State {
  if (lines === undefined || state.dialog !== undefined) return state;
  return {...state, dialog: {kind: 'text', title, lines, top: 0}};
}

/** Leaves a dialog: what was read meanwhile is put in order. */
export function closeDialog(state: State): State {
  return arrange({...state, dialog: undefined});
}

export function say(state: State, ...messages: Message[]): State {
  return {...state, notice: {messages, isBrief: false}};
}

/** The same for what is not worth more than a glance. */
export function mention(state: State, text: string): State {
  return {...state, notice: {messages: [{text, level: 'warning'}], isBrief: true}};
}
