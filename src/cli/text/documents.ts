import {Decimal} from '../../lib/values/decimal.js';
import {toPlainDigits} from '../../lib/values/money.js';
import {toCsvCell} from './csv.js';
import {stringifyJson} from './json.js';

/**
 * A list of documents for programs, piece by piece. A cell of CSV is empty for null.
 *
 * @param fields the header of CSV: their fields in their order
 * @param isTerminal makes text that is otherwise exact safe to show in CSV; JSON always is
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
