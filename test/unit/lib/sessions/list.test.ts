import fc from 'fast-check';
import {beforeEach, describe, expect, test} from 'vitest';

import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, SPENT_KEYS} from '../../../../src/lib/gateway/keys.js';
import {ErrorReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {mayPass, parseFilter, passes} from '../../../../src/lib/sessions/filter.js';
import {listPrinted, listSessions, SORT_FIELDS} from '../../../../src/lib/sessions/list.js';
import {
  hidesSome,
  readFreezes,
  readFreezesAndCounts,
  readSessions,
  toListed,
  valuesOf,
} from '../../../../src/lib/sessions/read.js';
import {scanIds} from '../../../../src/lib/sessions/scan-ids.js';
import {isEmpty, selectIds} from '../../../../src/lib/sessions/select.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {narrow} from '../../../../src/lib/values/glob.js';
import {nameOf, parseSessionId, rawId} from '../../../../src/lib/values/session-id.js';
import {fuzz} from '../../../support/fuzz.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, redis, connectAs} = own));

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

  const characters = fc.constantFrom('a', 'b', ':', '*', '?', '[', ']', '^', '-', '\\', 'budget');
  const word = fc.array(characters, {minLength: 1, maxLength: 6}).map((list) => list.join(''));
  fuzz(
    'that match a glob are those whose ID Redis itself matches',
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
    0.6,
  );
});

test('a glob that is matched here matches bytes, in a name that is not UTF-8 too', async () => {
  await setBudgets(['ä', 'xä', 'ö']);
  await server.client.set(Buffer.from('session:x\xe4:budget', 'latin1'), '1');
  expect(await scan('[x]*')).toEqual(['xä', String.raw`x\xe4`]);
  expect(await scan('x[ä]*')).toEqual(['xä']);
});

test.each([
  [undefined, '*', true],
  ['', '', true],
  ['team:*', 'team:*', true],
  ['a?b', 'a?b', true],
  ['[ab]c', '*', false],
  ['team:[ab]c', 'team:*', false],
  [String.raw`a\*b`, 'a*', false],
  ['a*b[c', 'a*', false],
  ['a?\n[b]', 'a*', false],
])('of the glob %j Redis is asked for %j', (glob, pattern, isExact) => {
  expect(narrow(glob)).toEqual({pattern, isExact});
});

test('keys that cannot be looked for are an error', async () => {
  const blind = await connectAs('-scan');
  await expect(scanIds(blind, BUDGET_KEYS)).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
});

/** The same connection, and what is sent on it, as text. */
function recorded(): {on: Redis; sent: string[][]} {
  const sent: string[][] = [];
  const on: Redis = {
    ...redis,
    pipeline(commands) {
      sent.push(commands.map((command) => command.join(' ')));
      return redis.pipeline(commands);
    },
  };
  return {on, sent};
}

async function collect<T>(pages: AsyncIterable<T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) {
    all.push(...page);
  }
  return all;
}

