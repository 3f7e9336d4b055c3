import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {showText} from '../../../../src/cli/terminal/escape.js';
import {stringifyJson} from '../../../../src/cli/terminal/json.js';

/** Written apart from what is tested: what a terminal, or a reader of one, could be fooled by. */
const DANGEROUS = /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/u; // eslint-disable-line no-control-regex
const anyText = fc.string({unit: 'binary'});

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
  .jsonValue({stringUnit: 'binary'})
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
