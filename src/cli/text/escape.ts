/**
 * Characters that must not reach a terminal: control characters, line and paragraph separators, format characters
 * (including bidi controls), invisible ones (`DI`: blank fillers, variation selectors, tags), and unpaired surrogates.
 * Made on demand, since V8 reads a table of Unicode for it, and most starts don't need it.
 */
const unsafe = (): RegExp => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{DI}]/gu;
/** Nothing unsafe: ASCII, letters up to U+034E, and the signs of our own messages. */
const PLAIN = /^[\x20-\x7e\u00a0-\u00ac\u00ae-\u034e…→✓✗]*$/;
const NAMED: Record<string, string> = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};

/**
 * Makes untrusted text safe for one line of a terminal: unsafe characters become visible, such as `\x1b` or `\u202e`.
 */
export function showText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(unsafe(), (character) => NAMED[character] ?? escapeCodePoint(character));
}

/** Maximum characters of somebody else's text in a cell, or in a message that is not for a terminal. */
const LONGEST = 120;
/** Maximum characters of a message: more than any has whose quoted texts are truncated. */
const LONGEST_MESSAGE = 1000;

/** How much to show of somebody else's text, such as an ID: the width of a terminal. */
export function roomOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY && stream.columns > 0 ? stream.columns : LONGEST;
}

/**
 * Like `showText`, in at most this many characters: `…` replaces the middle, since IDs differ at their ends. Time and
 * memory depend on what is shown, not on the text: API clients choose IDs, and may send a megabyte.
 */
export function showCut(text: string, length = LONGEST): string {
  if (text.length <= length && PLAIN.test(text)) return text;
  const most = 2 * length;
  if (text.length <= most) {
    const shown = showText(text);
    if (shown.length <= length || Array.from(shown).length <= length) return shown;
  }
  // The far end of a piece may be half a character; it is outside the part that is shown.
  const head = Array.from(showText(text.slice(0, most))).slice(0, Math.ceil((length - 1) / 2));
  const tail = Array.from(showText(text.slice(-most)));
  return `${head.join('')}…${tail.slice(tail.length - Math.floor((length - 1) / 2)).join('')}`;
}

/**
 * Makes untrusted text safe for a message of one line, and truncates each text in it that is in quotes or parentheses.
 */
export function showMessage(message: string, length = LONGEST): string {
  if (message.length <= length) return showText(message);
  let shown = '';
  let start = 0;
  for (const [opening, end] of quoted(message)) {
    if (end - opening <= length) continue;
    shown += message.slice(start, opening) + showCut(message.slice(opening, end), length);
    start = end;
  }
  // A reason.
  const short = (shown + message.slice(start)).replace(/\(([^()']*)\)/g, (all, inner: string) =>
    inner.length > length ? `(${showCut(inner, length)})` : all,
  );
  return showCut(short, LONGEST_MESSAGE);
}

/** Where quotes open and close; an apostrophe does neither. Looks at each character once. */
function* quoted(text: string): Generator<[start: number, end: number]> {
  const opening = /(?<=^|[\s(=])'/g;
  const closing = /'(?=[\s.,:;)?!]|$)/g;
  while (opening.test(text)) {
    const start = opening.lastIndex;
    closing.lastIndex = start;
    if (!closing.test(text)) return;
    opening.lastIndex = closing.lastIndex;
    yield [start, closing.lastIndex - 1];
  }
}

/** True for most text: `showText` changes nothing of it. */
export function isPlainText(text: string): boolean {
  return PLAIN.test(text);
}

export function isSafeText(text: string): boolean {
  return showText(text) === text;
}

/** JSON text with the same characters escaped: exact when parsed, harmless when printed. */
export function escapeJson(json: string): string {
  if (PLAIN.test(json)) return json;
  return json.replace(unsafe(), (character) =>
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
