import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {showCut, showMessage, showText} from '../../../../src/cli/text/escape.js';
import {stringifyJson} from '../../../../src/cli/text/json.js';
import {anyCharacter} from '../../../support/fuzz.js';

/** Written apart from what is tested: what a terminal, or a reader of one, could be fooled by. */
const DANGEROUS = /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/u; // eslint-disable-line no-control-regex
const anyText = fc.string({unit: anyCharacter});

describe('untrusted text', () => {
  test.each([
    ['plain text, Ω équipe 日本 👍', 'plain text, Ω équipe 日本 👍'],
    ['evil\u001b[31mred', 'evil\\x1b[31mred'],
    ['line\nbreak\r\ttab', 'line\\nbreak\\r\\ttab'],
    ['\u009b31m', '\\x9b31m'],
    ['user\u202etxt.exe', 'user\\u202etxt.exe'],
    ['a\u2066b\u200bc\ufeff', 'a\\u2066b\\u200bc\\ufeff'],
    ['\u2028', '\\u2028'],
    ['\ud800', '\\ud800'],
    ['\u{e0041}', '\\u{e0041}'],
    ['\u3164\u115f', '\\u3164\\u115f'],
    ['a\u{e0102}\ufe0f\u034f', 'a\\u{e0102}\\ufe0f\\u034f'],
    ['\u{e0002}\u2065', '\\u{e0002}\\u2065'],
    ['\0', '\\x00'],
  ])('%j is shown as %s', (text, shown) => {
    expect(showText(text)).toBe(shown);
  });

  test('nothing that acts on a terminal is left of any text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = showText(text);
        return !DANGEROUS.test(shown) && shown.isWellFormed();
      }),
    );
  });
});

/** JSON has no -0. */
const withoutMinusZero = fc
  .jsonValue({stringUnit: anyCharacter})
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

describe('JSON', () => {
  test('parses back to the same value and holds nothing that acts on a terminal', () => {
    fc.assert(
      fc.property(withoutMinusZero, (value) => {
        const text = stringifyJson(value);
        expect(text).not.toMatch(DANGEROUS);
        expect(JSON.parse(text)).toEqual(value);
        expect(JSON.parse(stringifyJson(value, '  '))).toEqual(value);
      }),
    );
  });

  test('is laid out as JSON.stringify does it', () => {
    const value = {a: [1, 'x', {b: null}], c: {}, d: [], e: true};
    expect(stringifyJson(value, '  ')).toBe(JSON.stringify(value, null, 2));
    expect(stringifyJson(value)).toBe(JSON.stringify(value));
  });

  test('stands indented in what it is part of', () => {
    const value = {a: [1, {b: 2}]};
    expect(`[\n  ${stringifyJson(value, '  ', '  ')}\n]`).toBe(JSON.stringify([value], null, 2));
  });
});

describe('a text that is cut', () => {
  test.each([
    ['short', 10, 'short'],
    ['0123456789', 10, '0123456789'],
    ['0123456789a', 10, '01234…789a'],
    ['👍'.repeat(11), 10, `${'👍'.repeat(5)}…${'👍'.repeat(4)}`],
    [`${'👍'.repeat(30)}x`, 4, '👍👍…x'],
    ['\n'.repeat(10), 8, '\\n\\n…n\\n'],
  ])('%j in %i characters is %s', (text, length, shown) => {
    expect(showCut(text, length)).toBe(shown);
  });

  test('is as long as it may be, whole where it fits, and safe', () => {
    fc.assert(
      fc.property(fc.string({unit: anyCharacter, maxLength: 60}), fc.integer({min: 1, max: 40}), (text, length) => {
        const [whole, shown] = [showText(text), showCut(text, length)];
        const characters = Array.from(whole).length;
        if (characters <= length && text.length <= 2 * length) expect(shown).toBe(whole);
        else expect(Array.from(shown)).toHaveLength(length);
        expect(showText(shown)).toBe(shown);
      }),
    );
  });
});

describe('a message', () => {
  const long = 'x'.repeat(500);
  const cut = `${'x'.repeat(60)}…${'x'.repeat(59)}`;
  test.each([
    [`Session '${long}' not found.`, `Session '${cut}' not found.`],
    [`It's '${long}', and the users' '${long}'`, `It's '${cut}', and the users' '${cut}'`],
    [`Frozen until then (${long})`, `Frozen until then (${cut})`],
    [
      `The gateway's default. ${'A word '.repeat(40)}isn't cut.`,
      `The gateway's default. ${'A word '.repeat(40)}isn't cut.`,
    ],
    [`Left out: '${'a'.repeat(100)}', '${'b'.repeat(100)}'.`, `Left out: '${'a'.repeat(100)}', '${'b'.repeat(100)}'.`],
  ])('%s', (message, shown) => {
    expect(showMessage(message)).toBe(shown);
  });

  test.each(["'", " '", "' ", '(', ')', "('", '\u202e', 'x'])('of a million %j is short, and soon there', (text) => {
    const began = performance.now();
    expect(showMessage(`Session '${text.repeat(1_000_000)}' not found.`).length).toBeLessThan(1001);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});
