import {describe, expect, test} from 'vitest';

import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, SPENT_KEYS} from '../../../../src/lib/gateway/keys.js';
import {newChangeId, type ChangePart, readJournal, toFields, toText} from '../../../../src/lib/journal/entry.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const KEY = 'tokengate:journal';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const FACTS = {
  change: 'c',
  began: '',
  command: 'set-budget',
  actor: 'alice@host',
  reason: 'Überzug',
  version: '1.2.3',
  undoes: '',
  keys: 'budget spent',
};
const SESSIONS = '["a","1","2",false,["3",500]]';
const RECORD = {
  id: 'a',
  keys: [
    {shape: BUDGET_KEYS, before: {kind: 'text', text: '1', ttl: -1}, after: {kind: 'text', text: '2', ttl: -1}},
    {shape: SPENT_KEYS, before: false, after: {kind: 'text', text: '3', ttl: 500}},
  ],
  isComplete: true,
};

/** Writes an entry with these fields, in place of or beside those of a common one. */
async function add(entry: string, fields: Record<string, string> = {}): Promise<void> {
  await server.client.xAdd(KEY, entry, {...FACTS, sessions: SESSIONS, ...fields});
}

async function read(since?: Date): Promise<{parts: ChangePart[]; unreadable: number}> {
  const all: {parts: ChangePart[]; unreadable: number} = {parts: [], unreadable: 0};
  for await (const {parts, unreadable} of readJournal(redis, since)) {
    all.parts.push(...parts);
    all.unreadable += unreadable;
  }
  return all;
}

describe('an entry of the journal', () => {
  test('has all that is known of a change', async () => {
    await add('1700000000000-3', {undoes: 'b', began: '1699999999999'});
    expect(await read()).toEqual({
      parts: [
        {
          entry: '1700000000000-3',
          at: new Date(1_700_000_000_000),
          change: 'c',
          began: new Date(1_699_999_999_999),
          command: 'set-budget',
          actor: 'alice@host',
          reason: 'Überzug',
          version: '1.2.3',
          undoes: 'b',
          records: [RECORD],
        },
      ],
      unreadable: 0,
    });
  });

  test('of a change of one step undoes nothing, and began when it was written', async () => {
    await add('1-1');
    expect(await read()).toMatchObject({parts: [{undoes: undefined, began: undefined}]});
  });

  test('has values of each kind', async () => {
    await add('1-1', {
      keys: 'frozen_until',
      sessions: '["a",["x",1000],true,"b",true,["d",-1,"dump"],"c",false,["",0]]',
    });
    const {parts} = await read();
    const of = (before: unknown, after: unknown): unknown => [{shape: FROZEN_UNTIL_KEYS, before, after}];
    expect(parts[0]?.records.map(({keys}) => keys)).toEqual([
      of({kind: 'text', text: 'x', ttl: 1000}, undefined),
      of({kind: 'dump', text: '', ttl: -1}, {kind: 'dump', text: 'd', ttl: -1}),
      of(false, {kind: 'text', text: '', ttl: 0}),
    ]);
  });

  test('has bytes, one character each', async () => {
    await server.client.xAdd(KEY, '1-1', {
      ...FACTS,
      keys: 'budget',
      sessions: Buffer.from('["\xff",false,"\xc3\xbc"]', 'latin1'),
    });
    const {parts} = await read();
    expect(parts[0]?.records).toMatchObject([{id: '\xff', keys: [{after: {text: '\xc3\xbc'}}]}]);
    expect(toText('\xc3\xbc')).toBe('ü');
  });

  test.each<[string, Record<string, string>]>([
    ['no change', {change: ''}],
    ['no JSON', {sessions: '['}],
    ['no list', {sessions: '{"length":0}'}],
    ['half a session', {sessions: '["a","1","2",false]'}],
    ['a session that is no text', {sessions: '[1,"1","2",false,false]'}],
    ['a key that is none of ours', {keys: 'budget spend'}],
    ['a value that is none', {sessions: '["a",1,"2",false,false]'}],
    ['a value after that is none', {sessions: '["a","1",{},false,false]'}],
    ['a TTL of a text', {sessions: '["a",["1","5"],"2",false,false]'}],
    ['half a millisecond', {sessions: '["a",["1",0.5],"2",false,false]'}],
    ['a TTL below none', {sessions: '["a",["1",-2],"2",false,false]'}],
    ['a TTL past all dates', {sessions: '["a",["1",8640000000000001],"2",false,false]'}],
    ['a beginning that is no time', {began: 'soon'}],
    ['a beginning past all dates', {began: '8640000000000001'}],
    ['a beginning before 1970', {began: '-1'}],
    ['half a time', {began: '1x'}],
    ['a completion of no JSON', {completes: '1-1', only: '[', unknown: '[]'}],
  ])('with %s is not ours', async (_, fields) => {
    await add('2-1');
    await add('2-2', fields);
    await add('2-3');
    const {parts, unreadable} = await read();
    expect({entries: parts.map(({entry}) => entry), unreadable}).toEqual({entries: ['2-3', '2-1'], unreadable: 1});
  });

  test('with a TTL as long as a date can be, and no session, is ours', async () => {
    await add('1-1', {sessions: '["a",["1",8640000000000000],"2",false,false]'});
    await add('1-2', {sessions: '[]'});
    expect(await read()).toMatchObject({parts: [{records: []}, {records: [{id: 'a'}]}], unreadable: 0});
  });

  test('later than all dates is not ours', async () => {
    await add('8640000000000001-0');
    expect(await read()).toEqual({parts: [], unreadable: 1});
  });
});

