/**
 * What must not reach a terminal as it is: control characters, line and paragraph separators, format characters (bidi
 * controls among them), what shows nothing (`DI`: blank fillers, selectors of variants, tags), unpaired surrogates.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{DI}]/gu;
const PLAIN = /^[\x20-\x7e]*$/;
const NAMED: Record<string, string> = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};

/** Untrusted text for one line of a terminal: what is unsafe stands there visibly, such as `\x1b` or `\u202e`. */
export function showText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(UNSAFE, (character) => NAMED[character] ?? escapeCodePoint(character));
}

export function isSafeText(text: string): boolean {
  return showText(text) === text;
}

/** JSON text with the same characters escaped: exact when parsed, harmless when printed. */
export function escapeJson(json: string): string {
  if (PLAIN.test(json)) return json;
  return json.replace(UNSAFE, (character) =>
    character === '\n'
      ? character
      : Array.from({length: character.length}, (_, index) => unicodeEscape(character.charCodeAt(index))).join(''),
  );
}

function escapeCodePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? unicodeEscape(code) : `\\u{${code.toString(16)}}`;
}

function unicodeEscape(codeUnit: number): string {
  return `\\u${codeUnit.toString(16).padStart(4, '0')}`;
}
