import {isUtf8} from 'node:buffer';

import {TokengateError} from './errors.js';
import {decodeUtf8} from './utf8.js';

/**
 * A session ID as its bytes in Redis, one character a byte: small in memory, exact even when it is not UTF-8, and
 * sorted by its bytes, which is the order of its code points.
 */
export type RawId = string & {readonly [bytes]: true};
declare const bytes: unique symbol;

/**
 * Reads an ID: any text that is not empty, exactly as the API client sent it.
 *
 * @throws TokengateError INVALID_SESSION_ID
 */
export function parseSessionId(text: string): RawId {
  if (text === '') throw new TokengateError('INVALID_SESSION_ID', 'The session ID is empty.');
  if (!text.isWellFormed()) {
    throw new TokengateError('INVALID_SESSION_ID', `The session ID '${text}' is not valid Unicode text.`);
  }
  return rawId(isAscii(text) ? text : Buffer.from(text).toString('latin1'));
}

/** Treats text as the bytes of an ID, one character a byte. */
export function rawId(latin1: string): RawId {
  return latin1 as RawId;
}

/** The name to show for an ID: its text, with each byte that is not UTF-8 as `\xNN`. */
export function nameOf(id: RawId): string {
  if (isAscii(id)) return id;
  return decodeUtf8(Buffer.from(id, 'latin1'), (byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
}

export function sessionNotFound(id: RawId, more = ''): TokengateError {
  return new TokengateError('SESSION_NOT_FOUND', `Session '${nameOf(id)}' not found.${more}`, {
    hint: 'IDs are compared exactly. See them all with: tokengate list-sessions',
  });
}

/** False for an ID that is not UTF-8; the gateway never writes one. */
export function isText(id: RawId): boolean {
  return isAscii(id) || isUtf8(Buffer.from(id, 'latin1'));
}

/** Bytes as pairs of digits. */
export const HEX = /^(?:[\da-f]{2})+$/;

/** The bytes of an ID that is not UTF-8, whose name may be another ID's name as well; undefined for a text. */
export function hexOf(id: RawId): string | undefined {
  return isText(id) ? undefined : Buffer.from(id, 'latin1').toString('hex');
}

/** The ID with these bytes, as `hexOf` writes them; undefined for any other value. */
export function idOfHex(hex: unknown): RawId | undefined {
  return typeof hex === 'string' && HEX.test(hex) ? rawId(Buffer.from(hex, 'hex').toString('latin1')) : undefined;
}

/**
 * The ID that the gateway stores for an `X-Session-ID` header with this ID: it decodes the header's bytes as Latin-1.
 */
export function asHeaderGives(id: RawId): RawId {
  return isAscii(id) ? id : rawId(Buffer.from(id).toString('latin1'));
}

/** The reverse: the ID that a client put into the header; undefined for an ID that no header gives. */
export function sentInHeader(id: RawId): RawId | undefined {
  if (isAscii(id) || !isText(id)) return undefined;
  const sent = rawId(Buffer.from(id, 'latin1').toString());
  return isText(sent) && asHeaderGives(sent) === id ? sent : undefined;
}

export function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- that is what ASCII is
  return /^[\x00-\x7f]*$/.test(text);
}
