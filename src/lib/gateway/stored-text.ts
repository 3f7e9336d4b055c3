import {decodeUtf8} from '../values/utf8.js';

/**
 * Decodes bytes to text. A byte that is not UTF-8 becomes half a surrogate pair, as with Python's `surrogateescape`, so
 * that a text is well formed only if it was UTF-8. The gateway reads all keys as text, and fails on any other.
 */
export function decodeText(bytes: Buffer): string {
  return decodeUtf8(bytes, (byte) => String.fromCharCode(0xdc00 + byte));
}

/** The problem of a key that does not hold a string. */
export const WRONG_TYPE = 'of a wrong Redis type';

/** The problem of a string that the gateway can't decode. */
export const NOT_UTF8 = 'not UTF-8';

/** The text in quotes, cut if it is long; a byte that is not UTF-8 as `\xNN`. */
export function quoteStart(text: string): string {
  const start = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  const shown = start.replace(/\p{Cs}/gu, (half) => {
    const byte = half.charCodeAt(0) - 0xdc00;
    return byte >= 0x80 && byte <= 0xff ? `\\x${byte.toString(16)}` : '';
  });
  return `'${shown}'`;
}
