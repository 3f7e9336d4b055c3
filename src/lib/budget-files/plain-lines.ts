import {type MapNode, plainText, quotedText, type TextNode} from './nodes.js';

/** A key without quotes. Its only YAML indicators are colons before other characters. */
const PLAIN_KEY = '[A-Za-z0-9_\\u00a1-\\u2027\\u202a-\\ufdff][\\w.\\/@+:\\u00a1-\\u2027\\u202a-\\ufdff-]*';
/** A quoted text that JSON and YAML read alike. */
const QUOTED = '"(?:[^"\\\\\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff]|\\\\["\\\\/bfnrt]|\\\\u[\\da-fA-F]{4})*"';
const VALUE = `(?:[\\w.\\/](?:[\\w.\\/+-]|:(?=\\w)| (?=[\\w.\\/+-]))*|${QUOTED})`;
const FIELD = `(?:[a-z-]+|"[a-z-]+"): ${VALUE}`;
const ENTRY = `(${PLAIN_KEY}|${QUOTED}): \\{((?:${FIELD}(?:, ${FIELD})*)?)\\}`;

/** The shape of a file with a line for each session, as `export-budgets` writes it. */
interface Shape {
  first: RegExp;
  line: RegExp;
  /** What may follow the last line. */
  end: RegExp;
}

const SHAPES: readonly Shape[] = [
  {
    first: /^sessions:\r?\n/m,
    line: new RegExp(` {2}${ENTRY}(?: +#.*)?\\r?(?:\\n|$)| *(?:#.*)?\\r?\\n`, 'y'),
    end: /[a-z]|$/y,
  },
  {first: /^ {2}"sessions": \{\n/m, line: new RegExp(` {4}${ENTRY}(,?)\\n`, 'y'), end: / {2}\}/y},
];

/** Longer names may be read in another way. */
const MOST_OF_NAME = 1000;

/**
 * Reads the sessions of a file with a line for each: a YAML parser takes ten times as long, and ten times the memory.
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

/** Undefined where a line has another shape. */
function findEnd(text: string, start: number, {line, end}: Shape): number | undefined {
  let at = start;
  let comma: string | undefined;
  for (;;) {
    line.lastIndex = at;
    const match = line.exec(text);
    if (match === null) break;
    const [whole, key = ''] = match;
    // JSON has a comma between two lines.
    if (key.length > MOST_OF_NAME || comma === '') return undefined;
    comma = match[3];
    at += whole.length;
  }
  end.lastIndex = at;
  return end.test(text) && at > start && comma !== ',' ? at : undefined;
}

const PARTS = new RegExp(`([a-z-]+|"[a-z-]+"): (${VALUE})`, 'g');

function* read(text: string, start: number, end: number, {line}: Shape): Generator<[TextNode, MapNode]> {
  let at = start;
  while (at < end) {
    line.lastIndex = at;
    const [whole = '', key, fields = ''] = line.exec(text) ?? [];
    if (key !== undefined) {
      const keyAt = at + whole.indexOf(key);
      const fieldsAt = keyAt + key.length + ': {'.length;
      const entries = Array.from(fields.matchAll(PARTS), ({0: part, 1: name = '', 2: value = '', index}) => {
        const fieldAt = fieldsAt + index;
        return [toText(name, fieldAt), toText(value, fieldAt + part.length - value.length)] as const;
      });
      yield [toText(key, keyAt), {kind: 'map', entries, at: fieldsAt - 1}];
    }
    at += whole.length;
  }
}

function toText(written: string, at: number): TextNode {
  return written.startsWith('"') ? quotedText(JSON.parse(written) as string, at) : plainText(written, at);
}
