import fc from 'fast-check';
import {expect, test} from 'vitest';

import {SortedIds, sortedOnce} from '../../../../src/lib/sessions/sorted-ids.js';
import {type RawId, rawId} from '../../../../src/lib/values/session-id.js';

const inOrder = (ids: readonly RawId[]): RawId[] =>
  [...new Set(ids)]
    .map((id) => Buffer.from(id, 'latin1'))
    .sort((a, b) => a.compare(b))
    .map((bytes) => rawId(bytes.toString('latin1')));

function read(pages: readonly RawId[][], reverse = false): RawId[] {
  const sorted = new SortedIds();
  for (const page of pages) sorted.add(page);
  return [...sorted.read({reverse})];
}

test('any IDs, in any pages, are sorted in the order of their bytes, each once', () => {
  const id = fc
    .array(fc.integer({min: 0, max: 255}), {maxLength: 6})
    .map((bytes) => rawId(Buffer.from(bytes).toString('latin1')));
  fc.assert(
    fc.property(fc.array(fc.array(id)), (pages) => {
      const sorted = inOrder(pages.flat());
      expect(read(pages)).toEqual(sorted);
      expect(read(pages, true)).toEqual(sorted.toReversed());
      expect(sortedOnce(pages.flat())).toEqual(sorted);
    }),
  );
});

test.each([16_383, 16_384, 16_385, 100_000])('%i IDs, a fifth of which come twice, are sorted', (count) => {
  // In an order that jumps about, with a page that ends where no run does.
  const ids = Array.from({length: count}, (_, index) => rawId(`ü-${(index * 7919) % count}`));
  const pages = Array.from({length: Math.ceil(count / 997)}, (_, index) => ids.slice(index * 997, (index + 1) * 997));
  pages.push(ids.slice(0, count / 5));
  const sorted = inOrder(ids);
  expect(read(pages)).toEqual(sorted);
  expect(read(pages, true)).toEqual(sorted.toReversed());
});

test('no IDs are none', () => {
  expect(read([])).toEqual([]);
  expect(read([[]], true)).toEqual([]);
});
