import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {keyOf, SPENT_KEYS} from '../../../../src/lib/gateway/keys.js';
import {
  isAscii,
  isText,
  nameOf,
  parseSessionId,
  rawId,
  sessionNotFound,
} from '../../../../src/lib/values/session-id.js';

describe('a session ID', () => {
  test('is any text, and its name is that text', () => {
    fc.assert(
      fc.property(fc.string({unit: 'grapheme', minLength: 1}), (text) => {
        const id = parseSessionId(text);
        expect(nameOf(id)).toBe(text);
        expect(isText(id)).toBe(true);
        expect(Buffer.from(id, 'latin1').equals(Buffer.from(text))).toBe(true);
        expect(String(keyOf(SPENT_KEYS, id))).toBe(`session:${text}:spent`);
      }),
    );
  });

  test.each(['', '\ud800', 'a\udc00b'])('is not %j', (text) => {
    expect(() => parseSessionId(text)).toThrow(expect.objectContaining({code: 'INVALID_SESSION_ID'}));
  });

  test.each([
    ['61ff62', 'a\\xffb'],
    ['ff', '\\xff'],
    ['c3', '\\xc3'],
    ['c3c3bc', '\\xc3ü'],
    ['e282', '\\xe2\\x82'],
    ['e282ace282', '€\\xe2\\x82'],
    ['f09f9880ff', '😀\\xff'],
    ['000aff', '\u0000\n\\xff'],
    ['eda080', '\\xed\\xa0\\x80'],
  ])('that is not UTF-8 (%s) is called %s', (hex, name) => {
    const id = rawId(Buffer.from(hex, 'hex').toString('latin1'));
    expect(nameOf(id)).toBe(name);
    expect(isText(id)).toBe(false);
    expect(keyOf(SPENT_KEYS, id)).toEqual(
      Buffer.concat([Buffer.from('session:'), Buffer.from(hex, 'hex'), Buffer.from(':spent')]),
    );
  });

  test('that is not found is named, with what more there is to say', () => {
    expect(sessionNotFound(parseSessionId('ü'))).toMatchObject({
      code: 'SESSION_NOT_FOUND',
      message: "Session 'ü' not found.",
    });
    expect(sessionNotFound(parseSessionId('a'), ' But …').message).toBe("Session 'a' not found. But …");
  });
});

test.each([
  ['', true],
  ['a\u0000\u007f\n', true],
  ['a\u0080', false],
  ['üa', false],
])('%j is ASCII: %s', (text, is) => {
  expect(isAscii(text)).toBe(is);
});
