import {execFileSync} from 'node:child_process';

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {toCommandLine} from '../../../../src/cli/copyable/shell-quote.js';
import {showText} from '../../../../src/cli/text/escape.js';
import {anyCharacter} from '../../../support/fuzz.js';

/** What a shell hands to commands, word by word. */
function wordsOf(lines: readonly string[]): string[] {
  const script = lines.map((line) => line.replace(/(^|; )show /, `$1printf '%s\\0' `)).join('\n');
  return execFileSync('sh', ['-c', script], {encoding: 'utf8'}).split('\0').slice(0, -1);
}

describe('a command line', () => {
  test.each([
    ['my-workflow', 'show my-workflow'],
    ['user 42', "show 'user 42'"],
    ["it's", `show 'it'\\''s'`],
    ['$HOME `id` "x"', `show '$HOME \`id\` "x"'`],
    ['équipe-Ω', "show 'équipe-Ω'"],
    ['', "show ''"],
    ['~root', "show '~root'"],
    ['=ls', "show '=ls'"],
    ['evil\u001b[31m', `show "$(printf 'evil\\033[31m')"`],
    ['-\u202e100%\\', `show "$(printf '\\055\\342\\200\\256100%%\\\\')"`],
    ['line\nbreak', `show "$(printf 'line\\012break')"`],
    ['end\n\n', `word1=$(printf 'end\\012\\012.'); show "\${word1%.}"`],
  ])('holds %j', (word, line) => {
    expect(toCommandLine(['show', word])).toBe(line);
    expect(wordsOf([line])).toEqual([word]);
  });

  test('brings any words to a command as they are, and is safe to show', () => {
    const text = fc.oneof(
      fc.string({unit: anyCharacter, minLength: 1}).filter((word) => !word.includes('\0')),
      fc.string({unit: fc.constantFrom('\n', "'", '"', '\\', '%', '$', '-', '`', '\u001b', '\u202e', '{', 'a', 'é')}),
    );
    const commands = fc.sample(fc.array(text, {minLength: 1, maxLength: 5}), 200);
    const lines = commands.map((words) => toCommandLine(['show', ...words]) ?? '');
    for (const line of lines) expect(showText(line)).toBe(line);
    expect(wordsOf(lines)).toEqual(commands.flat());
  });

  test('is none for a word that holds NUL', () => {
    expect(toCommandLine(['show', 'a\0b'])).toBeNull();
  });
});