describe('what began on a cluster', () => {
  const begin = (): Promise<void> =>
    add('5-0', {state: 'begun', sessions: '["a","1","2",false,"3","b","1","2",false,true,"c",false,"2",false,true]'});
  const complete = (only: unknown, unknown: unknown, completes = '5-0'): Promise<string> =>
    server.client.xAdd(KEY, '6-0', {
      change: 'c',
      completes,
      only: JSON.stringify(only),
      unknown: JSON.stringify(unknown),
    });
  const outcome = async (): Promise<unknown> => {
    const {parts, unreadable} = await read();
    expect(unreadable).toBe(0);
    return parts.map(({records}) =>
      records.map(({id, isComplete, keys}) => [
        id,
        isComplete,
        ...keys.filter(({after}) => after !== undefined).map(({shape}) => shape.suffix),
      ]),
    );
  };

  test('is not known to be done until it is completed', async () => {
    await begin();
    expect(await outcome()).toEqual([
      [
        ['a', false, ':budget', ':spent'],
        ['b', false, ':budget'],
        ['c', false, ':budget'],
      ],
    ]);
  });

  test('is done as announced, but for what its completion says', async () => {
    await begin();
    await complete([['a', 'spent'], ['b']], ['c']);
    expect(await outcome()).toEqual([
      [
        ['a', true, ':spent'],
        ['c', false, ':budget'],
      ],
    ]);
  });

  test('is done as announced where its completion says no more', async () => {
    await begin();
    await complete([], []);
    expect(await outcome()).toEqual([
      [
        ['a', true, ':budget', ':spent'],
        ['b', true, ':budget'],
        ['c', true, ':budget'],
      ],
    ]);
  });

  test('is left out of where only a key stayed that it would not have changed', async () => {
    await begin();
    await complete([['b', 'spent']], []);
    expect(await outcome()).toEqual([
      [
        ['a', true, ':budget', ':spent'],
        ['c', true, ':budget'],
      ],
    ]);
  });

  test('is not completed by what completes another', async () => {
    await begin();
    await complete([['a']], [], '4-0');
    expect(await outcome()).toEqual([
      [
        ['a', false, ':budget', ':spent'],
        ['b', false, ':budget'],
        ['c', false, ':budget'],
      ],
    ]);
  });

  test('differs from what was done in one step, which no completion changes', async () => {
    await add('5-0');
    await complete([['a']], ['a']);
    expect(await outcome()).toEqual([[['a', true, ':budget', ':spent']]]);
  });
});

describe('the journal', () => {
  test.each([199, 200, 201, 401])('of %i entries is read to its end, newest first', async (count) => {
    const adding = Array.from({length: count}, (_, index) => add(`${index + 1}-0`));
    await Promise.all(adding);
    const {parts} = await read();
    expect(parts.map(({at}) => at.getTime())).toEqual(Array.from({length: count}, (_, index) => count - index));
  });

  test('is read since a moment', async () => {
    for (const entry of ['1000-0', '1000-1', '2000-0']) await add(entry);
    expect((await read(new Date(1001))).parts.map(({entry}) => entry)).toEqual(['2000-0']);
    expect((await read(new Date(1000))).parts.map(({entry}) => entry)).toEqual(['2000-0', '1000-1', '1000-0']);
    expect((await read(new Date(-1))).parts).toHaveLength(3);
  });

  test('that is no stream cannot be read', async () => {
    await server.client.set(KEY, 'x');
    await expect(read()).rejects.toMatchObject({
      code: 'JOURNAL_UNREADABLE',
      message: expect.stringMatching(/^The journal of changes cannot be read: .*wrong kind/),
      cause: {message: expect.stringContaining('WRONGTYPE')},
    });
  });
});

test('the fields of an entry are those that are read', () => {
  const journal = {change: 'c', command: 'x', actor: 'a', reason: '', version: '1', limit: 10};
  expect(toFields(journal, [BUDGET_KEYS, SPENT_KEYS])).toEqual([
    ...['change', 'c', 'began', '', 'command', 'x', 'actor', 'a', 'reason', '', 'version', '1', 'undoes', ''],
    ...['keys', 'budget spent', 'sessions'],
  ]);
  expect(toFields({...journal, undoes: 'b', began: new Date(5)}, [])).toEqual(expect.arrayContaining(['5', 'b']));
});

test('the ID of a change is ten letters and digits that nobody misreads, another each time', () => {
  const all = Array.from({length: 500}, newChangeId);
  for (const id of all) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{10}$/);
  expect(new Set(all).size).toBe(500);
  expect(new Set(all.join('')).size).toBe(32);
});
