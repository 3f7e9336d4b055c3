import type {Interfaces} from '@oclif/core';

import {COLUMN_NAMES} from '../views/sessions.js';
import {TOPICS} from './help-topics.js';
import type {CommandDetails, CommandTable, FlagEntry, Json, Source, ValueEntry} from './table.js';

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
          details: stringify<CommandDetails>({
            args: Object.values(args).map((arg) => toValue(id, arg, ARGUMENTS)),
            flags: Object.values(pickFlags(flags, false)).map((flag) => toFlag(id, flag)),
            ...(Object.keys(pickFlags(flags, true)).length === 0 ? {isPlain: true as const} : {}),
          }),
        },
      ]),
    ),
    globals: stringify(Object.values(globals).map((flag) => toFlag('', flag))),
  };
}

function stringify<T>(value: T): Json<T> {
  return JSON.stringify(value);
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
