import fc from 'fast-check';
import {afterAll, beforeAll, expect, test} from 'vitest';

import {escapeGlob, matchesGlob} from '../../../../src/lib/values/glob.js';
import {fuzz} from '../../../support/fuzz.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

test.each([
  ['*', '', true],
  ['*', 'anything', true],
  ['test-*', 'test-1', true],
  ['test-*', 'atest-1', false],
  ['*a*b', 'xaxbxab', true],
  ['h?llo', 'hello', true],
  ['?', 'é', false],
  ['??', 'é', true],
  ['[a-c]x', 'bx', true],
  ['[^a]x', 'ax', false],
  ['[b-d]', 'a', false],
  ['[b-d]', 'b', true],
  ['[b-d]', 'd', true],
  ['[b-d]', 'e', false],
  ['[d-b]', 'b', true],
  ['[d-b]', 'd', true],
  ['[\\\\]', '\\', true],
  ['[\\', '\\', true],
  ['a*', 'ab\0', true],
  ['a?', 'a', false],
  ['a\\*', 'a*', true],
  ['a\\*', 'ab', false],
  ['', '', true],
  ['', 'a', false],
])('%j and %j: %s', (glob, text, matches) => {
  expect(matchesGlob(Buffer.from(glob), Buffer.from(text))).toBe(matches);
});

test('what is escaped stands for itself alone', () => {
  const text = 'a*b?c[d]e^f-g\\h**';
  const glob = escapeGlob(text);
  expect(glob).toBe('a\\*b\\?c\\[d]e^f-g\\\\h\\*\\*');
  expect(matchesGlob(Buffer.from(glob), Buffer.from(text))).toBe(true);
  expect(matchesGlob(Buffer.from(glob), Buffer.from('aXbYcde^f-g\\hZ'))).toBe(false);
});

// Only ASCII: whether a byte past 127 is in a range depends on the machine that Redis was built for.
const characters = fc.constantFrom('a', 'b', 'c', '*', '?', '[', ']', '^', '-', '\\');
const short = fc.array(characters, {minLength: 1, maxLength: 8}).map((list) => list.join(''));
fuzz(
  'agrees with Redis on any glob and any text',
  fc.asyncProperty(fc.uniqueArray(short, {minLength: 1, maxLength: 8}), short, async (texts, glob) => {
    await redis.client.flushDb();
    await redis.client.mSet(texts.map((text): [string, string] => [text, '']));
    const byRedis = await redis.client.keys(glob);
    const here = texts.filter((text) => matchesGlob(Buffer.from(glob), Buffer.from(text)));
    expect(here.sort()).toEqual(byRedis.sort());
  }),
  0.3,
);
