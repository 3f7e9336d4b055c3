import fc from 'fast-check';
import {expect, test} from 'vitest';

import {toCsvCell} from '../../../../src/cli/text/csv.js';
import {anyCharacter} from '../../../support/fuzz.js';

test.each([
  ['plain', 'plain,1\n'],
  ['with, comma', '"with, comma",1\n'],
  ['say "hi"', '"say ""hi""",1\n'],
  ['line\nbreak', '"line\nbreak",1\n'],
  ['=1+1', "'=1+1,1\n"],
  ['-leading-dash', "'-leading-dash,1\n"],
  ['@x', "'@x,1\n"],
  ['+x', "'+x,1\n"],
])('%j becomes %j', (text, line) => {
  expect(`${toCsvCell(text)},1\n`).toBe(line);
});

test('a cell parses back to the text, but for the apostrophe that defuses it', () => {
  fc.assert(
    fc.property(fc.string({unit: anyCharacter}), (text) => {
      const cell = toCsvCell(text);
      const parsed = cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell;
      expect(parsed).toBe(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
    }),
  );
});