describe('reading sessions', () => {
  test('asks for what is needed, and for values that MGET leaves unclear again', async () => {
    await setBudgets(['a', 'b']);
    await server.client.mSet({'session:a:spent': '1', 'session:b:spent': '2'});
    const ids = ['a', 'b'].map(parseSessionId);
    const amounts = 'MGET session:a:budget session:b:budget session:a:spent session:b:spent';
    const plain = recorded();
    const [a] = await collect(readSessions(plain.on, ids, 'skip'));
    expect(a?.freeze).toBeNull();
    expect(plain.sent).toEqual([[amounts]]);

    await server.client.del('session:b:spent');
    const frozen = recorded();
    await collect(readSessions(frozen.on, ids, {now: new Date()}));
    const freezes =
      'MGET anomaly:a:frozen_until anomaly:b:frozen_until anomaly:a:freeze_reason anomaly:b:freeze_reason';
    const existing = 'EXISTS session:b:spent anomaly:a:frozen_until anomaly:b:frozen_until';
    expect(frozen.sent).toEqual([[amounts, freezes], [existing]]);
  });

  test.each([
    [1000, [500, 500]],
    [1001, [500, 500, 1]],
  ])('of %i asks for %j at a time, and gives a hundred', async (count, sizes) => {
    const ids = Array.from({length: count}, (_, index) => String(index).padStart(4, '0'));
    await server.client.mSet(ids.flatMap((id) => [`session:${id}:budget`, '1', `session:${id}:spent`, '0']));
    const {on, sent} = recorded();
    const found: string[] = [];
    for await (const page of readSessions(on, ids.map(parseSessionId), 'skip')) {
      expect(page.length).toBe(found.length < 1000 ? 100 : 1);
      found.push(...page.map(({id}) => id));
    }
    expect(found).toEqual(ids);
    // MGET, and the two keys of each.
    expect(sent.map(([mget]) => (mget!.split(' ').length - 1) / 2)).toEqual(sizes);
  });

  test('gives each its own freeze', async () => {
    await setBudgets(['a', 'b', 'c', 'd']);
    for (const id of ['a', 'b', 'd']) {
      await server.client.mSet({
        [`anomaly:${id}:frozen_until`]: `2099-01-01T00:00:0${'abcd'.indexOf(id)}`,
        [`anomaly:${id}:freeze_reason`]: `because of ${id}`,
      });
    }
    const found = await collect(readSessions(redis, ['a', 'b', 'c', 'd'].map(parseSessionId), {now: new Date()}));
    expect(found.map(({freeze}) => freeze)).toEqual([
      {isFrozen: true, until: new Date('2099-01-01T00:00:00Z'), reason: 'because of a', problems: []},
      {isFrozen: true, until: new Date('2099-01-01T00:00:01Z'), reason: 'because of b', problems: []},
      {isFrozen: false, until: null, reason: null, problems: []},
      {isFrozen: true, until: new Date('2099-01-01T00:00:03Z'), reason: 'because of d', problems: []},
    ]);
  });

  test('does not take a freeze of a wrong type for none', async () => {
    await setBudgets(['a', 'b', 'c', 'd']);
    await server.client.rPush('anomaly:a:frozen_until', 'x');
    await server.client.set('anomaly:b:frozen_until', '2099-01-01T00:00:00');
    await server.client.rPush('anomaly:b:freeze_reason', 'x');
    await server.client.set('anomaly:c:frozen_until', '2099-01-01T00:00:00');
    const read = async (on: Redis): Promise<unknown[]> => {
      const found = await collect(readSessions(on, ['a', 'b', 'c', 'd'].map(parseSessionId), {now: new Date()}));
      return found.map(({freeze, problems}) => [freeze?.isFrozen, ...problems]);
    };
    const odd =
      "The freeze reason of session 'b' is of a wrong Redis type: the gateway answers its requests with HTTP 500.";
    const rest = [[true, odd], [true], [false]];
    const why = 'of a wrong Redis type: the gateway answers its requests with HTTP 500.';
    for (const on of [redis, await connectAs('-exists')]) {
      expect(await read(on)).toEqual([[null, `The freeze end of session 'a' is ${why}`], ...rest]);
    }
  });

  test('takes no freeze for over that this user may not read', async () => {
    await setBudgets(['a', 'b', 'c', 'd']);
    for (const id of ['a', 'b', 'c']) await server.client.set(`anomaly:${id}:frozen_until`, '2099-01-01T00:00:00');
    await server.client.set('anomaly:a:freeze_reason', 'why');
    const half = await connectAs('resetkeys', '~session:*', '~anomaly:a:*', '~anomaly:[bd]:frozen_until');
    const found = await collect(readSessions(half, ['a', 'b', 'c', 'd'].map(parseSessionId), {now: new Date()}));
    const lacks = 'is not readable: this Redis user lacks a permission on its key.';
    expect(found.map(({freeze, problems}) => [freeze?.isFrozen, freeze?.reason, ...problems])).toEqual([
      [true, 'why'],
      [true, null, `The freeze reason of session 'b' ${lacks}`],
      [null, null, `The freeze end of session 'c' ${lacks}`],
      [false, null],
    ]);
  });

  test('fails where it is not told how many freezes there are', () => {
    const refusal = new ErrorReply("NOPERM this user has no permissions to run the 'exists' command");
    expect([hidesSome(redis, ['x', null], 1), hidesSome(redis, ['x', null], 2)]).toEqual([false, true]);
    expect(hidesSome(redis, ['x', null], refusal)).toBe(false);
    expect(() => hidesSome(redis, [], new ErrorReply('MASTERDOWN Link with MASTER is down'))).toThrow(TokengateError);
  });

  test('takes only a lack of a right for values that are not known', () => {
    const noPermission = new ErrorReply('NOPERM No permissions to access a key');
    expect(valuesOf(redis, ['1', null], 2)).toEqual(['1', null]);
    expect(valuesOf(redis, noPermission, 2)).toEqual([null, null]);
    expect(() => valuesOf(redis, new ErrorReply('MASTERDOWN Link with MASTER is down'), 2)).toThrow(TokengateError);
    expect(toListed(redis, noPermission)).toEqual({
      state: 'invalid',
      why: 'not readable',
      effect: 'this Redis user lacks a permission on its key',
    });
    expect(toListed(redis, '7')).toMatchObject({state: 'money'});
    for (const other of ["NOPERM this user has no permissions to run the 'get' command", 'MASTERDOWN no key']) {
      expect(() => toListed(redis, new ErrorReply(other))).toThrow(TokengateError);
    }
  });

  test('leaves out those that have gone since they were found, and gives the others in the order given', async () => {
    await setBudgets(['a', 'c']);
    const ids = ['c', 'b', 'a'].map(parseSessionId);
    const found: string[] = [];
    for await (const page of readSessions(redis, ids, 'skip')) found.push(...page.map(({id}) => id));
    expect(found).toEqual(['c', 'a']);
  });

  test('of no ID asks Redis nothing', async () => {
    const {total_commands_processed: before} = parseInfo(await server.client.info('stats'));
    for await (const page of readSessions(redis, [], 'skip')) expect(page).toEqual([]);
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

describe('a list', () => {
  test('of none reads none', async () => {
    await setBudgets(['a', 'b']);
    for (const sort of ['id', 'budget'] as const) {
      expect(await collect(listSessions(redis, {limit: 0, sort}))).toEqual([]);
    }
    const {on, sent} = recorded();
    await collect(listSessions(on, {limit: 0}));
    expect(sent).toEqual([]);
  });

  test('in any order comes a hundred at a time', async () => {
    const ids = Array.from({length: 200}, (_, index) => String(index).padStart(3, '0'));
    await setBudgets(ids);
    for (const sort of ['id', 'budget'] as const) {
      const sizes: number[] = [];
      for await (const page of listSessions(redis, {sort})) sizes.push(page.length);
      expect(sizes).toEqual([100, 100]);
    }
  });

  test('that is only printed has the same sessions in the same order', async () => {
    const amounts = {
      a: ['10.0', '2'],
      b: ['5', '1.00'],
      c: ['1e1', '2'],
      d: ['0', '1'],
      e: ['x', '3'],
      f: ['10', '2.000000000000000000001'],
    };
    for (const [id, [budget = '', spent = '']] of Object.entries(amounts)) {
      await server.client.mSet({[`session:${id}:budget`]: budget, [`session:${id}:spent`]: spent});
    }
    await server.client.set('session:\xe9:budget', '7');
    await server.client.set('anomaly:b:frozen_until', '2099-01-01T00:00:00');
    const freezes = {now: new Date()};
    const filters = [{}, {where: parseFilter('budget > 1')}, {freezes: {...freezes, only: true}}, {limit: 3}];
    for (const sort of SORT_FIELDS) {
      for (const reverse of [false, true]) {
        for (const filter of filters) {
          const options = {freezes, sort, reverse, ...filter};
          const printed = await collect(listPrinted(redis, options));
          expect(printed.map(({id}) => id)).toEqual((await collect(listSessions(redis, options))).map(({id}) => id));
        }
      }
    }
    const plain = (await collect(listPrinted(redis, {freezes}))).filter((session) => 'budgetText' in session);
    expect(plain.map(({id}) => id)).toEqual(['a', 'd', 'f', 'é']);
  });

  test('of the frozen holds none of whom that was not asked', async () => {
    await setBudgets(['a', 'b']);
    await server.client.set('anomaly:b:frozen_until', '2099-01-01T00:00:00');
    expect(await collect(listSessions(redis, {freezes: {now: new Date(), only: true}}))).toMatchObject([{id: 'b'}]);
  });
});

describe('freezes', () => {
  test('are all that there are, over or not, of those whose ID matches', async () => {
    const ids = Array.from({length: 1001}, (_, index) => `many${String(index).padStart(4, '0')}`);
    await server.client.mSet(ids.map((id): [string, string] => [`anomaly:${id}:frozen_until`, '2099-01-01T00:00:00']));
    await server.client.mSet({
      'anomaly:over:frozen_until': '2020-01-01T00:00:00',
      'anomaly:odd:frozen_until': 'soon',
      'anomaly:left:freeze_reason': 'nothing',
      'anomaly:over:freeze_reason': 'was over',
      'anomaly:many1000:freeze_reason': 'the last',
    });
    const now = new Date();
    const all = await readFreezes(redis, undefined, now);
    expect([...all.keys()]).toEqual([...ids, 'odd', 'over']);
    expect(all.get(rawId('many0000'))).toMatchObject({isFrozen: true, reason: null});
    expect(all.get(rawId('many1000'))).toMatchObject({isFrozen: true, reason: 'the last'});
    expect(all.get(rawId('odd'))).toMatchObject({isFrozen: null, problems: [expect.stringContaining("'odd'")]});
    expect(all.get(rawId('over'))?.isFrozen).toBe(false);
    expect([...(await readFreezes(redis, 'o[vx]er', now)).keys()]).toEqual(['over']);
  });

  test('that this user may not read are an error', async () => {
    await server.client.set('anomaly:a:frozen_until', '2099-01-01T00:00:00');
    await server.client.set('anomaly:a:requests:1min', '7');
    const half = await connectAs('resetkeys', '~session:*');
    const refusal = {code: 'REDIS_NO_PERMISSION'};
    await expect(readFreezes(half, undefined, new Date())).rejects.toMatchObject(refusal);
    await expect(readFreezesAndCounts(half, undefined, new Date())).rejects.toMatchObject(refusal);
  });
});

test('counts of requests are those that stand there, and null for what is none', async () => {
  await server.client.mSet({
    'anomaly:a:requests:1min': '7',
    'anomaly:b:requests:1min': 'many',
    'anomaly:x:identical_count': '2',
  });
  await server.client.lPush('anomaly:c:requests:1min', '1');
  expect((await readFreezesAndCounts(redis, undefined, new Date())).requests).toEqual(
    new Map([
      ['a', 7],
      ['b', null],
      ['c', null],
    ]),
  );
  expect((await readFreezesAndCounts(redis, 'a*', new Date())).requests).toEqual(new Map([['a', 7]]));
});

test('a filter lets pass what cannot be read where that is asked for', async () => {
  await server.client.mSet({'session:bad:budget': 'nan', 'session:good:budget': '1'});
  const [bad, good] = await collect(listSessions(redis));
  const [above, below] = [parseFilter('budget > 5'), parseFilter('budget < 5')];
  expect([bad!, good!].map((session) => [passes(above, session), mayPass(above, session)])).toEqual([
    [false, true],
    [false, false],
  ]);
  expect(passes(below, good!) && mayPass(below, good!)).toBe(true);
});

describe('a selection', () => {
  const select = async (selection: Partial<Parameters<typeof selectIds>[1]>): Promise<string[]> => {
    const {ids} = await selectIds(redis, {ids: [], all: false, ...selection}, BUDGET_KEYS, new Date());
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
      const {ids} = await selectIds(redis, {ids: [], all: true}, shape, new Date());
      expect(ids).toEqual([rawId(id)]);
    }
  });
});

function parseInfo(info: string): Record<string, string> {
  return Object.fromEntries(info.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
}
