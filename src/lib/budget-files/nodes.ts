/**
 * The content of a file in either format. `at` is the position where a node begins, in UTF-16 units from the start of
 * the file.
 */
export type Node = TextNode | MapNode | ListNode;

export interface TextNode {
  kind: 'text';
  /** Exactly as typed, without quotes. */
  text: string;
  /** True for an empty value, `~` and `null` without quotes. */
  isNull: boolean;
  at: number;
}

export interface MapNode {
  kind: 'map';
  /** In file order; a key may occur twice. */
  entries: Iterable<readonly [key: TextNode, value: Node]>;
  /** Of two maps of a file with the same text, all is the same but the positions. Not every map has it. */
  text?: string;
  at: number;
}

interface ListNode {
  kind: 'list';
  items: readonly Node[];
  at: number;
}

/** A problem at one place of a file. */
export interface Problem {
  at: number;
  /** The field with the problem; undefined for a problem of syntax. */
  field?: string | undefined;
  /** One sentence or two; may hold untrusted text. */
  message: string;
}

export interface Tree {
  /** Undefined for an empty file, and for one that cannot be read at all. */
  root: Node | undefined;
  problems: Problem[];
}

const NULL = /^(?:~|null|Null|NULL)?$/;

/** A text without quotes. */
export function plainText(text: string, at: number): TextNode {
  return {kind: 'text', text, isNull: NULL.test(text), at};
}

export function quotedText(text: string, at: number): TextNode {
  return {kind: 'text', text, isNull: false, at};
}
