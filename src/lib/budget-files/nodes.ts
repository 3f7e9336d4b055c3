/** What a file holds, whatever it is written in. `at` is where it begins, in UTF-16 units from the beginning of the file. */
export type Node = TextNode | MapNode | ListNode;

export interface TextNode {
  kind: 'text';
  /** Exactly as typed, without quotes. */
  text: string;
  /** True for nothing, `~` and `null` without quotes. */
  isNull: boolean;
  at: number;
}

export interface MapNode {
  kind: 'map';
  /** In the order of the file; a key may come twice. */
  entries: Iterable<readonly [key: TextNode, value: Node]>;
  at: number;
}

interface ListNode {
  kind: 'list';
  items: readonly Node[];
  at: number;
}

/** What is wrong at one place of a file. */
export interface Problem {
  at: number;
  /** The field that it is about; none for what is wrong with the syntax. */
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
