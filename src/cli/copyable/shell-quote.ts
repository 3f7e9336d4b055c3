import {isSafeText} from '../text/escape.js';

/**
 * A command line for a POSIX shell in which every word arrives unchanged: no ID can split, expand or run anything. It
 * is one line and safe to show: unprintable characters are left to the shell's `printf`.
 *
 * @returns null when a word holds NUL, which no command line can
 */
export function toCommandLine(words: readonly string[]): string | null {
  if (words.some((word) => word.includes('\0'))) return null;
  const before: string[] = [];
  const quoted = words.map((word) => {
    if (/^[\w@%+:,./-]+$/.test(word)) return word;
    if (isSafeText(word)) return quote(word);
    if (!word.endsWith('\n')) return `"$(printf ${printfFormat(word)})"`;
    // A shell removes trailing line breaks from a command's output.
    const name = `word${before.length + 1}`;
    before.push(`${name}=$(printf ${printfFormat(`${word}.`)}); `);
    return `"\${${name}%.}"`;
  });
  return before.join('') + quoted.join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** In octal, which every `printf` knows. */
function printfFormat(text: string): string {
  const format = Array.from(text, (character) => {
    if (character === '%') return '%%';
    if (character === '\\') return '\\\\';
    if (isSafeText(character)) return character;
    return Array.from(Buffer.from(character), (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  });
  // A format that begins with a dash would be an option.
  return quote(format.join('').replace(/^-/, '\\055'));
}
