import type {CandidateKind} from '../../lib/completion/candidates.js';
import {findSpelling, shortNamesOf} from './other-spellings.js';
import {type CommandDetails, type CommandTable, type FlagEntry, parse, type Source} from './table.js';

export interface Candidate {
  value: string;
  summary?: string;
}

/** `files`: the shell completes file names itself. */
export type Candidates = Candidate[] | 'files';

export interface Typed {
  /** The words after the command's name and before the cursor; undefined where the shell inserts something unknown. */
  words: readonly (string | undefined)[];
  current: string;
}

/** Finds the values that are not in the table. */
export interface Finders {
  ids: (request: IdRequest) => Promise<Candidate[]>;
  /** The names of contexts. */
  contexts: () => Promise<string[]>;
}

export interface IdRequest {
  kind: CandidateKind;
  prefix: string;
  isOffered: (id: string) => boolean;
  /** The global flags that are typed, by name; null where the value is unknown. */
  globals: ReadonlyMap<string, string | null>;
}

/** The candidates at the cursor, each as a whole word. */
export async function complete(table: CommandTable, {words, current}: Typed, find: Finders): Promise<Candidates> {
  const line = readWords(table, words);
  const valuesOf = async (source: Source | undefined, typed: string, before = ''): Promise<Candidates> => {
    switch (source?.kind) {
      case undefined:
        return [];
      case 'files':
        return 'files';
      case 'zones':
        return matching(['UTC', ...Intl.supportedValuesOf('timeZone')], typed, before);
      case 'words':
        return matching(source.words, typed, before);
      case 'list': {
        const [, earlier = '', last = typed] = /^(.*,)(.*)$/s.exec(typed) ?? [];
        const used = earlier.split(',');
        return matching(
          source.words.filter((word) => !used.includes(word)),
          last,
          before + earlier,
        );
      }
      case 'commands':
        return line.positionals.length > 0
          ? []
          : [...commandsAt(table, []), ...source.more].filter(({value}) => value.startsWith(typed));
      case 'contexts':
        return matching(await find.contexts(), typed, before);
      case 'sessions':
      case 'frozen':
      case 'granted':
      case 'changes':
      case 'actors': {
        const isOffered = (id: string): boolean =>
          (line.isAfterDashes || before !== '' || !id.startsWith('-')) && !line.positionals.includes(id);
        const ids = await find.ids({kind: source.kind, prefix: typed, isOffered, globals: line.values});
        return ids.map(({value, ...rest}) => ({value: before + value, ...rest}));
      }
    }
  };

  if (line.flag !== undefined) return valuesOf(line.flag.source, current);
  if (!line.isAfterDashes && current.startsWith('-')) {
    const [, name, typed = ''] = /^--([\w-]+)=(.*)$/s.exec(current) ?? [];
    if (name === undefined) return offeredFlags(table, line).filter(({value}) => value.startsWith(current));
    const flag = flagsOf(table, line.command).find((one) => one.name === name && one.takesValue);
    return valuesOf(flag?.source, typed, `--${name}=`);
  }
  const names = commandsAt(table, line.path).filter(({value}) => value.startsWith(current));
  if (line.command === undefined) {
    const isName = line.positionals.length === 0;
    // A short name is offered only after its first letter is typed.
    const short = isName && current !== '' ? shortNames(table).filter(({value}) => value.startsWith(current)) : [];
    return isName ? [...names, ...short] : [];
  }
  const {args} = line.command;
  const arg = args[line.positionals.length] ?? (args.at(-1)?.isMultiple ? args.at(-1) : undefined);
  if (arg !== undefined) {
    const values = await valuesOf(arg.source, current);
    return values === 'files' || line.positionals.length > 0 ? values : [...names, ...values];
  }
  return current === '' && !line.isAfterDashes ? offeredFlags(table, line) : [];
}

interface Line {
  /** The words of the command's name. */
  path: string[];
  command: CommandDetails | undefined;
  positionals: (string | undefined)[];
  /** The names of the flags that are typed already. */
  given: string[];
  isAfterDashes: boolean;
  /** The flag whose value is at the cursor. */
  flag: FlagEntry | undefined;
  values: Map<string, string | null>;
}

