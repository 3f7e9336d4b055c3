import type {CandidateKind} from '../../lib/completion/candidates.js';

/**
 * What completion knows about the commands. The build makes it from the manifests, so the two always agree. A TAB needs
 * little of it, so the most is JSON, which is parsed when it is asked for.
 */
export interface CommandTable {
  /** By ID; the words of its name are separated by colons. */
  commands: Record<string, {summary: string; details: Json<CommandDetails>}>;
  /** The flags that may also stand before a command. */
  globals: Json<FlagEntry[]>;
}

/** Text of this type. */
export type Json<T> = string & {readonly of?: T};

export function parse<T>(text: Json<T>): T {
  return JSON.parse(text) as T;
}

export interface CommandDetails {
  args: ValueEntry[];
  /** Without the global ones. */
  flags: FlagEntry[];
  /** True for a command without the global flags. */
  isPlain?: true;
}

export interface ValueEntry {
  name: string;
  isMultiple?: true;
  source?: Source;
}

export interface FlagEntry extends ValueEntry {
  summary: string;
  char?: string;
  takesValue?: true;
  /** The variable that replaces the flag. */
  env?: string;
  /** Flags that exclude this one. */
  exclusive?: string[];
}

/** Where the values of an argument or of a flag come from. */
export type Source =
  | {kind: 'words'; words: readonly string[]}
  /** Several of them, separated by commas. */
  | {kind: 'list'; words: readonly string[]}
  | {kind: 'commands'; more: {value: string; summary: string}[]}
  | {kind: 'files'}
  /** The names that Node.js knows. */
  | {kind: 'zones'}
  | {kind: 'contexts'}
  | {kind: CandidateKind};
