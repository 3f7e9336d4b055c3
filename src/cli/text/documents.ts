import {Decimal} from '../../lib/values/decimal.js';
import {toPlainDigits} from '../../lib/values/money.js';
import {toCsvCell} from './csv.js';
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
    yield format === 'ndjson'
      ? `${stringifyJson(one)}\n`
      : `${Object.values(one)
          .map((value) => toCell(value, isTerminal))
          .join(',')}\n`;
  }
}

function toCell(value: unknown, isTerminal: boolean): string {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Decimal) return toPlainDigits(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? toCsvCell(value, {isTerminal}) : '';
}
