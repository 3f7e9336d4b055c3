import {dirname, isAbsolute, join} from 'node:path';

import {parseRedisUrl, secretsOfUrl, type TlsFiles} from '../redis/url.js';
import {TokengateError} from '../values/errors.js';
import {parseTimeout} from '../values/time.js';
import {readTree} from './tree.js';
import type {Entry, Tree} from './yaml-tree.js';

export const COLORS = ['red', 'yellow', 'green', 'cyan', 'blue', 'magenta'] as const;
export type Color = (typeof COLORS)[number];

/** Where the URL of a context comes from. */
export type UrlSource =
  | {from: 'redis-url'; url: string}
  | {from: 'redis-url-file'; file: string}
  /** A program and its arguments, which prints the URL. */
  | {from: 'redis-url-command'; command: readonly [string, ...string[]]};

/** A named server. Paths are absolute, or relative to the working directory like the path of the context file. */
export interface Context {
  name: string;
  source: UrlSource;
  tls: TlsFiles;
  /** Seconds, as written in the file. */
  timeout: string | undefined;
  actor: string | undefined;
  color: Color | undefined;
  isProtected: boolean;
  isReadOnly: boolean;
}

export interface Config {
  default: string | undefined;
  /** In file order. */
  contexts: ReadonlyMap<string, Context>;
  /**
   * True when only the owner may read the file, because it holds a password, or write it, because it names a program to
   * run.
   */
  isSecret: boolean;
}

const ROOT_FIELDS = ['default', 'contexts'];
const SOURCES = ['redis-url', 'redis-url-file', 'redis-url-command'] as const;
const FIELDS = [
  ...SOURCES,
  'tls-ca',
  'tls-cert',
  'tls-key',
  'tls-server-name',
  'timeout',
  'actor',
  'color',
  'protected',
  'read-only',
];

/**
 * Reads the text of a context file, which is YAML.
 *
 * @param path the path of the file: paths in it are relative to its folder
 * @throws TokengateError INVALID_CONFIG with line and column, and never with a value, which may be a secret
 */
export async function parseConfig(text: string, path: string): Promise<Config> {
  const refuse = (offset: number, why: string, hint?: string): never => {
    const before = text.slice(0, offset).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    const message = `Invalid context file '${path}', line ${before.length}, column ${column}: ${why}.`;
    throw new TokengateError('INVALID_CONFIG', message, {hint});
  };
  return new Reader(path, refuse).read(await readTree(text, refuse));
}

export function unknownContext(name: string, {contexts}: Config, path: string): TokengateError {
  const names = [...contexts.keys()];
  return new TokengateError('CONTEXT_NOT_FOUND', `There is no context '${name}' in ${path}.`, {
    hint:
      names.length === 0
        ? 'It has no contexts. Make one with: tokengate add-context NAME --redis-url URL'
        : `Contexts: ${names.join(', ')}.`,
  });
}

/** @throws TokengateError INVALID_USAGE */
export function checkName(name: string): void {
  if (isName(name)) return;
  throw new TokengateError('INVALID_USAGE', `'${name}' is not a name.`, {hint: NAME_HINT});
}

/** True for a name that a person can type. */
function isName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,63}$/.test(name);
}

const NAME_HINT = 'Write letters, digits, _, . and -, at most 64, and first a letter or a digit.';

class Reader {
  constructor(
    private readonly path: string,
    private readonly refuse: (offset: number, why: string, hint?: string) => never,
  ) {}

  read(root: Tree): Config {
    const fields = this.readFields(root, 'the file', ROOT_FIELDS);
    const list = fields.get('contexts');
    const contexts = new Map<string, Context>();
    for (const entry of list === undefined ? [] : this.readMap(list.value, "'contexts'")) {
      const {name, offset} = entry;
      if (!isName(name)) this.refuse(offset, `${quote(name)} is not a name`, NAME_HINT);
      contexts.set(name, this.readContext(entry));
    }
    const first = fields.get('default');
    const chosen = first && this.readText(first);
    if (first !== undefined && chosen !== undefined && !contexts.has(chosen)) {
      this.refuse(first.value.offset, `the default ${quote(chosen)} is none of the contexts`);
    }
    return {default: chosen, contexts, isSecret: [...contexts.values()].some(({source}) => isSecret(source))};
  }

