import type {Session} from '../../lib/gateway/session.js';
import {TokengateError} from '../../lib/values/errors.js';
import {WATCH_FIELDS} from '../../lib/watch/row.js';
import {type Action, ACTIONS, titleOf} from './actions/actions.js';
import {confirmUndo, describeUndo, type PreparedUndo} from './actions/undo.js';
import {parseWanted} from './filter.js';
import {fold, openGroup, unfold} from './folding.js';
import {edit, type EditedLine, type EditKey, insert, prefilled, textOf} from './line-editor.js';
import {mark, markAll, targetsOf} from './marks.js';
import {
  arrange,
  closeDialog,
  type Confirmed,
  type Dialog,
  type Effect,
  mention,
  narrow,
  NO_FILTER,
  say,
  select,
  selectedIndex,
  selectedRow,
  type State,
} from './state.js';

export type KeyName = EditKey | 'up' | 'down' | 'pageUp' | 'pageDown' | 'enter' | 'escape' | 'f1' | 'f10';

/** A key, a character, or a pasted text. Keys that arrive together belong to one turn. */
export type Key = {turn: number} & ({name: KeyName} | {text: string} | {pasted: string});

export interface Step {
  state: State;
  effect?: Effect;
  /** The typed name of the protected store or context. */
  agreed?: string;
}

type DialogOf<K extends Dialog['kind']> = Extract<Dialog, {kind: K}>;

/** The effect of a key on the screen, and what to do then. */
export function press(before: State, key: Key): Step {
  const state = before.notice?.isBrief ? {...before, notice: undefined} : before;
  if ('name' in key && key.name === 'f10') return {state, effect: {kind: 'leave'}};
  const {dialog} = state;
  switch (dialog?.kind) {
    case undefined:
      return pressInTable(state, key);
    case 'help':
    case 'text':
    case 'page':
      return pressInText(state, dialog, key);
    case 'filter':
      return pressInFilter(state, dialog, key);
    case 'field':
      return pressInField(state, dialog, key);
    case 'name':
      return pressInName(state, dialog, key);
    case 'confirm':
      return pressAtQuestion(state, dialog, key);
  }
}

/** Asks whether to undo a change that has been looked up. */
export function askUndo(state: State, undo: PreparedUndo, turn: number): State {
  if (state.dialog !== undefined) return mention(state, 'Press z again to undo: another dialog was open.');
  const dialog: Dialog = {
    kind: 'confirm',
    title: `Undo: ${undo.what}`,
    question: describeUndo(undo),
    confirmations: confirmUndo(undo),
    turn,
    request: {kind: 'undo', undo},
  };
  return {...state, dialog};
}

function pressInTable(state: State, key: Key): Step {
  // Pasted text may be anything; it is never a command.
  if ('pasted' in key) return {state};
  const name = 'name' in key ? (KEYS_OF_NAMES[key.name] ?? '') : key.text;
  const action = ACTIONS.find((one) => one.key === name);
  if (action === undefined) return COMMANDS[name]?.(state) ?? {state};
  const row = selectedRow(state);
  // From now on the row of the action stays selected, even if it moves or changes.
  return begin({...state, selected: row?.id}, action, targetsOf(state), key.turn);
}

/** The commands that a named key stands for. */
const KEYS_OF_NAMES: Partial<Record<KeyName, string>> = {
  up: 'k',
  down: 'j',
  home: 'g',
  end: 'G',
  pageUp: 'pageUp',
  pageDown: 'pageDown',
  enter: 'd',
  escape: 'escape',
  f1: '?',
};

const COMMANDS: Record<string, (state: State) => Step> = {
  j: (state) => ({state: select(state, selectedIndex(state) + 1)}),
  k: (state) => ({state: select(state, selectedIndex(state) - 1)}),
  g: (state) => ({state: select(state, 0)}),
  G: (state) => ({state: select(state, state.rows.length - 1)}),
  pageUp: (state) => ({state: select(state, selectedIndex(state) - state.page)}),
  pageDown: (state) => ({state: select(state, selectedIndex(state) + state.page)}),
  escape: (state) => ({state: back(state)}),
  d: (state) => lookUp(state, 'page'),
  e: (state) => lookUp(state, 'explain'),
  z: prepareUndo,
  m: (state) => ({state: mark(state)}),
  M: (state) => ({state: markAll(state)}),
  t: (state) => ({state: state.folding === undefined ? fold(state) : unfold(state)}),
  s: (state) => ({state: turnOrder(state, 1)}),
  S: (state) => ({state: turnOrder(state, -1)}),
  i: (state) => ({state: arrange({...state, reverse: !state.reverse})}),
  '/': (state) => ({
    state: {
      ...state,
      dialog: {kind: 'filter', line: prefilled(state.filter.typed), before: state.filter, problem: ''},
    },
  }),
  ' ': (state) => ({state, effect: {kind: 'read'}}),
  '?': (state) => ({state: {...state, dialog: {kind: 'help', top: 0}}}),
  q: (state) => ({state, effect: {kind: 'leave'}}),
};

