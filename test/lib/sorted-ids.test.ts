import fc from 'fast-check';
import {expect, test} from 'vitest';

import {type RawId, rawId} from '../../src/lib/ids.js';
import {SortedIds} from '../../src/lib/sorted-ids.js';

const inOrder = (ids: readonly RawId[]): RawId[] =>
  [...new Set(ids)].sort((a, b) => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')));

function read(pages: readonly RawId[][], reverse = false): RawId[] {
  const sorted = new SortedIds();
  for (const page of pages) sorted.add(page);
  return [...sorted.read({reverse})];
}

test('any IDs, in any pages, are read in the order of their bytes, each once', () => {
  const id = fc
    .array(fc.integer({min: 0, max: 255}), {maxLength: 6})
    .map((bytes) => rawId(Buffer.from(bytes).toString('latin1')));
  fc.assert(
    fc.property(fc.array(fc.array(id)), (pages) => {
      expect(read(pages)).toEqual(inOrder(pages.flat()));
      expect(read(pages, true)).toEqual(inOrder(pages.flat()).reverse());
    }),
  );
});

test.each([16_383, 16_384, 16_385, 100_000])(
  '%i IDs, a fifth of which come twice, are read in their order',
  (count) => {
    // In an order that jumps about, with a page that ends where no run does.
    const ids = Array.from({length: count}, (_, index) => rawId(`ü-${(index * 7919) % count}`));
    const pages = Array.from({length: Math.ceil(count / 997)}, (_, index) => ids.slice(index * 997, (index + 1) * 997));
    pages.push(ids.slice(0, count / 5));
    expect(read(pages)).toEqual(inOrder(ids));
    expect(read(pages, true)).toEqual(inOrder(ids).reverse());
  },
);

test('no IDs are none', () => {
  expect(read([])).toEqual([]);
  expect(read([[]], true)).toEqual([]);
});