  private readContext({name, offset, value}: Entry): Context {
    const what = `the context '${name}'`;
    const fields = this.readFields(value, what, FIELDS);
    const text = (field: string): string | undefined => {
      const entry = fields.get(field);
      return entry && this.readText(entry);
    };
    const file = (field: string): string | undefined => {
      const typed = text(field);
      return typed === undefined ? undefined : this.fromHere(typed);
    };
    const [source, second] = SOURCES.flatMap((field) => fields.get(field) ?? []);
    if (source === undefined) this.refuse(offset, `${what} has no URL`, `Give it one of ${SOURCES.join(', ')}.`);
    if (second !== undefined) this.refuse(second.offset, `${what} has both ${source.name} and ${second.name}`);
    return {
      name,
      source: this.readSource(source),
      tls: {
        caFile: file('tls-ca'),
        certFile: file('tls-cert'),
        keyFile: file('tls-key'),
        serverName: text('tls-server-name'),
      },
      timeout: this.readTimeout(fields.get('timeout')),
      actor: text('actor'),
      color: this.readColor(fields.get('color')),
      isProtected: this.readSwitch(fields.get('protected')),
      isReadOnly: this.readSwitch(fields.get('read-only')),
    };
  }

  private readSource(entry: Entry): UrlSource {
    if (entry.name === 'redis-url-command') return {from: entry.name, command: this.readCommand(entry)};
    const text = this.readText(entry);
    if (entry.name === 'redis-url-file') return {from: entry.name, file: this.fromHere(text)};
    this.check(entry, () => parseRedisUrl(text));
    return {from: 'redis-url', url: text};
  }

  /** The name of a program with a slash in it is a path. */
  private readCommand({name, value}: Entry): readonly [string, ...string[]] {
    const items = value.kind === 'list' ? value.items : [];
    const words = items.flatMap((item) => (item.kind === 'scalar' && item.value !== null ? [item.text] : []));
    const [program, ...more] = words;
    if (program === undefined || program === '' || words.length !== items.length) {
      return this.refuse(value.offset, `${name} is not a list of words, the first of them a program`);
    }
    return [program.includes('/') ? this.fromHere(program) : program, ...more];
  }

  private readTimeout(entry: Entry | undefined): string | undefined {
    if (entry === undefined) return undefined;
    const typed = this.readText(entry);
    this.check(entry, () => parseTimeout(typed));
    return typed;
  }

  private readColor(entry: Entry | undefined): Color | undefined {
    if (entry === undefined) return undefined;
    const typed = this.readText(entry);
    const color = COLORS.find((one) => one === typed);
    return color ?? this.refuse(entry.value.offset, `${quote(typed)} is not a color`, `Colors: ${COLORS.join(', ')}.`);
  }

  private readSwitch(entry: Entry | undefined): boolean {
    if (entry === undefined) return false;
    const {name, value: tree} = entry;
    const value = tree.kind === 'scalar' ? tree.value : undefined;
    return typeof value === 'boolean' ? value : this.refuse(tree.offset, `${name} is not true or false`);
  }

  /** The text or number as written. */
  private readText({name, value}: Entry): string {
    const isText = value.kind === 'scalar' && ['string', 'number'].includes(typeof value.value) && value.text !== '';
    return isText ? value.text : this.refuse(value.offset, `${name} is not a text`);
  }

  private readFields(tree: Tree, what: string, known: readonly string[]): Map<string, Entry> {
    const entries = this.readMap(tree, what);
    for (const {name, offset} of entries) {
      if (!known.includes(name)) {
        this.refuse(offset, `unknown field ${quote(name)} in ${what}`, `Fields: ${known.join(', ')}.`);
      }
    }
    return new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** A missing map is empty. */
  private readMap(tree: Tree, what: string): readonly Entry[] {
    if (tree.kind === 'map') return tree.entries;
    if (tree.kind === 'scalar' && tree.value === null) return [];
    return this.refuse(tree.offset, `${what} is not a list of fields with values`);
  }

  private fromHere(path: string): string {
    return isAbsolute(path) ? path : join(dirname(this.path), path);
  }

  private check({value}: Entry, parse: () => unknown): void {
    try {
      parse();
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      const {message, hint} = error;
      this.refuse(value.offset, `${message.charAt(0).toLowerCase()}${message.slice(1).replace(/\.$/, '')}`, hint);
    }
  }
}

function isSecret(source: UrlSource): boolean {
  return source.from === 'redis-url-command' || (source.from === 'redis-url' && secretsOfUrl(source.url).length > 0);
}

/** A URL in the wrong place may hold a password. */
function quote(name: string): string {
  return /[:@]/.test(name) ? '(not shown)' : `'${name}'`;
}