/** Each Esc removes one thing: the message, the marks, the filter, the open group, then the selection. */
function back(state: State): State {
  if (state.notice !== undefined) return {...state, notice: undefined};
  if (state.marked.size > 0) return {...state, marked: new Set()};
  if (state.filter.typed !== '') return narrow({...state, top: 0}, NO_FILTER);
  if (state.folding?.open !== undefined) return fold(state);
  return {...state, selected: undefined};
}

function turnOrder(state: State, step: number): State {
  const next = (WATCH_FIELDS.indexOf(state.sort) + step + WATCH_FIELDS.length) % WATCH_FIELDS.length;
  return arrange({...state, sort: WATCH_FIELDS[next] ?? state.sort, reverse: false});
}

function lookUp(state: State, kind: 'explain' | 'page'): Step {
  const one = selectedRow(state);
  if (one?.group !== undefined) {
    return {
      state: kind === 'page' ? openGroup(state, one) : mention(state, 'A group has no next request: Enter opens it.'),
    };
  }
  if (one === undefined || state.busy !== undefined) return {state};
  return {state: {...state, selected: one.id}, effect: {kind, one}};
}

function prepareUndo(state: State): Step {
  if (isReadOnly(state)) return {state: mention(state, state.guard.readOnly)};
  const change = state.changes.at(-1);
  if (state.busy !== undefined) return {state: mention(state, `Wait: ${state.busy}.`)};
  if (change === undefined)
    return {state: mention(state, 'There is nothing to undo: this view has recorded no change.')};
  return {state, effect: {kind: 'prepareUndo', change}};
}

function begin(state: State, action: Action, sessions: readonly Session[], turn: number): Step {
  if (sessions.length === 0) return {state};
  if (isReadOnly(state)) return {state: mention(state, state.guard.readOnly)};
  if (state.busy !== undefined) return {state: mention(state, `Wait: ${state.busy}.`)};
  const row = state.marked.size > 0 ? undefined : selectedRow(state);
  const title = titleOf(action, sessions, row?.group && row.session.id);
  return {state: ask({...state, notice: undefined}, title, {action, sessions, answers: []}, turn)};
}

function ask(
  state: State,
  title: string,
  asked: Pick<DialogOf<'field'>, 'action' | 'sessions' | 'answers'>,
  turn: number,
): State {
  const {action, sessions, answers} = asked;
  const field = action.fields[answers.length];
  if (field !== undefined) {
    const line = prefilled(field.initial);
    return {...state, dialog: {kind: 'field', title, ...asked, line, problem: ''}};
  }
  const dialog: Dialog = {
    kind: 'confirm',
    title,
    question: action.question(sessions, answers),
    confirmations: action.confirmations,
    turn,
    request: {kind: 'change', ...asked},
  };
  return {...state, dialog};
}

function pressInText(state: State, dialog: DialogOf<'help' | 'text' | 'page'>, key: Key): Step {
  if ('pasted' in key) return {state};
  const scroll = (step: number): Step => ({
    state: {...state, dialog: {...dialog, top: Math.max(0, dialog.top + step)}},
  });
  const name = 'name' in key ? key.name : key.text;
  const step = SCROLLS[name]?.(state);
  if (step !== undefined) return scroll(step);
  const action = dialog.kind === 'page' ? ACTIONS.find((one) => one.key === name) : undefined;
  const closed = closeDialog(state);
  if (action === undefined || dialog.kind !== 'page') return {state: closed};
  // A page shows one session, so marks do not count.
  return begin({...closed, marked: new Set(), selected: dialog.one.id}, action, [dialog.one.session], key.turn);
}

const SCROLLS: Record<string, (state: State) => number> = {
  up: () => -1,
  k: () => -1,
  down: () => 1,
  j: () => 1,
  pageUp: ({page}) => -page,
  pageDown: ({page}) => page,
  ' ': ({page}) => page,
  home: () => -Infinity,
  g: () => -Infinity,
  end: () => Number.MAX_SAFE_INTEGER,
  G: () => Number.MAX_SAFE_INTEGER,
};

