import {beforeEach, describe, expect, test} from 'vitest';

import {BUDGET_KEYS, FROZEN_UNTIL_KEYS} from '../../../../src/lib/gateway/keys.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseFilter} from '../../../../src/lib/sessions/filter.js';
import {isEmpty, type Selection, selectIds} from '../../../../src/lib/sessions/select.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const NOW = new Date('2026-11-22T16:00:00Z');

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));
beforeEach(() =>
  server.client.mSet({
    'session:a:budget': '1',
    'session:ab:budget': '2',
    'session:b:budget': '3',
    'session:ü:budget': '4',
    'anomaly:b:frozen_until': '2026-11-22T17:00:00',
    'anomaly:f:frozen_until': '2026-11-22T17:00:00',
    'anomaly:a:frozen_until': '2026-11-22T15:00:00',
  }),
);

const select = (selection: Partial<Omit<Selection, 'ids'>> & {ids?: string[]}): Selection => ({
  all: false,
  ...selection,
  ids: (selection.ids ?? []).map(parseSessionId),
});
const latin1 = (ids: string[]): string[] => ids.map(parseSessionId);

describe('what is selected', () => {
  test.each<[string, Parameters<typeof select>[0], string[], string[]]>([
    ['those named, each once, in order', {ids: ['x', 'b', 'a', 'b']}, ['a', 'b', 'x'], []],
    ['all', {all: true}, ['a', 'ab', 'b', 'ü'], []],
    ['all, and one named that has no budget', {all: true, ids: ['x', 'a']}, ['a', 'ab', 'b', 'x', 'ü'], []],
    ['all of a glob', {match: 'a*'}, ['a', 'ab'], []],
    ['all of a glob of other letters', {match: '[ü]'}, [], []],
    ['of those named the ones of a glob', {ids: ['ax', 'b', 'ü'], match: '[a]*'}, ['ax'], []],
    ['none where no name is of the glob', {ids: ['b'], match: 'a*'}, [], []],
    ['all of a glob, and those named of it', {all: true, ids: ['ax', 'b'], match: 'a*'}, ['a', 'ab', 'ax'], []],
    ['nothing of an empty list, whatever else is asked', {none: true, all: true, match: '*'}, [], []],
    ['all of a filter', {where: parseFilter('budget >= 2')}, ['ab', 'b', 'ü'], []],
    ['of those named the ones of a filter', {ids: ['b', 'a', 'x'], where: parseFilter('budget >= 2')}, ['b'], ['x']],
    ['all that are frozen', {where: parseFilter('frozen')}, ['b'], []],
    ['all that are not', {all: true, where: parseFilter('!frozen')}, ['a', 'ab', 'ü'], []],
  ])('is %s', async (_, selection, ids, missing) => {
    expect(await selectIds(redis, select(selection), BUDGET_KEYS, NOW)).toEqual({
      ids: latin1(ids),
      missing: latin1(missing),
    });
  });

  test('is of the universe that is meant', async () => {
    const selected = await selectIds(redis, select({all: true}), FROZEN_UNTIL_KEYS, NOW);
    expect(selected).toEqual({ids: ['a', 'b', 'f'], missing: []});
  });
});

test.each<[boolean, Parameters<typeof select>[0]]>([
  [true, {}],
  [false, {ids: ['a']}],
  [false, {all: true}],
  [false, {match: '*'}],
  [false, {where: parseFilter('frozen')}],
  [false, {none: true}],
])('is empty: %s, of %j', (is, selection) => {
  expect(isEmpty(select(selection))).toBe(is);
});
