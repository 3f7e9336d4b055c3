import {showMessage, showText} from '../../text/escape.js';
import {charactersOf, widthOf} from '../../text/width.js';
import type {PageLine} from '../../views/session-page.js';
import {ACTIONS} from '../actions/actions.js';
import type {EditedLine} from '../line-editor.js';
import type {Dialog} from '../state.js';
import {fitLine, type Line, type Piece} from './cells.js';

export interface Size {
  columns: number;
  rows: number;
}

/** A box below the table. */
export interface Panel {
  lines: Line[];
  colour: 'cyan' | 'yellow' | 'red';
}

/** A key and what it does; if not all keys fit, those of a low rank are left out. */
export interface KeyHint {
  key: string;
  what: string;
  rank: number;
}

const TABLE_KEYS: readonly KeyHint[] = [
  ...ACTIONS.map(({key, verb}) => ({key, what: verb.replace('add budget', 'add'), rank: 9})),
  {key: 'z', what: 'undo', rank: 8},
  {key: 'd', what: 'details', rank: 5},
  {key: 'm', what: 'mark', rank: 4},
  {key: 't', what: 'groups', rank: 3},
  {key: '/', what: 'filter', rank: 7},
  {key: 's', what: 'sort', rank: 6},
  {key: '?', what: 'help', rank: 10},
  {key: 'q', what: 'quit', rank: 11},
];

/** The same where rows are groups. */
const GROUP_KEYS = TABLE_KEYS.map(
  (hint): KeyHint =>
    ({d: {key: 'Enter', what: 'open', rank: 8}, t: {key: 't', what: 'unfold', rank: 5}})[hint.key] ?? hint,
);

const HELP: readonly (readonly [keys: string, what: string])[] = [
  ['↑ ↓ j k', 'select a session; the selection stays on it when rows move'],
  ['PgUp PgDn', 'move by a screen'],
  ['Home g, End G', 'go to the first, to the last'],
  ['Enter d', 'show all about the session: its next request, requests, changes, commands to copy'],
  ['e', "explain what the gateway would do with the session's next request"],
  ['f', 'freeze, for a time and a reason that are asked for'],
  ['u', 'unfreeze, and clear the counters that would freeze it again'],
  ['+', 'add to the budget'],
  ['r', 'reset: remove budget and spending, or spending alone'],
  ['z', 'undo the last change that was made here'],
  ['m M', 'mark the session, all that are shown: f u + r are then for all marked ones'],
  [
    't',
    'fold the sessions into groups, and unfold them: Enter opens a group, Esc closes it, f u + r are for all of its sessions',
  ],
  ['/', 'filter: part of an ID, a glob, or an expression as for --where'],
  ['Esc', 'clear the marks, then the filter, the open group, the selection; leave a question or a page'],
  ['s S', 'sort by the next column, by the one before'],
  ['i', 'invert the order'],
  ['Space', 'read now'],
  ['Ctrl-L', 'draw the screen again'],
  ['q F10 Ctrl-C', 'quit'],
];

export const PANEL_BORDER = 2;
/** The lines that a panel always leaves free: its border and title, and the lines above and below it. */
const PANEL_REST = 7;
/** The lines that a page leaves free: the facts of its session above, and the keys. */
const PAGE_REST = {tall: 5, short: 2};
const MIN_TALL_PAGE = 10;
const FILTER_HINT = 'Part of an ID, a glob such as team:*, or an expression such as used > 90 && !frozen';

/** The number of lines of a page that fit the screen. */
export function pageRoom({rows}: Size): number {
  return Math.max(1, rows - (rows >= MIN_TALL_PAGE ? PAGE_REST.tall : PAGE_REST.short));
}

/** A dialog that is not scrolled past its end. */
export function fitDialog(dialog: Dialog | undefined, size: Size): Dialog | undefined {
  if (dialog === undefined || !('top' in dialog)) return dialog;
  const room = dialog.kind === 'page' ? pageRoom(size) : panelRoom(size);
  const top = Math.max(0, Math.min(dialog.top, contentOf(dialog, size).length - room));
  return {...dialog, top};
}

/** The visible part of a text or a page. */
export function scrolled(dialog: Extract<Dialog, {top: number}>, size: Size): Line[] {
  const room = dialog.kind === 'page' ? pageRoom(size) : panelRoom(size);
  return contentOf(dialog, size).slice(dialog.top, dialog.top + room);
}

