import {describe, expect, test} from 'vitest';

import {edit, type EditedLine, type EditKey, insert, prefilled, textOf} from '../../../../src/cli/watch/line-editor.js';

/** A line as text, with the cursor as `|`. */
const show = ({before, after}: EditedLine): string => `${before}|${after}`;
const at = (text: string): EditedLine => {
  const [before = '', after = ''] = text.split('|');
  return {before, after, isSelected: false};
};

describe('a prefilled value', () => {
  test('is replaced by the first key typed, and only by that', () => {
    expect(textOf(insert(insert(prefilled('1h'), '2'), 'h'))).toBe('2h');
  });

  test.each<[EditKey, string]>([
    ['left', '|one two'],
    ['home', '|one two'],
    ['right', 'one two|'],
    ['end', 'one two|'],
    ['wordLeft', 'one |two'],
    ['erase', '|'],
    ['delete', '|'],
    ['eraseWord', '|'],
    ['eraseBefore', '|'],
    ['eraseAfter', '|'],
  ])('after %s is %s, and is typed into from then on', (key, shown) => {
    const line = edit(prefilled('one two'), key);
    expect(show(line)).toBe(shown);
    expect(show(insert(line, 'x'))).toBe(shown.replace('|', 'x|'));
  });

  test('stays when what is typed shows nothing', () => {
    expect(insert(prefilled('1h'), '\x07')).toEqual(prefilled('1h'));
    expect(prefilled('').isSelected).toBe(false);
  });
});

test.each<[EditKey, before: string, after: string]>([
  ['left', 'ab|c', 'a|bc'],
  ['left', '|abc', '|abc'],
  ['right', 'a|bc', 'ab|c'],
  ['right', 'abc|', 'abc|'],
  ['home', 'ab|c', '|abc'],
  ['end', 'a|bc', 'abc|'],
  ['wordLeft', 'one two  |', 'one |two  '],
  ['wordLeft', '|one', '|one'],
  ['wordRight', 'one| two x', 'one two| x'],
  ['erase', 'ab|c', 'a|c'],
  ['erase', '|abc', '|abc'],
  ['delete', 'a|bc', 'a|c'],
  ['delete', 'abc|', 'abc|'],
  ['eraseWord', 'one two|x', 'one |x'],
  ['eraseWord', 'one two |x', 'one |x'],
  ['eraseBefore', 'one |two', '|two'],
  ['eraseAfter', 'one |two', 'one |'],
  // A character with what combines with it is one, as is a wide one, and one beyond 16 bits.
  ['left', 'e\u0301te\u0301|', 'e\u0301t|e\u0301'],
  ['erase', 'e\u0301te\u0301|', 'e\u0301t|'],
  ['delete', '|e\u0301t', '|t'],
  ['left', '日本|', '日|本'],
  ['erase', '日本|', '日|'],
  ['left', 'x🔥|', 'x|🔥'],
  ['erase', '🔥|', '|'],
])('%s: %s becomes %s', (key, before, after) => {
  expect(show(edit(at(before), key))).toBe(after);
});

test('what is pasted goes in at the cursor: line breaks as spaces, and nothing that a terminal would act on', () => {
  expect(show(insert(at('a|b'), 'one\r\ntwo\tthree'))).toBe('aone two three|b');
  expect(show(insert(at('|'), 'x\x1b[2J\u202ey\x00'))).toBe('x[2Jy|');
});
