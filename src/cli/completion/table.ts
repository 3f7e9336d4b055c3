import type {Interfaces} from '@oclif/core';

import type {CandidateKind} from '../../lib/completion/candidates.js';
import {COLUMN_NAMES} from '../views/sessions.js';
import {TOPICS} from './help-topics.js';

/** What completion knows about the commands. The build makes it from the manifests, so the two always agree. */
export interface CommandTable {
  /** By ID; the words of its name are separated by colons. */
  commands: Record<string, CommandEntry>;
  /** The flags that may also stand before a command. */
  globals: FlagEntry[];
}

export interface CommandEntry {
  summary: string;
  args: ValueEntry[];
  /** Without the global ones. */
  flags: FlagEntry[];
  /** True for a command without the global flags. */
  isPlain?: true;
}

interface ValueEntry {
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

/** Sources for arguments, by their name, in all commands or in one. */
const ARGUMENTS: Record<string, Source> = {
  session_id: {kind: 'sessions'},
  change_id: {kind: 'changes'},
  'remove-context name': {kind: 'contexts'},
  'unfreeze-session session_id': {kind: 'frozen'},
  'revoke-grant session_id': {kind: 'granted'},
  'help command': {
    kind: 'commands',
    more: Object.entries(TOPICS).map(([value, summary]) => ({value, summary})),
  },
};

/** Sources for flags whose values the manifest does not list. */
const FLAGS: Record<string, Source> = {
  'list-changes actor': {kind: 'actors'},
  'list-sessions columns': {kind: 'list', words: COLUMN_NAMES},
};

/** Sources for flags, by the name of their value in the help. */
const VALUES: Record<string, Source> = {
  CHANGE_ID: {kind: 'changes'},
  CONTEXT: {kind: 'contexts'},
  FILE: {kind: 'files'},
  SESSION_ID: {kind: 'sessions'},
  ZONE: {kind: 'zones'},
};

type Manifest = Pick<Interfaces.Manifest, 'commands'>;
type Cached = Manifest['commands'][string];

export function makeTable(manifests: readonly Manifest[]): CommandTable {
  const all = Object.assign({}, ...manifests.map(({commands}) => commands)) as Record<string, Cached>;
  const shown = Object.entries(all).filter(([, {hidden}]) => !hidden);
  const globals = Object.assign({}, ...shown.map(([, {flags}]) => pickFlags(flags, true))) as Cached['flags'];
  return {
    commands: Object.fromEntries(
      shown.map(([id, {summary, description = '', args, flags}]) => [
        id,
        {
          summary: summary ?? render(description),
          args: Object.values(args).map((arg) => toValue(id, arg, ARGUMENTS)),
          flags: Object.values(pickFlags(flags, false)).map((flag) => toFlag(id, flag)),
          ...(Object.keys(pickFlags(flags, true)).length === 0 ? {isPlain: true as const} : {}),
        },
      ]),
    ),
    globals: Object.values(globals).map((flag) => toFlag('', flag)),
  };
}

function pickFlags(flags: Cached['flags'], isGlobal: boolean): Cached['flags'] {
  return Object.fromEntries(
    Object.entries(flags).filter(([, {helpGroup, hidden}]) => !hidden && (helpGroup === 'GLOBAL') === isGlobal),
  );
}

function toFlag(id: string, flag: Cached['flags'][string]): FlagEntry {
  const {char, env, exclusive = []} = flag;
  return {
    ...toValue(id, flag, FLAGS),
    summary: flag.summary ?? flag.description ?? '',
    ...(char === undefined ? {} : {char}),
    ...(env === undefined ? {} : {env}),
    ...(flag.type === 'option' ? {takesValue: true as const} : {}),
    ...(exclusive.length === 0 ? {} : {exclusive: exclusive.map(String)}),
  };
}

function toValue(
  id: string,
  entry: {name: string; multiple?: boolean | undefined; options?: readonly string[] | undefined; helpValue?: unknown},
  sources: Record<string, Source>,
): ValueEntry {
  const {name, multiple, options, helpValue} = entry;
  const source =
    sources[`${id} ${name}`] ??
    sources[name] ??
    (options
      ? {kind: 'words' as const, words: options}
      : typeof helpValue === 'string'
        ? VALUES[helpValue]
        : undefined);
  return {name, ...(multiple ? {isMultiple: true as const} : {}), ...(source ? {source} : {})};
}

function render(text: string): string {
  return text.replaceAll('<%= config.bin %>', 'tokengate').replace(/\.$/, '');
}
