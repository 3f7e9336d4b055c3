import {isUtf8} from 'node:buffer';

import {TokengateError} from '../values/errors.js';
import {idOfHex, nameOf, parseSessionId, type RawId} from '../values/session-id.js';
import {type Defaults, EntryReader} from './entry.js';
import {TOP_LEVEL, VERSION} from './fields.js';
import type {MapNode, Node, Problem, TextNode, Tree} from './nodes.js';
import {readPlainLines} from './plain-lines.js';
import {type Budgets, matchesOne, type Rule, type Wanted} from './wanted.js';
import {readYaml} from './yaml-nodes.js';

/** A file after reading. */
export interface SourceFile {
  /** The name to show in messages. */
  name: string;
  bytes: Buffer;
}

/** A problem at one place of a file. */
export interface Mistake {
  file: string;
  /** From 1. */
  line: number;
  /** Characters from the beginning of the line, from 1. */
  column: number;
  /** Undefined for a mistake of syntax. */
  field?: string | undefined;
  /** One sentence or two; may hold untrusted text. */
  message: string;
}

/** Reads budget files: returns everything that they say, or all mistakes in them, in file order. */
export async function readBudgets(
  files: readonly SourceFile[],
): Promise<{budgets: Budgets; mistakes: readonly []} | {budgets: undefined; mistakes: Mistake[]}> {
  const named = new Map<RawId, Named>();
  const rules: Rule[] = [];
  const scopes: Budgets['scopes'][number][] = [];
  const mistakes: Mistake[] = [];
  for (const file of files) {
    const text = file.bytes.toString();
    const lines = new Lines(text);
    if (!isUtf8(file.bytes)) {
      mistakes.push({file: file.name, line: 1, column: 1, message: 'It is not UTF-8 text.'});
      continue;
    }
    const {root, problems} = await readTree(text);
    const reading = new FileReading(file.name, lines, problems, named);
    if (root !== undefined) reading.read(root);
    else if (problems.length === 0) problems.push({at: 0, message: 'It is empty.'});
    rules.push(...reading.rules);
    scopes.push(reading.scope);
    problems.sort((a, b) => a.at - b.at);
    for (const {at, field, message} of problems) {
      mistakes.push({file: file.name, ...lines.find(at), field, message});
    }
  }
  return mistakes.length === 0 ? {budgets: {named, rules, scopes}, mistakes: []} : {budgets: undefined, mistakes};
}

/** Takes the fast path where the file allows it. */
async function readTree(text: string): Promise<Tree> {
  const plain = readPlainLines(text);
  if (plain === undefined) return readYaml(text);
  const {root, problems} = await readYaml(plain.rest);
  const entries = root?.kind === 'map' ? [...root.entries] : [];
  const own = entries.filter(([{text: name}]) => name === 'sessions');
  // The rest has only the sessions' key, and nothing that could reach into them.
  if (problems.length > 0 || own.length !== 1) return readYaml(text);
  const length = plain.end - plain.start;
  const moved = entries.map(([key, value]): [TextNode, Node] =>
    key.text === 'sessions'
      ? [key, plain.sessions]
      : [move(key, plain.start, length), move(value, plain.start, length)],
  );
  return {root: {kind: 'map', at: root?.at ?? 0, entries: moved}, problems};
}

/** Shifts a node back to its position before something of this length was cut out. */
function move<N extends Node>(node: N, from: number, length: number): N {
  const at = node.at < from ? node.at : node.at + length;
  if (node.kind === 'list') return {...node, at, items: node.items.map((item) => move(item, from, length))};
  if (node.kind === 'text') return {...node, at};
  const entries = Array.from(
    node.entries,
    ([key, value]) => [move(key, from, length), move(value, from, length)] as const,
  );
  return {...node, at, entries};
}

/** What a file says about one session, and where. */
interface Named {
  wanted: Wanted;
  source: FileReading;
  at: number;
}

/** The reading of one file. */
class FileReading {
  readonly rules: Rule[] = [];
  scope: readonly Buffer[] | undefined;
  private defaults: Defaults = {};
  private readonly entries: EntryReader;

  constructor(
    readonly file: string,
    readonly lines: Lines,
    private readonly problems: Problem[],
    private readonly named: Map<RawId, Named>,
  ) {
    this.entries = new EntryReader(problems);
  }

