import fc from 'fast-check';
import {expect, test} from 'vitest';

import {showText} from '../../../../src/cli/text/escape.js';
import {drawLargeTable, drawTable} from '../../../../src/cli/text/table.js';
import {widthOf} from '../../../../src/cli/text/width.js';

const HEADER = ['Session ID', 'Budget', 'Used %'];
const plain = fc.string({unit: 'grapheme-ascii'});
const draw = async (rows: string[][]): Promise<string> => [...(await drawTable(HEADER, rows))].join('');

test('a large table has the very lines of a small one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(plain, plain, plain), {minLength: 1, maxLength: 20}), async (rows) => {
      expect([...(await drawLargeTable(HEADER, rows))].join('')).toBe(await draw(rows));
    }),
  );
});

test('a table of many rows is drawn whole', async () => {
  const rows = Array.from({length: 5000}, (_, index) => [`session-${index}`, '日本', '1.0%']);
  const lines = (await draw(rows)).trimEnd().split('\n');
  expect(lines).toHaveLength(5004);
  expect(lines.at(-2)).toBe('║ session-4999 ║ 日本   ║ 1.0%   ║');
});

/** Of which each takes the columns that stand with it. */
const WORDS = {
  'decomposed Japanese': ['\u304b\u3099\u304d\u3099', 4],
  'Hangul in parts': ['\u1112\u1161\u11ab\u1100\u1173\u11af', 4],
  'Arabic with vowels': ['\u0645\u064f\u062d\u064e', 2],
  'Hebrew with points': ['\u05e9\u05b8\u05c1\u05dc', 2],
  'Cyrillic with a titlo': ['\u0441\u0483', 1],
  'a letter in a circle': ['a\u20dd', 1],
  'composed Latin and Greek': ['équipe-Ω', 8],
  'wide characters': ['日本語', 6],
  emoji: ['👍', 2],
} as const;

test.each(Object.entries(WORDS))('%s takes as many columns as a terminal gives it', (_, [word, width]) => {
  expect(widthOf(word)).toBe(width);
});

test.each([1, 600])('of %i rows the borders are straight, whatever stands in them', async (count) => {
  const cell = fc
    .oneof(fc.string(), fc.string({unit: 'grapheme'}), fc.constantFrom(...Object.values(WORDS).map(([word]) => word)))
    .map(showText);
  await fc.assert(
    fc.asyncProperty(fc.tuple(cell, cell, cell), async (row) => {
      const lines = (await draw(Array<string[]>(count).fill(row))).trimEnd().split('\n');
      expect(new Set(lines.map(widthOf)).size).toBe(1);
      expect(lines[3]).toContain(`║ ${row[0]} `);
    }),
    {numRuns: 50},
  );
});
