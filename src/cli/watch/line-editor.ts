import {isSafeText} from '../text/escape.js';
import {charactersOf} from '../text/width.js';

/** A line of input, with the cursor between its two parts. */
export interface EditedLine {
  before: string;
  after: string;
  /** True for a suggested text: the first key replaces it, like a selected text. */
  isSelected: boolean;
}

/** Keys that move in a line, or remove something from it. */
export type EditKey =
  | 'left'
  | 'right'
  | 'wordLeft'
  | 'wordRight'
  | 'home'
  | 'end'
  | 'erase'
  | 'delete'
  | 'eraseWord'
  | 'eraseBefore'
  | 'eraseAfter';

export function prefilled(text: string): EditedLine {
  return {before: text, after: '', isSelected: text !== ''};
}

export function textOf({before, after}: EditedLine): string {
  return before + after;
}

/**
 * Adds typed or pasted text. A line break becomes a space, and characters that a terminal would act on are left out.
 */
export function insert(line: EditedLine, typed: string): EditedLine {
  const text = Array.from(typed.replace(/\s+/g, ' ')).filter(isSafeText).join('');
  if (text === '') return line;
  return {
    before: (line.isSelected ? '' : line.before) + text,
    after: line.isSelected ? '' : line.after,
    isSelected: false,
  };
}

export function edit(line: EditedLine, key: EditKey): EditedLine {
  const edited = line.isSelected ? EDITS_OF_SELECTED[key]?.(textOf(line)) : undefined;
  const [before, after] = edited ?? EDITS[key](line);
  return {before, after, isSelected: false};
}

type Parts = readonly [before: string, after: string];

const EDITS: Record<EditKey, (line: EditedLine) => Parts> = {
  left: ({before, after}) => splitAt(before, after, before.length - lastOf(before).length),
  right: ({before, after}) => splitAt(before, after, before.length + firstOf(after).length),
  wordLeft: ({before, after}) => splitAt(before, after, before.length - lastWordOf(before).length),
  wordRight: ({before, after}) => splitAt(before, after, before.length + firstWordOf(after).length),
  home: ({before, after}) => ['', before + after],
  end: ({before, after}) => [before + after, ''],
  erase: ({before, after}) => [before.slice(0, before.length - lastOf(before).length), after],
  delete: ({before, after}) => [before, after.slice(firstOf(after).length)],
  eraseWord: ({before, after}) => [before.slice(0, before.length - lastWordOf(before).length), after],
  eraseBefore: ({after}) => ['', after],
  eraseAfter: ({before}) => [before, ''],
};

/** In a selected text, a move goes to one of its ends, and erasing a part erases all of it. */
const EDITS_OF_SELECTED: Partial<Record<EditKey, (text: string) => Parts>> = {
  left: (text) => ['', text],
  right: (text) => [text, ''],
  erase: () => ['', ''],
  delete: () => ['', ''],
  eraseAfter: () => ['', ''],
  eraseWord: () => ['', ''],
};

function splitAt(before: string, after: string, position: number): Parts {
  const text = before + after;
  return [text.slice(0, position), text.slice(position)];
}

function firstOf(text: string): string {
  return charactersOf(text)[0] ?? '';
}

function lastOf(text: string): string {
  return charactersOf(text).at(-1) ?? '';
}

function firstWordOf(text: string): string {
  return /^\s*\S*/.exec(text)?.[0] ?? '';
}

function lastWordOf(text: string): string {
  return /\S*\s*$/.exec(text)?.[0] ?? '';
}
