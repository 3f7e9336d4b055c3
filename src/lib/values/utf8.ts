import {isUtf8} from 'node:buffer';

/** Decodes bytes to text, and replaces each byte that is not UTF-8. */
export function decodeUtf8(bytes: Buffer, replace: (byte: number) => string): string {
  if (isUtf8(bytes)) return bytes.toString();
  let text = '';
  for (let start = 0; start < bytes.length;) {
    const length = [1, 2, 3, 4].find((n) => start + n <= bytes.length && isUtf8(bytes.subarray(start, start + n)));
    text += length === undefined ? replace(bytes[start] ?? 0) : bytes.toString('utf8', start, start + length);
    start += length ?? 1;
  }
  return text;
}
