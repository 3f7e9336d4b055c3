import {type FieldName, VERSION} from '../../lib/budget-files/fields.js';
import type {WrittenSession} from '../../lib/budget-files/written.js';
import {hexOf, nameOf} from '../../lib/values/session-id.js';
import {escapeJson, showText} from '../text/escape.js';

export const FILE_FORMATS = ['yaml', 'json'] as const;

/** The start, the entries and the end of a file. */
interface Writer {
  head: (scope: string | undefined) => string;
  section: (name: string) => string;
  session: (key: string, session: WrittenSession, isFirst: boolean) => string;
  endSection: string;
  end: string;
}

const SCHEMA_LINE = '# yaml-language-server: $schema=budgets.schema.json\n';

const YAML: Writer = {
  head: (scope) => `${SCHEMA_LINE}version: ${VERSION}\n${scope === undefined ? '' : `scope: [${quote(scope)}]\n`}`,
  section: (name) => `${name}:\n`,
  session(key, {fields, problems}) {
    const values = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
    const comment = problems.map((problem) => `  # ${showText(problem)}\n`).join('');
    const name = writeKey(key);
    // YAML requires a mark before a longer key.
    const colon = name.length > MOST_OF_KEY ? `? ${name}\n  ` : name;
    return `${comment}  ${colon}: {${values.join(', ')}}\n`;
  },
  endSection: '',
  end: '',
};

const JSON_WRITER: Writer = {
  head: (scope) => `{\n  "version": ${VERSION}${scope === undefined ? '' : `,\n  "scope": [${quote(scope)}]`}`,
  section: (name) => `,\n  "${name}": {`,
  session(key, {fields}, isFirst) {
    const values = Object.entries(fields).map(
      ([name, value]) => `"${name}": ${NUMBERS.has(name) ? value : quote(value)}`,
    );
    return `${isFirst ? '' : ','}\n    ${quote(key)}: {${values.join(', ')}}`;
  },
  endSection: '\n  }',
  end: '\n}\n',
};

const NUMBERS = new Set<string>(['budget', 'amount', 'max-rollover'] satisfies FieldName[]);
const MOST_OF_KEY = 1000;

/** Writes a file, piece by piece: the sessions in the given order, those whose ID is not text last. */
export async function* writeBudgets(
  sessions: AsyncIterable<readonly WrittenSession[]>,
  {format, scope}: {format: (typeof FILE_FORMATS)[number]; scope?: string | undefined},
): AsyncGenerator<string> {
  const writer = format === 'yaml' ? YAML : JSON_WRITER;
  yield writer.head(scope);
  const others: [hex: string, session: WrittenSession][] = [];
  let isFirst = true;
  for await (const page of sessions) {
    let text = '';
    for (const session of page) {
      const hex = hexOf(session.id);
      if (hex !== undefined) {
        others.push([hex, session]);
        continue;
      }
      text += (isFirst ? writer.section('sessions') : '') + writer.session(nameOf(session.id), session, isFirst);
      isFirst = false;
    }
    yield text;
  }
  if (!isFirst) yield writer.endSection;
  for (const [index, [hex, session]] of others.entries()) {
    yield (index === 0 ? writer.section('id_hex') : '') + writer.session(hex, session, index === 0);
  }
  if (others.length > 0) yield writer.endSection;
  yield writer.end;
}

/** Words that other readers might not take for texts. The file's own reader does. */
const AMBIGUOUS = /^(?:[-+.]?\d[\d.,_:e+-]*|0[xob][\da-f_]*|[\d-]+t[\d:.]+z?|true|false|yes|no|on|off|y|n|null)$/i;
const PLAIN = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_./@+-]|:(?=[\p{L}\p{N}_./@+-]))*$/u;

function writeKey(key: string): string {
  return PLAIN.test(key) && !AMBIGUOUS.test(key) ? key : quote(key);
}

/** JSON that is harmless when printed; YAML reads it as the same text. */
function quote(text: string): string {
  return escapeJson(JSON.stringify(text));
}
