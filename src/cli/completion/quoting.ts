import type {Quote} from './command-line.js';

/** Characters that bash takes literally without quotes, including everything above ASCII. */
const PLAIN = /^[\w./,:=@%+\u0080-\u{10ffff}-]$/u;

/**
 * Quotes words for bash, so that no ID is split, expanded or run. Inside an open quote it uses that one. Otherwise it
 * escapes with backslashes like bash itself, or uses single quotes where the words' common prefix would end inside an
 * escape.
 *
 * @param before the text before each word; the word's first character is then not at the beginning
 */
export function quoteForBash(words: readonly string[], quote: Quote, before: string): string[] {
  // bash closes the quote after a single candidate, except where the candidate ends in that quote.
  const close = words.length === 1 ? quote.slice(-1) : '';
  switch (quote) {
    case "'":
      return words.map((word) => `${word.replaceAll("'", String.raw`'\''`)}${close}`);
    case "$'":
      return words.map((word) => `${word.replace(/['\\]/g, '\\$&')}${close}`);
    case '"':
      // bash expands history in double quotes too, and keeps the backslash before ! there.
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

/** Single quotes where needed. PowerShell treats typographic quotes as quotes. */
export function quoteForPowerShell(word: string): string {
  if (/^(?:--)?[\w./\\:][\w./\\:=+%-]*$/.test(word)) return word;
  return `'${word.replace(/['\u2018-\u201b]/g, '$&$&')}'`;
}
