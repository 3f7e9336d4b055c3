import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {readIds, writeIdLine} from '../../../../src/cli/views/id-lines.js';
import {type RawId, rawId} from '../../../../src/lib/values/session-id.js';
import {anyCharacter} from '../../../support/fuzz.js';

const raw = (...ids: string[]): RawId[] => ids.map((id) => rawId(Buffer.from(id).toString('latin1')));
const read = (text: string): RawId[] => readIds(Buffer.from(text), false);

/** IDs that a line or its reader could mistake for something else. */
const oddId = fc.oneof(
  fc.string({unit: anyCharacter, minLength: 1}),
  fc.string({unit: 'grapheme', minLength: 1}),
  fc.stringMatching(/^[{}"\\\r\n :,a[\]-]{1,12}$/),
  fc.string({minLength: 1}).map((id) => JSON.stringify({session_id: id})),
  fc.constantFrom('{"session_id":"victim"}', '{', '{}', '\r', '\n', ' ', '-0', '--all', '"', '\ufeffa', 'null', '[1]'),
);

test('any IDs written as lines are read back exactly', () => {
  fc.assert(
    fc.property(fc.array(oddId), (ids) => {
      expect(
        read(
          raw(...ids)
            .map((id) => writeIdLine(id, false))
            .join(''),
        ),
      ).toEqual(raw(...ids));
    }),
    {numRuns: 1000},
  );
});

test('any IDs without NUL are read back exactly when NUL ends each', () => {
  const withoutNul = oddId.filter((id) => !id.includes('\0'));
  fc.assert(
    fc.property(fc.array(withoutNul), (ids) => {
      expect(
        readIds(
          Buffer.from(
            raw(...ids)
              .map((id) => writeIdLine(id, true))
              .join(''),
          ),
          true,
        ),
      ).toEqual(raw(...ids));
    }),
    {numRuns: 1000},
  );
});

test('any bytes written as lines are read back exactly, and are none where NUL would end them', () => {
  const bytes = fc.uint8Array({minLength: 1, maxLength: 5}).map((list) => rawId(Buffer.from(list).toString('latin1')));
  fc.assert(
    fc.property(fc.array(bytes), (ids) => {
      expect(read(ids.map((id) => writeIdLine(id, false)).join(''))).toEqual(ids);
      for (const id of ids) {
        const line = writeIdLine(id, true);
        if (line !== undefined) expect(readIds(Buffer.from(line), true)).toEqual([id]);
      }
    }),
  );
  expect([rawId('a\xff'), rawId('a\0b'), rawId('a')].map((id) => writeIdLine(id, true))).toEqual([
    undefined,
    undefined,
    'a\0',
  ]);
});

describe('lines', () => {
  test.each([
    ['', []],
    ['\n\r\n\n', []],
    ['a', ['a']],
    ['a\nb\n', ['a', 'b']],
    ['a\r\nb\r\n', ['a', 'b']],
    [' a \n', [' a ']],
    ['a\rb\n', ['a\rb']],
    ['{"session_id":"a\\nb","budget":20}\n', ['a\nb']],
    ['{"session_id": 5}\n', ['{"session_id": 5}']],
    ['{"budget":20}\n', ['{"budget":20}']],
    ['{"session_id":"a"\n', ['{"session_id":"a"']],
    ['["a"]\n"b"\nnull\n', ['["a"]', '"b"', 'null']],
    ['{"session_id":"a","session_id_hex":"zz"}\n', ['a']],
    ['{"session_id":"a","session_id_hex":""}\n', ['a']],
    ['{"session_id":"a","session_id_hex":5}\n', ['a']],
  ])('%j is %j', (text, ids) => {
    expect(read(text)).toEqual(raw(...ids));
  });

  test('separated by NUL nothing is JSON, and no line break ends an ID', () => {
    const ids = ['{"session_id":"victim"}', 'a\r\nb', '\n'];
    expect(readIds(Buffer.from(ids.join('\0')), true)).toEqual(raw(...ids));
  });

  test.each([
    [Buffer.from([0x61, 0x0a, 0xff, 0x0a]), 'The IDs on stdin are not UTF-8 text.'],
    [Buffer.from('{"session_id":"\\ud800"}\n'), 'is not valid Unicode text.'],
    [Buffer.from('{"session_id":""}\n'), 'The session ID is empty.'],
  ])('%s is refused', (input, why) => {
    expect(() => readIds(input, false)).toThrow(
      expect.objectContaining({code: 'INVALID_SESSION_ID', message: expect.stringContaining(why)}),
    );
  });
});

test('a byte order mark before the first line is none of its ID, but for IDs that NUL ends', () => {
  const marked = (text: string): Buffer => Buffer.from(`\ufeff${text}`);
  expect(readIds(marked('a\nb\n'), false)).toEqual(readIds(Buffer.from('a\nb\n'), false));
  expect(readIds(marked('{"session_id":"a"}\n'), false)).toEqual(readIds(Buffer.from('a\n'), false));
  expect(readIds(marked(''), false)).toEqual([]);
  expect(readIds(marked('a\0'), true)).toEqual(readIds(Buffer.from('\ufeffa\0'), true));
  expect(readIds(Buffer.from('a\n\ufeffb\n'), false)).toHaveLength(2);
});
