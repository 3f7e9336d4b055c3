import {toCsvLine} from './csv.js';
import {stringifyJson} from './json.js';

/**
 * A list of documents for scripts, piece by piece. Null is an empty cell in CSV.
 *
 * @param fields the fields of the documents in order, which are the header of CSV
 * @param isTerminal makes CSV safe to show instead of exact; JSON always is
 */
export function* renderDocuments(
  documents: readonly object[],
  format: 'json' | 'ndjson' | 'csv',
  {fields = [], isTerminal = false}: {fields?: readonly string[]; isTerminal?: boolean} = {},
): Generator<string> {
  if (format === 'json') {
    yield `${stringifyJson(documents, '  ')}\n`;
    return;
  }
  if (format === 'csv') yield `${fields.join(',')}\n`;
  for (const one of documents) {
    yield format === 'ndjson' ? `${stringifyJson(one)}\n` : toCsvLine(Object.values(one), {isTerminal});
  }
}
