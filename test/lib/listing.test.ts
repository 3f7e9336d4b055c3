import fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';

import {nameOf, parseSessionId, rawId} from '../../src/lib/ids.js';
import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, SPENT_KEYS} from '../../src/lib/keys.js';
import {listSessions, readSessions, scanIds} from '../../src/lib/listing.js';
import type {Redis} from '../../src/lib/redis.js';
import {isEmpty, selectIds} from '../../src/lib/selection.js';
import type {TestRedis} from '../support/redis-server.js';
import {withRedis} from '../support/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const setBudgets = (ids: string[]): Promise<unknown> =>
  server.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, '1']));
const scan = async (glob?: string): Promise<string[]> => (await scanIds(redis, BUDGET_KEYS, glob)).map(nameOf);

describe('the IDs of all keys of a kind', () => {
  test('are found whatever stands in them, and are sorted by their bytes', async () => {
    await setBudgets(['b', 'a', ':', 'a:budget', 'session:a:budget', '日', '*', 'a\nb', '\u{1f642}', '\uffee']);
    await server.client.mSet({'session:nobody:spent': '1', 'session::budget': '1', 'tokengate:session:x:budget': '1'});
    const expected = ['*', ':', 'a', 'a\nb', 'a:budget', 'b', 'session:a:budget', '日', '\uffee', '\u{1f642}'];
    expect(await scan()).toEqual(expected);
  });

  test('are those that exist, of many pages, each once, while others come and go', async () => {
    const ids = Array.from({length: 5000}, (_, index) => `k${String(index).padStart(4, '0')}`);
    await setBudgets(ids);
    const churn = async (): Promise<void> => {
      for (let round = 0; round < 20; round++) {
        const others = Array.from({length: 500}, (_, index) => `session:x${index}:budget`);
        await server.client.mSet(others.map((key): [string, string] => [key, '1']));
        await server.client.del(others);
      }
    };
    const [found] = await Promise.all([scan('k*'), churn()]);
    expect(found).toEqual(ids);
  });

  test('that match a glob are those whose ID Redis itself matches', async () => {
    const characters = fc.constantFrom('a', 'b', ':', '*', '?', '[', ']', '^', '-', '\\', 'budget');
    const word = fc.array(characters, {minLength: 1, maxLength: 6}).map((list) => list.join(''));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(word, {minLength: 1, maxLength: 8}), word, async (ids, glob) => {
        await server.client.flushAll();
        await setBudgets(ids);
        // The IDs alone as keys, in another database.
        await server.client.select(1);
        await server.client.mSet(ids.map((id): [string, string] => [id, '']));
        const byRedis = await server.client.keys(glob);
        await server.client.select(0);
        expect((await scan(glob)).sort()).toEqual(byRedis.sort());
      }),
      {numRuns: 500},
    );
  });
});

describe('reading sessions', () => {
  test('leaves out those that have gone since they were found, and gives the others in the order given', async () => {
    await setBudgets(['a', 'c']);
    const ids = ['c', 'b', 'a'].map(parseSessionId);
    const found: string[] = [];
    for await (const page of readSessions(redis, ids)) found.push(...page.map(({id}) => id));
    expect(found).toEqual(['c', 'a']);
  });

  test('of no ID asks Redis nothing', async () => {
    const {total_commands_processed: before} = parseInfo(await server.client.info('stats'));
    for await (const page of readSessions(redis, [])) expect(page).toEqual([]);
    const {total_commands_processed: after} = parseInfo(await server.client.info('stats'));
    expect(Number(after) - Number(before)).toBe(1);
  });

  test('stops early without reading all', async () => {
    const ids = Array.from({length: 10_000}, (_, index) => String(index));
    await setBudgets(ids);
    const {keyspace_hits: before} = parseInfo(await server.client.info('stats'));
    const found: string[] = [];
    for await (const page of listSessions(redis, {limit: 5})) found.push(...page.map(({id}) => id));
    const {keyspace_hits: after} = parseInfo(await server.client.info('stats'));
    expect(found).toEqual(['0', '1', '10', '100', '1000']);
    expect(Number(after) - Number(before)).toBeLessThan(ids.length / 2);
  });
});

describe('a selection', () => {
  const select = async (selection: Partial<Parameters<typeof selectIds>[1]>): Promise<string[]> => {
    const {ids} = await selectIds(redis, {ids: [], all: false, ...selection}, BUDGET_KEYS, undefined);
    return ids.map(nameOf);
  };
  const named = (...ids: string[]) => ids.map(parseSessionId);
  beforeEach(() => setBudgets(['a', 'b', 'c']));

  test('of nothing is empty, and never all', () => {
    expect(isEmpty({ids: [], all: false})).toBe(true);
    expect(isEmpty({ids: [], all: true})).toBe(false);
    expect(isEmpty({ids: named('a'), all: false})).toBe(false);
    expect(isEmpty({ids: [], all: false, match: ''})).toBe(false);
  });

  test('of an empty list of IDs is none, whatever else would let through', async () => {
    expect(await select({none: true, match: '*'})).toEqual([]);
  });

  test('takes names and all together, each once', async () => {
    expect(await select({ids: named('x', 'a', 'x'), all: true})).toEqual(['a', 'b', 'c', 'x']);
  });

  test('of names that no glob lets through is none', async () => {
    expect(await select({ids: named('x', 'y'), match: 'a*'})).toEqual([]);
    expect(await select({ids: named('ax', 'y'), match: 'a*'})).toEqual(['ax']);
  });

  test('of all takes another kind of key for what there is', async () => {
    await server.client.mSet({'anomaly:z:frozen_until': '2099-01-01T00:00:00', 'session:s:spent': '1'});
    for (const [shape, id] of [
      [FROZEN_UNTIL_KEYS, 'z'],
      [SPENT_KEYS, 's'],
    ] as const) {
      const {ids} = await selectIds(redis, {ids: [], all: true}, shape, undefined);
      expect(ids).toEqual([rawId(id)]);
    }
  });
});

function parseInfo(info: string): Record<string, string> {
  return Object.fromEntries(info.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
}
