import {Decimal} from '../../lib/values/decimal.js';
import {escapeJson} from './escape.js';

/**
 * JSON in which amounts of money are numbers with all their digits (a JavaScript number would lose some), and no
 * character can act on a terminal. Dates are ISO 8601 in UTC. `outerIndent` is the indentation of the surrounding text.
 */
export function stringifyJson(value: unknown, indent = '', outerIndent = ''): string {
  return write(value, indent === '' ? '' : `\n${outerIndent}`, indent);
}

function write(value: unknown, newline: string, indent: string): string {
  if (value instanceof Decimal) return value.toString();
  if (value === null || typeof value !== 'object') return escapeJson(JSON.stringify(value));
  if (value instanceof Date) return JSON.stringify(value);
  const inner = newline + indent;
  const colon = newline === '' ? ':' : ': ';
  const parts = Array.isArray(value)
    ? value.map((element) => write(element, inner, indent))
    : Object.entries(value).map(
        ([key, field]) => escapeJson(JSON.stringify(key)) + colon + write(field, inner, indent),
      );
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return parts.length === 0 ? `${open}${close}` : `${open}${inner}${parts.join(`,${inner}`)}${newline}${close}`;
}