  read(root: Node): void {
    if (root.kind !== 'map') {
      this.problems.push({at: root.at, message: 'It has to be a map with version, sessions and rules.'});
      return;
    }
    const parts = new Map<string, Node>();
    for (const [{text: name, at}, value] of root.entries) {
      if (!(TOP_LEVEL as readonly string[]).includes(name)) {
        this.add(at, name, `There is no such field. Known: ${TOP_LEVEL.join(', ')}.`);
      } else if (parts.has(name)) this.add(at, name, 'The field is there twice.');
      else parts.set(name, value);
    }
    const version = parts.get('version');
    if (version === undefined) this.add(root.at, 'version', `The field is missing. Write version: ${VERSION}.`);
    else this.readVersion(version);
    // The other fields depend on these.
    this.scope = this.readScope(parts.get('scope'));
    const defaults = this.mapIn(parts.get('defaults'), 'defaults');
    if (defaults !== undefined) this.defaults = this.entries.readDefaults(defaults);
    for (const [field, toId] of [
      ['sessions', (text: string) => parseSessionId(text)],
      ['id_hex', toBytes],
    ] as const) {
      const sessions = this.mapIn(parts.get(field), field);
      if (sessions !== undefined) this.readSessions(sessions, field, toId);
    }
    this.readRules(parts.get('rules'));
  }

  private readVersion(node: Node): void {
    const text = this.entries.readText(node, 'version');
    if (text === undefined || text === VERSION) return;
    this.add(node.at, 'version', `This version of tokengate reads version ${VERSION} of the file, not '${text}'.`);
  }

  private readScope(node: Node | undefined): Buffer[] | undefined {
    if (node === undefined) return undefined;
    if (node.kind !== 'list' || node.items.length === 0) {
      this.add(node.at, 'scope', 'It has to be a list of globs.');
      return undefined;
    }
    return node.items.flatMap((item) => this.readGlob(item, 'scope') ?? []);
  }

  private readGlob(node: Node, field: string): Buffer | undefined {
    const text = this.entries.readText(node, field);
    if (text === '') this.add(node.at, field, 'The glob is empty.');
    return text === undefined || text === '' ? undefined : Buffer.from(text);
  }

  private readSessions({entries}: MapNode, field: string, toId: (text: string) => RawId): void {
    for (const [{text, at}, value] of entries) {
      const id = this.readId(text, at, field, toId);
      if (value.kind !== 'map') {
        this.add(value.at, field, `Session '${text}' needs a map of fields, such as {budget: 25.50}.`);
        continue;
      }
      const wanted = this.entries.readSession(value, this.defaults);
      if (id === undefined) continue;
      const other = this.named.get(id);
      if (other !== undefined) {
        const {file, lines} = other.source;
        const first = `${file}:${lines.find(other.at).line}`;
        this.add(at, field, `Session '${nameOf(id)}' is listed twice: first in ${first}.`);
      } else {
        this.named.set(id, {wanted, source: this, at});
      }
      if (this.scope !== undefined && !matchesOne(this.scope, Buffer.from(id, 'latin1'))) {
        this.add(at, field, `Session '${nameOf(id)}' is outside the scope of the file.`);
      }
    }
  }

  private readId(text: string, at: number, field: string, toId: (text: string) => RawId): RawId | undefined {
    try {
      return toId(text);
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      this.add(at, field, error.message);
      return undefined;
    }
  }

  private readRules(node: Node | undefined): void {
    if (node === undefined) return;
    if (node.kind !== 'list') {
      this.add(node.at, 'rules', 'It has to be a list of rules.');
      return;
    }
    for (const item of node.items) {
      const rule = this.mapIn(item, 'rules');
      if (rule === undefined) continue;
      const wanted = this.entries.read(rule, this.defaults, ['match']);
      const match = Array.from(rule.entries).find(([{text}]) => text === 'match')?.[1];
      if (match === undefined) this.add(rule.at, 'match', 'The rule does not say which IDs it is for.');
      const glob = match && this.readGlob(match, 'match');
      if (glob !== undefined) this.rules.push({match: glob, scope: this.scope, wanted});
    }
  }

  private mapIn(node: Node | undefined, field: string): MapNode | undefined {
    if (node === undefined || node.kind === 'map') return node;
    this.add(node.at, field, 'It has to be a map of fields.');
    return undefined;
  }

  private add(at: number, field: string, message: string): void {
    this.entries.add(at, field, message);
  }
}

/** @throws TokengateError INVALID_SESSION_ID */
function toBytes(hex: string): RawId {
  const id = idOfHex(hex);
  if (id !== undefined) return id;
  throw new TokengateError('INVALID_SESSION_ID', `'${hex}' is not the bytes of an ID in pairs of digits 0-9 and a-f.`);
}

/** Finds lines and columns, when first asked for. */
class Lines {
  private starts: number[] | undefined;

  constructor(private readonly text: string) {}

  find(at: number): {line: number; column: number} {
    this.starts ??= [0, ...Array.from(this.text.matchAll(/\n/g), ({index}) => index + 1)];
    let [low, high] = [0, this.starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] ?? 0) <= at) low = middle;
      else high = middle;
    }
    return {line: low + 1, column: at - (this.starts[low] ?? 0) + 1};
  }
}