function readWords(table: CommandTable, words: readonly (string | undefined)[]): Line {
  const line: Line = {
    path: [],
    command: undefined,
    positionals: [],
    given: [],
    isAfterDashes: false,
    flag: undefined,
    values: new Map(),
  };
  for (let index = 0; index < words.length; index++) {
    const word = words[index];
    if (line.flag !== undefined) {
      line.values.set(line.flag.name, word ?? null);
      line.flag = undefined;
    } else if (word === '--' && !line.isAfterDashes) {
      line.isAfterDashes = true;
    } else if (!line.isAfterDashes && word?.startsWith('-')) {
      readFlag(table, line, word);
    } else {
      index += takePositional(table, line, word, words[index + 1]);
    }
  }
  return line;
}

function readFlag(table: CommandTable, line: Line, word: string): void {
  const [, typed = word, value] = /^(--[^=]*)=(.*)$/s.exec(word) ?? [];
  const flag = flagsOf(table, line.command).find(({name, char}) => typed === `--${name}` || typed === `-${char}`);
  if (flag === undefined) return;
  line.given.push(flag.name);
  if (flag.takesValue && value === undefined) line.flag = flag;
  else if (value !== undefined) line.values.set(flag.name, value);
}

/** @returns how many of the following words belong to it */
function takePositional(table: CommandTable, line: Line, word: string | undefined, next: string | undefined): number {
  if (line.positionals.length === 0 && word !== undefined && !line.isAfterDashes) {
    const {commands} = table;
    const path = [...line.path, word];
    const found = commands[path.join(':')];
    if (found !== undefined) {
      line.path = path;
      line.command = parse(found.details);
      return 0;
    }
    const spelling =
      path.length > 1 ? undefined : findSpelling([word, next ?? ''], (name) => Object.hasOwn(commands, name));
    if (spelling !== undefined) {
      line.path = [spelling.name];
      const meant = commands[spelling.name];
      line.command = meant && parse(meant.details);
      return spelling.length - 1;
    }
  }
  line.positionals.push(word);
  return 0;
}

/** Short names of commands, with the names that they stand for. */
function shortNames({commands}: CommandTable): Candidate[] {
  return Object.entries(commands).flatMap(([id, {summary}]) =>
    shortNamesOf(id).map((value) => ({value, summary: `${id}: ${summary}`})),
  );
}

/** Commands about the program itself, offered last. */
const LAST = ['autocomplete', 'help'];

/** The next words of the command names that begin with these words. */
function commandsAt({commands}: CommandTable, path: readonly string[]): Candidate[] {
  const entries = Object.entries(commands);
  entries.sort(([a], [b]) => LAST.indexOf(a) - LAST.indexOf(b));
  return entries.flatMap(([id, {summary}]) => {
    const words = id.split(':');
    const isNext = words.length === path.length + 1 && path.every((word, index) => word === words[index]);
    return isNext ? [{value: words.at(-1) ?? '', summary}] : [];
  });
}

function flagsOf({globals}: CommandTable, command: CommandDetails | undefined): FlagEntry[] {
  if (command === undefined) return parse(globals);
  return command.isPlain ? command.flags : [...command.flags, ...parse(globals)];
}

/** Without flags that are typed already, or that exclude one of those. */
function offeredFlags(table: CommandTable, {command, given}: Line): Candidate[] {
  const all = flagsOf(table, command);
  const excluded = all.filter(({name}) => given.includes(name)).flatMap(({exclusive = []}) => exclusive);
  return all
    .filter(({name, isMultiple}) => (isMultiple ?? !given.includes(name)) && !excluded.includes(name))
    .map(({name, summary}) => ({value: `--${name}`, summary}));
}

function matching(words: readonly string[], typed: string, before: string): Candidate[] {
  return words.filter((word) => word.startsWith(typed)).map((word) => ({value: before + word}));
}
