import {type MapNode, plainText, quotedText, type TextNode} from './nodes.js';

/** A key without quotes. Its only YAML indicators are colons before other characters. */
const PLAIN_KEY = '[A-Za-z0-9_\\u00a1-\\u2027\\u202a-\\ufdff][\\w.\\/@+:\\u00a1-\\u2027\\u202a-\\ufdff-]*';
/** A quoted text that JSON and YAML read alike. */
const QUOTED = '"(?:[^"\\\\\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff]|\\\\["\\\\/bfnrt]|\\\\u[\\da-fA-F]{4})*"';
const VALUE = `(?:[\\w.\\/](?:[\\w.\\/+-]|:(?=\\w)| (?=[\\w.\\/+-]))*|${QUOTED})`;
const NAME = '[a-z][a-z-]*|"[a-z][a-z-]*"';
const FIELD = `(?:${NAME}): ${VALUE}`;
const KEY = `(${PLAIN_KEY}|${QUOTED}):`;
/** More fields of a session, or lines between them, are left to the parser. */
const MOST_OF_FIELDS = 40;
const FIELDS = ` \\{((?:${FIELD}(?:, ${FIELD}){0,${MOST_OF_FIELDS}})?)\\}`;
const COMMENT = '(?: +#.*| *)';
const BLANK = ' *(?:#.*)?\\r?\\n';
/** A field on a line of its own. */
const FIELD_LINE = ` {4}${FIELD}${COMMENT}\\r?(?:\\n|$)`;
const FIELD_LINES = `${COMMENT}\\r?\\n(${FIELD_LINE}(?:${FIELD_LINE}|${BLANK}){0,${MOST_OF_FIELDS}})`;

/** The shape of a file with a line for each session, as `export-budgets` writes it, or a line for each field. */
interface Shape {
  first: RegExp;
  line: RegExp;
  /** What may follow the last line. */
  end: RegExp;
}

const SHAPES: readonly Shape[] = [
  {
    first: /^sessions:\r?\n/m,
    line: new RegExp(` {2}${KEY}(?:${FIELDS}${COMMENT}\\r?(?:\\n|$)|${FIELD_LINES})|${BLANK}`, 'y'),
    end: /[a-z]|$/y,
  },
  {first: /^ {2}"sessions": \{\n/m, line: new RegExp(` {4}${KEY}${FIELDS}()(,?)\\n`, 'y'), end: / {2}\}/y},
];

/** Longer names may be read in another way. */
const MOST_OF_NAME = 1000;

/**
 * Reads the sessions of a file with a line for each, or for each field: a YAML parser takes ten times as long, and ten times the memory.
 * The result is exactly what a YAML parser would return.
 *
 * @returns the sessions, and where they were cut out of `rest`; undefined for any other file
 */
export function readPlainLines(
  text: string,
): {sessions: MapNode; rest: string; start: number; end: number} | undefined {
  for (const shape of SHAPES) {
    const [first] = shape.first.exec(text) ?? [];
    if (first === undefined) continue;
    const start = text.search(shape.first) + first.length;
    const end = findEnd(text, start, shape);
    if (end === undefined) return undefined;
    const sessions: MapNode = {
      kind: 'map',
      at: start,
      entries: {[Symbol.iterator]: () => read(text, start, end, shape)},
    };
    return {sessions, rest: text.slice(0, start) + text.slice(end), start, end};
  }
  return undefined;
}

/** Undefined where a line has another shape, and where there is no session. */
function findEnd(text: string, start: number, {line, end}: Shape): number | undefined {
  let at = start;
  let comma: string | undefined;
  let isEmpty = true;
  for (;;) {
    line.lastIndex = at;
    const match = line.exec(text);
    if (match === null) break;
    const [whole, key = ''] = match;
    // JSON has a comma between two lines.
    if (key.length > MOST_OF_NAME || comma === '') return undefined;
    comma = match[4];
    isEmpty &&= key === '';
    at += whole.length;
  }
  end.lastIndex = at;
  return end.test(text) && !isEmpty && comma !== ',' ? at : undefined;
}

const PARTS = new RegExp(`(${NAME}): (${VALUE})`, 'g');
const PART_LINES = new RegExp(`(?<=^ {4})(${NAME}): (${VALUE})`, 'gm');

function* read(text: string, start: number, end: number, {line}: Shape): Generator<[TextNode, MapNode]> {
  let at = start;
  while (at < end) {
    line.lastIndex = at;
    const [whole = '', key, fields, fieldLines = ''] = line.exec(text) ?? [];
    if (key !== undefined) {
      const keyAt = at + whole.indexOf(key);
      const isFlow = fields !== undefined;
      const fieldsAt = isFlow ? keyAt + key.length + ': {'.length : at + whole.length - fieldLines.length;
      const text = fields ?? fieldLines;
      const entries = {[Symbol.iterator]: () => readFields(text, fieldsAt, isFlow ? PARTS : PART_LINES)};
      yield [toText(key, keyAt), {kind: 'map', entries, text, at: isFlow ? fieldsAt - 1 : fieldsAt}];
    }
    at += whole.length;
  }
}

function* readFields(text: string, start: number, parts: RegExp): Generator<[TextNode, TextNode]> {
  for (const {0: part, 1: name = '', 2: value = '', index} of text.matchAll(parts)) {
    const at = start + index;
    yield [toText(name, at), toText(value, at + part.length - value.length)];
  }
}

function toText(written: string, at: number): TextNode {
  return written.startsWith('"') ? quotedText(JSON.parse(written) as string, at) : plainText(written, at);
}
