import fc from 'fast-check';
import {expect, test} from 'vitest';

import {drawLargeTable, drawTable} from '../../src/cli/table.js';
import {showText} from '../../src/cli/text.js';

const HEADER = ['Session ID', 'Budget', 'Used %'];
const cell = fc
  .oneof(fc.string(), fc.string({unit: 'grapheme'}), fc.constantFrom('日本語', '👍', 'équipe-Ω', ''))
  .map(showText);
const draw = async (rows: string[][]): Promise<string> => [...(await drawTable(HEADER, rows))].join('');

test('a large table has the very lines of a small one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(cell, cell, cell), {minLength: 1, maxLength: 20}), async (rows) => {
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