export function panelOf(dialog: Dialog | undefined, size: Size): Panel | undefined {
  const width = size.columns - 4;
  const text = (...pieces: Piece[]): Line => fitLine(pieces, width);
  const panel = (colour: Panel['colour'], title: string, lines: Line[]): Panel => ({
    colour,
    lines: [text({text: showMessage(title), look: 'bold'}), ...lines],
  });
  const problemLines = (problem: string): Line[] =>
    problem === '' ? [] : wrap(showMessage(problem), width).map((line) => text({text: line, look: 'red'}));
  switch (dialog?.kind) {
    case undefined:
    case 'page':
      return undefined;
    case 'help':
      return panel('cyan', 'Keys', scrolled(dialog, size));
    case 'text':
      return panel('cyan', dialog.title, scrolled(dialog, size));
    case 'filter': {
      const {line, problem} = dialog;
      const hint = problem === '' ? [text({text: FILTER_HINT, look: 'dim'})] : problemLines(problem);
      return panel('yellow', 'Filter', [inputLine(line, width), ...hint]);
    }
    case 'field': {
      const {title, action, answers, line, problem} = dialog;
      const label = text({text: action.fields[answers.length]?.label ?? ''});
      return panel('yellow', title, [label, inputLine(line, width), ...problemLines(problem)]);
    }
    case 'name': {
      const {title, name, line} = dialog;
      return panel('red', title, [text({text: showMessage(`To confirm, type ${name}`)}), inputLine(line, width)]);
    }
    case 'confirm': {
      const {title, question, confirmations} = dialog;
      const keys = [...confirmations.map(({key, means}) => `${key} ${means}`), 'any other key: no'].join('   ');
      const room = Math.max(1, panelRoom(size) - 1);
      const lines = wrap(showMessage(question), width);
      const asked = lines.length > room ? [...lines.slice(0, room - 1), '…'] : lines;
      return panel('red', title, [
        ...asked.map((line) => text({text: line})),
        ...wrap(keys, width).map((line) => text({text: line, look: 'bold'})),
      ]);
    }
  }
}

export function keyHintsOf(dialog: Dialog | undefined, isFolded: boolean): readonly KeyHint[] {
  const hint = (key: string, what: string, rank = 1): KeyHint => ({key, what, rank});
  switch (dialog?.kind) {
    case undefined:
      return isFolded ? GROUP_KEYS : TABLE_KEYS;
    case 'help':
    case 'text':
      return [hint('↑↓', 'scroll'), hint('Esc', 'back', 2)];
    case 'page':
      return [hint('↑↓', 'scroll'), ...TABLE_KEYS.slice(0, ACTIONS.length), hint('Esc', 'back', 10)];
    case 'confirm':
      return [...dialog.confirmations.map(({key, means}) => hint(key, means, 2)), hint('Enter Esc', 'no')];
    default:
      return [hint('Enter', 'go on', 2), hint('←→', 'move'), hint('Ctrl-U', 'erase'), hint('Esc', 'cancel', 2)];
  }
}

/** Words on as many lines as they need; a word that is longer than a line is broken. */
export function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    const longer = line === '' ? word : `${line} ${word}`;
    if (widthOf(longer) <= width) lines[lines.length - 1] = longer;
    else if (line === '') lines.splice(-1, 1, ...chop(word, width));
    else lines.push(...chop(word, width));
  }
  return lines;
}

function chop(word: string, width: number): string[] {
  const parts = [''];
  for (const character of charactersOf(word)) {
    const part = parts.at(-1) ?? '';
    if (part !== '' && widthOf(part + character) > width) parts.push(character);
    else parts[parts.length - 1] = part + character;
  }
  return parts;
}

/** The words of a command line, each with its quotes. */
const WORD = /(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+/g;

/** A command on several lines that a shell reads as one; on one line if it cannot be broken. */
function wrapCommand(command: string, width: number): string[] {
  const words = command.match(WORD) ?? [];
  if (words.join(' ') !== command) return [command];
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(longer) > width - 2) {
      lines.push(`${line} \\`);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}

function panelRoom({rows}: Size): number {
  return Math.max(1, rows - PANEL_REST);
}

function contentOf(dialog: Extract<Dialog, {top: number}>, {columns}: Size): Line[] {
  const width = dialog.kind === 'page' ? columns : columns - 4;
  if (dialog.kind !== 'help') return dialog.lines.flatMap((line) => toLines(line, width));
  return HELP.flatMap(([keys, what]) =>
    wrap(what, Math.max(1, width - 16)).map((part, index) =>
      fitLine([{text: index === 0 ? keys.padEnd(16) : ' '.repeat(16), look: 'cyan'}, {text: part}], width),
    ),
  );
}

function toLines({kind, text}: PageLine, width: number): Line[] {
  // A truncated command would name another session.
  const safe = kind === 'command' ? showText(text) : showMessage(text);
  if (kind === 'title') return [[], [{text: ` ${safe}`, look: 'bold' as const}]].map((line) => fitLine(line, width));
  const lines = kind === 'command' ? wrapCommand(safe, width - 2) : wrap(safe, width - 2);
  return lines.map((line) => fitLine([{text: `  ${line}`, look: kind === 'command' ? 'cyan' : 'plain'}], width));
}

/** The line with its cursor; of a long line, the part around the cursor. */
function inputLine({before, after, isSelected}: EditedLine, width: number): Line {
  const [at = ' ', ...rest] = charactersOf(after);
  const room = width - 2 - widthOf(at);
  const shown = charactersOf(before);
  while (shown.length > 0 && widthOf(shown.join('')) > room) shown.shift();
  return fitLine(
    [
      {text: '> ', look: 'bold'},
      {text: shown.join(''), look: isSelected ? 'selected' : 'plain'},
      {text: at, look: 'selected'},
      {text: rest.join('')},
    ],
    width,
  );
}
