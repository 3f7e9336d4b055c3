import {isUtf8} from 'node:buffer';

import {TokengateError} from '../lib/errors.js';
import {parseSessionId, type RawId} from '../lib/ids.js';
import {stringifyJson} from './json.js';

/**
 * One ID a line, or ended by NUL. An ID that a line cannot hold, or that could be taken for a line of JSON, is written
 * as JSON, so that `readIds` reads back exactly what was written.
 */
export function writeIdLine(id: string, nul: boolean): string {
  if (nul) return `${id}\0`;
  return /^\{|[\n\r]/.test(id) ? `${stringifyJson({session_id: id})}\n` : `${id}\n`;
}

/**
 * Reads IDs: one a line, or a line of JSON such as `list-sessions --format ndjson` prints; separated by NUL each is
 * taken as it stands.
 *
 * @throws TokengateError INVALID_SESSION_ID
 */
export function readIds(input: Buffer, nul: boolean): RawId[] {
  if (!isUtf8(input)) throw new TokengateError('INVALID_SESSION_ID', 'The IDs on stdin are not UTF-8 text.');
  const text = input.toString();
  if (nul) return text.split('\0').filter(isNotEmpty).map(parseSessionId);
  return text
    .split('\n')
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
    .filter(isNotEmpty)
    .map((line) => parseSessionId(idInJson(line) ?? line));
}

function idInJson(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const {session_id: id} = JSON.parse(line) as {session_id?: unknown};
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

function isNotEmpty(text: string): boolean {
  return text !== '';
}
