import {isUtf8} from 'node:buffer';

import {TokengateError} from '../lib/errors.js';
import {parseSessionId, type RawId, rawId} from '../lib/ids.js';
import {stringifyJson} from './json.js';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPENING_BRACE = 0x7b;

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
  const ids: RawId[] = [];
  const separator = nul ? 0 : LINE_FEED;
  for (let start = 0, end; start < input.length; start = end + 1) {
    end = input.indexOf(separator, start);
    if (end === -1) end = input.length;
    const stop = !nul && end > start && input[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    if (stop === start) continue;
    const id = !nul && input[start] === OPENING_BRACE ? idInJson(input.toString('utf8', start, stop)) : undefined;
    // Cut out as bytes: a piece of one long text is slow to compare.
    ids.push(id === undefined ? rawId(input.toString('latin1', start, stop)) : parseSessionId(id));
  }
  return ids;
}

function idInJson(line: string): string | undefined {
  try {
    const {session_id: id} = JSON.parse(line) as {session_id?: unknown};
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}
