import type {Entry, Tree} from './yaml-tree.js';

/** The tree of a text. Calls `refuse` at the first place that is not YAML, or not a tree of these kinds. */
export async function readTree(text: string, refuse: (offset: number, why: string) => never): Promise<Tree> {
  return readPlainTree(text) ?? (await import('./yaml-tree.js')).readYamlTree(text, refuse);
}

interface Line {
  offset: number;
  indent: number;
  name: string;
  /** The text after the name. */
  rest: string;
}

/**
 * The tree of a text in the usual style: maps of names in block style, with values on one line. Returns undefined for
 * anything else, and for any mistake: the package that knows all of YAML takes a twentieth of a start.
 */
export function readPlainTree(text: string): Tree | undefined {
  if (!/^[\n -~]*$/.test(text)) return undefined;
  const lines: Line[] = [];
  let offset = 0;
  for (const line of text.split('\n')) {
    const [, space, name, rest] = /^( *)([A-Za-z][\w.-]*):(?= |$)(.*)$/.exec(line) ?? [];
    if (space !== undefined && name !== undefined && rest !== undefined) {
      lines.push({offset: offset + space.length, indent: space.length, name, rest});
    } else if (!/^ *(#.*)?$/.test(line)) return undefined;
    offset += line.length + 1;
  }
  const tree = readBlock(lines, 0);
  return lines.length === 0 ? tree : undefined;
}

/** Takes the lines of a map from the start of `lines`. */
function readBlock(lines: Line[], indent: number): Tree | undefined {
  const [first] = lines;
  if (first?.indent !== indent) return undefined;
  const entries: Entry[] = [];
  for (let [line] = lines; line?.indent === indent; [line] = lines) {
    lines.shift();
    const {name, offset, rest} = line;
    const [next] = lines;
    const isBlock = /^ *(#.*)?$/.test(rest) && next !== undefined && next.indent > indent;
    const value = isBlock ? readBlock(lines, next.indent) : readValue(rest, offset + name.length + 1);
    if (value === undefined || !addEntry(entries, {name, offset, value})) return undefined;
  }
  return {kind: 'map', offset: first.offset, entries};
}

/** False for a name that occurs twice, or that is not a text. */
function addEntry(entries: Entry[], entry: Entry): boolean {
  if (entries.some(({name}) => name === entry.name) || RESERVED.test(entry.name)) return false;
  entries.push(entry);
  return true;
}

/** Words that are not texts, or were not in earlier versions of YAML. */
const RESERVED = /^(true|false|null|yes|no|on|off|y|n)$/i;

/** A value after a name, up to the end of the line. */
function readValue(text: string, offset: number): Tree | undefined {
  const reader = new FlowReader(text, offset);
  const value = reader.read();
  return value !== undefined && reader.takes(/ *$| +#.*$/y) ? value : undefined;
}

/** Reads values on one line. */
class FlowReader {
  private position = 0;

  constructor(
    private readonly text: string,
    private readonly start: number,
  ) {}

  read(): Tree | undefined {
    this.takes(/ */y);
    const offset = this.start + this.position;
    if (this.takes(/\{/y)) return this.readMap(offset);
    if (this.takes(/\[/y)) return this.readList(offset);
    const quoted = this.match(/'([^']*)'|"([^"\\]*)"/y);
    if (quoted !== undefined) {
      const text = quoted[1] ?? quoted[2] ?? '';
      return {kind: 'scalar', offset, value: text, text};
    }
    const [word] = this.match(/[\w/.][\w/.:@%+=~-]*(?![^ ,\]}])/y) ?? [];
    return word === undefined ? undefined : toScalar(word, offset);
  }

  private readMap(offset: number): Tree | undefined {
    const entries: Entry[] = [];
    do {
      this.takes(/ */y);
      const at = this.start + this.position;
      const [, name] = this.match(/([A-Za-z][\w.-]*): /y) ?? [];
      const value = name === undefined ? undefined : this.read();
      if (name === undefined || value === undefined || !addEntry(entries, {name, offset: at, value})) return undefined;
    } while (this.takes(/ *,/y));
    return this.takes(/ *\}/y) ? {kind: 'map', offset, entries} : undefined;
  }

  private readList(offset: number): Tree | undefined {
    const items: Tree[] = [];
    do {
      const item = this.read();
      if (item === undefined) return undefined;
      items.push(item);
    } while (this.takes(/ *,/y));
    return this.takes(/ *\]/y) ? {kind: 'list', offset, items} : undefined;
  }

  takes(pattern: RegExp): boolean {
    return this.match(pattern) !== undefined;
  }

  private match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.text) ?? undefined;
    if (match !== undefined) this.position = pattern.lastIndex;
    return match;
  }
}

/** A word without quotes; undefined if it could be something else. */
function toScalar(text: string, offset: number): Tree | undefined {
  const scalar = (value: unknown): Tree => ({kind: 'scalar', offset, value, text});
  if (text === 'true' || text === 'false') return scalar(text === 'true');
  if (/^(0|[1-9]\d{0,8})(\.\d{1,6})?$/.test(text)) return scalar(Number(text));
  return RESERVED.test(text) || /^[\d.]|:$/.test(text) ? undefined : scalar(text);
}