/** The table shows the result of the typed filter; while an expression is incomplete, that of the filter before. */
function pressInFilter(state: State, dialog: DialogOf<'filter'>, key: Key): Step {
  if (isNamed(key, 'escape')) return {state: closeDialog({...state, filter: dialog.before})};
  const line = typeInto(dialog.line, key);
  const typed = textOf(line).trim();
  const edited = {...state, dialog: {...dialog, line, problem: ''}};
  try {
    const narrowed = narrow(edited, {typed, wanted: parseWanted(typed)});
    if (isNamed(key, 'enter')) return {state: closeDialog(unpin({...narrowed, top: 0}))};
    return {state: line === dialog.line ? state : {...narrowed, top: 0}};
  } catch (error) {
    const problem = describeProblem(error);
    const dialogNow = {...edited.dialog, problem: isNamed(key, 'enter') ? problem : ''};
    return {state: {...narrow(edited, dialog.before), dialog: dialogNow}};
  }
}

/** Deselects a session that the filter hides. */
function unpin(state: State): State {
  return {...state, selected: state.rows.some(({id}) => id === state.selected) ? state.selected : undefined};
}

function pressInField(state: State, dialog: DialogOf<'field'>, key: Key): Step {
  if (isNamed(key, 'escape')) return {state: cancel(state)};
  const {title, action, sessions, answers} = dialog;
  if (!isNamed(key, 'enter'))
    return {state: {...state, dialog: {...dialog, line: typeInto(dialog.line, key), problem: ''}}};
  const typed = textOf(dialog.line).trim();
  try {
    action.fields[answers.length]?.check(typed);
    return {state: ask(state, title, {action, sessions, answers: [...answers, typed]}, key.turn)};
  } catch (error) {
    return {state: {...state, dialog: {...dialog, problem: describeProblem(error)}}};
  }
}

function pressAtQuestion(state: State, {title, confirmations, turn, request}: DialogOf<'confirm'>, key: Key): Step {
  // Text pasted together with the key that opened the question does not answer it: a paste must not confirm anything.
  if ('pasted' in key || key.turn === turn) return {state};
  const letter = 'text' in key ? key.text.toLowerCase() : '';
  if (!confirmations.some((one) => one.key === letter)) return {state: cancel(state)};
  const effect: Confirmed = {...request, confirmation: letter};
  const {guard} = state;
  if (guard === undefined || !('name' in guard)) return {state: closeDialog(state), effect};
  return {state: {...state, dialog: {kind: 'name', title, name: guard.name, effect, line: prefilled('')}}};
}

/** Asks for the name of the protected store or context, once, before the first change. */
function pressInName(state: State, dialog: DialogOf<'name'>, key: Key): Step {
  if (isNamed(key, 'escape')) return {state: cancel(state)};
  if (!isNamed(key, 'enter')) return {state: {...state, dialog: {...dialog, line: typeInto(dialog.line, key)}}};
  const {name, effect, line} = dialog;
  const typed = textOf(line).trim();
  if (typed === name) return {state: closeDialog(state), effect, agreed: name};
  const text = `'${typed}' is not the name, which is ${name}: nothing was changed.`;
  return {state: say(closeDialog(state), {text, level: 'error'})};
}

function isReadOnly(state: State): state is State & {guard: {readOnly: string}} {
  return state.guard !== undefined && 'readOnly' in state.guard;
}

function cancel(state: State): State {
  return mention(closeDialog(state), 'Cancelled: nothing was changed.');
}

function typeInto(line: EditedLine, key: Key): EditedLine {
  if ('text' in key) return insert(line, key.text);
  if ('pasted' in key) return insert(line, key.pasted);
  return isEditKey(key.name) ? edit(line, key.name) : line;
}

function isNamed(key: Key, name: KeyName): boolean {
  return 'name' in key && key.name === name;
}

const OTHER_KEYS: readonly KeyName[] = ['up', 'down', 'pageUp', 'pageDown', 'enter', 'escape', 'f1', 'f10'];

function isEditKey(name: KeyName): name is EditKey {
  return !OTHER_KEYS.includes(name);
}

/** Says what is wrong with the typed text, which stays. */
function describeProblem(error: unknown): string {
  if (!(error instanceof TokengateError)) throw error;
  return error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
}

export function sayError(state: State, error: unknown): State {
  return say(state, {text: describeProblem(error), level: 'error'});
}
