/**
 * What must not reach a terminal as it is: control characters, line and paragraph separators, format characters (bidi
 * controls among them), what shows nothing (`DI`: blank fillers, selectors of variants, tags), unpaired surrogates. Made
 * when it is asked for, since a table of Unicode is read for it, which most starts have no use for.
 */
const unsafe = (): RegExp => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{DI}]/gu;
const PLAIN = /^[\x20-\x7e]*$/;
const NAMED: Record<string, string> = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};

/** Untrusted text for one line of a terminal: what is unsafe stands there visibly, such as `\x1b` or `\u202e`. */
export function showText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(unsafe(), (character) => NAMED[character] ?? escapeCodePoint(character));
}

/** How many characters of a text that others chose stand in a cell or a message that is no terminal's. */
const LONGEST = 120;
/** How many characters of a message are shown: more than any has whose quoted texts are cut. */
const LONGEST_MESSAGE = 1000;

/** How much is shown of a text that others chose, such as an ID: a terminal's width. */
export function roomOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY && stream.columns > 0 ? stream.columns : LONGEST;
}

/**
 * As `showText`, in at most so many characters: `…` stands for the middle, since IDs differ at their ends. Takes time
 * and memory for what is shown, not for the whole: API clients choose IDs, and may send a megabyte.
 */
export function showCut(text: string, length = LONGEST): string {
  if (text.length <= length && PLAIN.test(text)) return text;
  const most = 2 * length;
  if (text.length <= most) {
    const shown = showText(text);
    if (shown.length <= length || Array.from(shown).length <= length) return shown;
  }
  // At the far end of a piece stands half a character, maybe: it is beyond what is taken.
  const head = Array.from(showText(text.slice(0, most))).slice(0, Math.ceil((length - 1) / 2));
  const tail = Array.from(showText(text.slice(-most)));
  return `${head.join('')}…${tail.slice(tail.length - Math.floor((length - 1) / 2)).join('')}`;
}

/** Untrusted text for a message of one line: each text in it that stands in quotes or parentheses is cut. */
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
