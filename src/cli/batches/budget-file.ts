import {type FieldName, VERSION} from '../../lib/budget-files/fields.js';
import type {WrittenSession} from '../../lib/budget-files/written.js';
import {hexOf, nameOf} from '../../lib/values/session-id.js';
import {escapeJson, showText} from '../text/escape.js';

export const FILE_FORMATS = ['yaml', 'json'] as const;

/** What a file begins with, is made of, and ends with. */
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
    // YAML takes no longer key without a mark.
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

/** Writes a file, piece by piece: sessions in the order in which they come, those whose ID is no text after the others. */
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

/** What readers with other rules would not take for a text; the file itself is read without them. */
const AMBIGUOUS = /^(?:[-+.]?\d[\d.,_:e+-]*|0[xob][\da-f_]*|[\d-]+t[\d:.]+z?|true|false|yes|no|on|off|y|n|null)$/i;
const PLAIN = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_./@+-]|:(?=[\p{L}\p{N}_./@+-]))*$/u;

function writeKey(key: string): string {
  return PLAIN.test(key) && !AMBIGUOUS.test(key) ? key : quote(key);
}

/** JSON, harmless when printed; YAML reads it as the same. */
function quote(text: string): string {
  return escapeJson(JSON.stringify(text));
}
