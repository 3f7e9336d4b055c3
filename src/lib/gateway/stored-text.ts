import {decodeUtf8} from '../values/utf8.js';

/**
 * Bytes as text. A byte that is no part of UTF-8 becomes half a surrogate pair, as in Python's `surrogateescape`, so that a
 * text is well formed only if it was UTF-8: on any other the gateway fails, since it reads all keys as text.
 */
export function decodeText(bytes: Buffer): string {
  return decodeUtf8(bytes, (byte) => String.fromCharCode(0xdc00 + byte));
}

/** What Redis keeps as no text. */
export const WRONG_TYPE = 'of a wrong Redis type';

/** What the gateway can't read as text. */
export const NOT_UTF8 = 'not UTF-8';

/** The text in quotes, cut off where it is long; a byte that is no part of UTF-8 as `\xNN`. */
export function quoteStart(text: string): string {
  const start = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  const shown = start.replace(/\p{Cs}/gu, (half) => {
    const byte = half.charCodeAt(0) - 0xdc00;
    return byte >= 0x80 && byte <= 0xff ? `\\x${byte.toString(16)}` : '';
  });
  return `'${shown}'`;
}
