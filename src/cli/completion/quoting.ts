import type {Quote} from './command-line.js';

/** What bash takes literally when it is not quoted; anything above ASCII too. */
const PLAIN = /^[\w./,:=@%+\u0080-\u{10ffff}-]$/u;

/**
 * Writes words for bash in the quotes that are open. In none, with backslashes, as bash itself would, unless what the
 * words have in common would then end in the middle of an escape: in single quotes it can't.
 *
 * @param before what stands before each of them: nothing is at its beginning then
 */
export function quoteForBash(words: readonly string[], quote: Quote, before: string): string[] {
  // bash closes the quote of the only candidate, but not where it ends in the same character.
  const close = words.length === 1 ? quote.slice(-1) : '';
  switch (quote) {
    case "'":
      return words.map((word) => `${word.replaceAll("'", String.raw`'\''`)}${close}`);
    case "$'":
      return words.map((word) => `${word.replace(/['\\]/g, '\\$&')}${close}`);
    case '"':
      // bash looks for its history in double quotes too, where a backslash before ! stays.
      return words.map((word) => `${word.replace(/["$`\\]/g, '\\$&').replaceAll('!', String.raw`"\!"`)}${close}`);
    default: {
      const escaped = words.map((word) => escapeForBash(word, before));
      if (words.length < 2 || !/(?<!\\)(\\\\)*\\$/.test(commonPrefix(escaped))) return escaped;
      return words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`);
    }
  }
}

function escapeForBash(word: string, before: string): string {
  return Array.from(word, (character, index) => {
    const isFirst = index === 0 && before === '';
    return PLAIN.test(character) && !(isFirst && character === '=') ? character : `\\${character}`;
  }).join('');
}

function commonPrefix(words: readonly string[]): string {
  const sorted = [...words].sort();
  const [first = '', last = ''] = [sorted[0], sorted.at(-1)];
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  return first.slice(0, length);
}

/** In single quotes unless it needs none; PowerShell takes typographic quotes for quotes. */
export function quoteForPowerShell(word: string): string {
  if (/^(?:--)?[\w./\\:][\w./\\:=+%-]*$/.test(word)) return word;
  return `'${word.replace(/['\u2018-\u201b]/g, '$&$&')}'`;
}
