import {isUtf8} from 'node:buffer';

import {TokengateError} from '../../lib/values/errors.js';
import {hexOf, idOfHex, nameOf, parseSessionId, type RawId, rawId} from '../../lib/values/session-id.js';
import {stringifyJson} from '../text/json.js';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPENING_BRACE = 0x7b;
/** Some programs put this before UTF-8 text. */
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/**
 * One ID a line, or ended by NUL. An ID that a line cannot hold, or that could be misread, is written as JSON, so that
 * `readIds` returns exactly what was written.
 *
 * @returns undefined for an ID that NUL cannot end: one that holds NUL, or is not text
 */
export function writeIdLine(id: RawId, nul: boolean): string | undefined {
  const name = nameOf(id);
  const hex = hexOf(id);
  if (nul) return hex !== undefined || name.includes('\0') ? undefined : `${name}\0`;
  if (hex !== undefined) return `${stringifyJson({session_id: name, session_id_hex: hex})}\n`;
  return /^[{\ufeff]|[\n\r]/.test(name) ? `${stringifyJson({session_id: name})}\n` : `${name}\n`;
}

/**
 * Reads IDs: one a line, or a JSON line such as `list-sessions --format ndjson` prints; separated by NUL, each is taken
 * literally. A byte order mark before the lines does not belong to the first ID.
 *
 * @throws TokengateError INVALID_SESSION_ID
 */
export function readIds(input: Buffer, nul: boolean): RawId[] {
  if (!isUtf8(input)) throw new TokengateError('INVALID_SESSION_ID', 'The IDs on stdin are not UTF-8 text.');
  const ids: RawId[] = [];
  const separator = nul ? 0 : LINE_FEED;
  const isMarked = !nul && input.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
  for (let start = isMarked ? BYTE_ORDER_MARK.length : 0, end; start < input.length; start = end + 1) {
    end = input.indexOf(separator, start);
    if (end === -1) end = input.length;
    const stop = !nul && end > start && input[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    if (stop === start) continue;
    const id = !nul && input[start] === OPENING_BRACE ? idInJson(input.toString('utf8', start, stop)) : undefined;
    // Cut out as bytes: comparing a piece of one long text is slow.
    ids.push(id ?? rawId(input.toString('latin1', start, stop)));
  }
  return ids;
}

function idInJson(line: string): RawId | undefined {
  let value: {session_id?: unknown; session_id_hex?: unknown};
  try {
    value = JSON.parse(line) as typeof value;
  } catch {
    return undefined;
  }
  const {session_id: id, session_id_hex: hex} = value;
  return idOfHex(hex) ?? (typeof id === 'string' ? parseSessionId(id) : undefined);
}
