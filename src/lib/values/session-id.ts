import {isUtf8} from 'node:buffer';

import {TokengateError} from './errors.js';
import {decodeUtf8} from './utf8.js';

/**
 * A session ID as the bytes that stand in Redis, one character a byte: small in memory, exact for names that are not
 * UTF-8, and sorted in the order of the bytes, which is the order of the code points.
 */
export type RawId = string & {readonly [bytes]: true};
declare const bytes: unique symbol;

/**
 * An ID is any text but none, exactly as the API client sent it.
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

/** Takes text for the bytes of an ID, one character a byte. */
export function rawId(latin1: string): RawId {
  return latin1 as RawId;
}

/** What an ID is called: its text, with each byte that is not part of any as `\xNN`. */
export function nameOf(id: RawId): string {
  if (isAscii(id)) return id;
  return decodeUtf8(Buffer.from(id, 'latin1'), (byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
}

export function sessionNotFound(id: RawId, more = ''): TokengateError {
  return new TokengateError('SESSION_NOT_FOUND', `Session '${nameOf(id)}' not found.${more}`, {
    hint: 'IDs are compared exactly. See them all with: tokengate list-sessions',
  });
}

/** False for a name that is not UTF-8, which the gateway never writes. */
export function isText(id: RawId): boolean {
  return isAscii(id) || isUtf8(Buffer.from(id, 'latin1'));
}

/** Bytes as pairs of digits. */
export const HEX = /^(?:[\da-f]{2})+$/;

/** The bytes of an ID that is no UTF-8 text, and whose name could be that of another; undefined for a text. */
export function hexOf(id: RawId): string | undefined {
  return isText(id) ? undefined : Buffer.from(id, 'latin1').toString('hex');
}

/** The ID whose bytes are written so, as `hexOf` does; undefined for what is no such text. */
export function idOfHex(hex: unknown): RawId | undefined {
  return typeof hex === 'string' && HEX.test(hex) ? rawId(Buffer.from(hex, 'hex').toString('latin1')) : undefined;
}

/** What the gateway stores of an ID that stood in an `X-Session-ID` header: it reads the bytes there as Latin-1. */
export function asHeaderGives(id: RawId): RawId {
  return isAscii(id) ? id : rawId(Buffer.from(id).toString('latin1'));
}

/** The ID that a client sent in the header, of one that the gateway has stored so; undefined for any other. */
export function sentInHeader(id: RawId): RawId | undefined {
  if (isAscii(id) || !isText(id)) return undefined;
  const sent = rawId(Buffer.from(id, 'latin1').toString());
  return isText(sent) && asHeaderGives(sent) === id ? sent : undefined;
}

export function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- that is what ASCII is
  return /^[\x00-\x7f]*$/.test(text);
}
