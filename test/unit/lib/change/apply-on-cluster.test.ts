import {beforeEach, describe, expect, test, vi} from 'vitest';

import {changeOnCluster} from '../../../../src/lib/change/apply-on-cluster.js';
import type {Change, PlannedChange, ScriptedChange, Settled} from '../../../../src/lib/change/change.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  JOURNAL_KEY,
  keyOf,
  type KeyShape,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../../../../src/lib/gateway/keys.js';
import type {Held} from '../../../../src/lib/gateway/stored-value.js';
import type {Journal, Stored} from '../../../../src/lib/journal/entry.js';
import {slotOf} from '../../../../src/lib/redis/cluster/slots.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import {ErrorReply, NoReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {nameOf, type RawId, rawId} from '../../../../src/lib/values/session-id.js';
import {scriptsOf} from '../../../support/redis/lua.js';
import {type Nodes, withCluster} from '../../../support/redis/with-cluster.js';

let nodes: Nodes;
let redis: Redis;
withCluster((own) => ({nodes, redis} = own));
beforeEach(() => redis.cluster?.doubts.clear());

const A = rawId('a');
const BOTH = [BUDGET_KEYS, SPENT_KEYS];
const JOURNAL: Journal = {
  ...{change: 'abcdefghij', command: 'reset-session', actor: 'ops', reason: 'why', version: '1', limit: 1000},
};
const LOST = new TokengateError('REDIS_CONNECTION_LOST', 'The connection is gone.');

/** What a change was told, as text. */
interface Told {
  word: string;
  old: readonly Held[];
}

/** A script that writes what is wanted, whatever is there; null for a key that stays. */
const writing = (
  next: (id: RawId) => (Stored | null)[] | null,
  shapes: readonly KeyShape[] = BOTH,
): ScriptedChange<Told> => ({
  shapes,
  scripts: scriptsOf(`local new = cjson.decode(own)
                      if new == cjson.null then new = nil end
                      for i = 1, #(new or {}) do if new[i] == cjson.null then new[i] = nil end end
                      return args[1] .. args[2], new`),
  args: ['as ', 'told'],
  own: (id) => Buffer.from(JSON.stringify(next(id)), 'latin1'),
  read: (id, word, old) => ({id: nameOf(id), state: 'done', result: {word, old}}),
  lookAt: [],
  preview: () => expect.unreachable(),
});
const removing = (shapes?: readonly KeyShape[]): ScriptedChange<Told> =>
  writing(() => (shapes ?? BOTH).map(() => false), shapes);
const planned = (plan: PlannedChange<string>['plan'], shapes: readonly KeyShape[] = BOTH): PlannedChange<string> => ({
  ...{shapes, plan, lookAt: [], preview: () => expect.unreachable()},
});

const write = async (texts: Record<string, string>): Promise<void> => {
  await Promise.all(Object.entries(texts).map(([key, text]) => nodes.clientOf(key).set(key, text)));
};
const fill = (): Promise<void> => write({'session:a:budget': '5.0', 'session:a:spent': '1.0'});
/** Without the journal. */
const texts = async (): Promise<Record<string, string | null>> => {
  const found: [string, string | null][] = [];
  for (const client of nodes.clients) {
    for (const key of await client.keys('*')) found.push([key, await client.get(key).catch(() => null)]);
  }
  return Object.fromEntries(found.filter(([key]) => key !== JOURNAL_KEY).sort());
};
/** The entries of the journal, oldest first; one character a byte. */
const entries = async (): Promise<Record<string, string>[]> => {
  const [page] = await redis.pipelineBytes([['XRANGE', JOURNAL_KEY, '-', '+']]);
  return (page as [Buffer, Buffer[]][]).map(([id, fields]) => {
    const words = fields.map((field) => field.toString('latin1'));
    const pairs = Array.from({length: words.length / 2}, (_, index) => words.slice(2 * index, 2 * index + 2));
    return {id: String(id), ...(Object.fromEntries(pairs) as Record<string, string>)};
  });
};

type Reply = unknown[] | ErrorReply | NoReply;

/** Does something before each flight of changes, counted from 1: what it returns stands in place of the answers. */
const meanwhile = (act: (flight: number, send: () => Promise<Reply[]>) => unknown): Redis => {
  let flights = 0;
  return {
    ...redis,
    async units(units) {
      const send = (): Promise<Reply[]> => redis.units(units);
      return ((await act(++flights, send)) as Reply[] | undefined) ?? send();
    },
  };
};
/** The same of reads. */
const reading = (on: Redis, act: (flight: number, send: () => Promise<unknown[]>) => unknown): Redis => {
  let flights = 0;
  return {
    ...on,
    async pipelineBytes(commands) {
      const send = (): Promise<unknown[]> => on.pipelineBytes(commands);
      return ((await act(++flights, send)) as unknown[] | undefined) ?? send();
    },
  };
};
/** The keys of each flight of changes. */
const recording = (): {flights: string[][]; recorded: Redis} => {
  const flights: string[][] = [];
  const recorded: Redis = {
    ...redis,
    async units(units) {
      const keysOf = ([, , count, ...rest]: readonly unknown[]): string => rest.slice(0, Number(count)).join(' ');
      flights.push(units.map(([command = []]) => keysOf(command)));
      return redis.units(units);
    },
  };
  return {flights, recorded};
};
/** An ID of which two keys share a slot, as few do. */
const sharing = (): RawId => {
  const ids = Array.from({length: 100_000}, (_, index) => rawId(`s${index}`));
  const found = ids.find((id) => slotOf(keyOf(FROZEN_UNTIL_KEYS, id)) === slotOf(keyOf(SPENT_KEYS, id)));
  if (found === undefined) throw new Error('no such ID');
  return found;
};
const errorOf = (outcome: Settled<unknown> | NoReply | undefined): TokengateError => {
  if (outcome instanceof NoReply || outcome?.state !== 'failed')
    throw new Error(`not failed: ${JSON.stringify(outcome)}`);
  return outcome.error;
};
const changeOne = async <T>(
  on: Redis,
  change: Change<T>,
  journal?: Journal,
): Promise<Settled<T> | NoReply | undefined> => (await changeOnCluster(on, [A], change, journal))[0];

describe('what a script decides', () => {
  test('is told with what was there, and written', async () => {
    await fill();
    const outcomes = await changeOnCluster(
      redis,
      [rawId('none'), A, rawId('\xfc')],
      writing((id) => (id === A ? [false, '2.0'] : ['7', null])),
      undefined,
    );
    expect(outcomes).toEqual([
      {id: 'none', state: 'done', result: {word: 'as told', old: [false, false]}},
      {id: 'a', state: 'done', result: {word: 'as told', old: ['5.0', '1.0']}},
      {id: '\\xfc', state: 'done', result: {word: 'as told', old: [false, false]}},
    ]);
    expect(await texts()).toEqual({
      'session:a:spent': '2.0',
      'session:none:budget': '7',
      'session:\ufffd:budget': null,
    });
    expect(await entries()).toEqual([]);
  });

  test('of a session that is named twice is done once', async () => {
    await fill();
    const {flights, recorded} = recording();
    const outcomes = await changeOnCluster(recorded, [A, A], removing(), undefined);
    expect(outcomes).toHaveLength(2);
    expect(outcomes[0]).toBe(outcomes[1]);
    expect(flights.slice(0, 2)).toEqual([['session:a:budget'], ['session:a:spent']]);
  });

  test('to leave as it is writes nothing, and no entry', async () => {
    await fill();
    const {flights, recorded} = recording();
    const outcome = await changeOne(
      recorded,
      writing(() => null),
      JOURNAL,
    );
    expect(outcome).toEqual({id: 'a', state: 'done', result: {word: 'as told', old: ['5.0', '1.0']}});
    expect(await changeOne(recorded, removing([REQUEST_COUNT_KEYS]), JOURNAL)).toMatchObject({state: 'done'});
    expect(flights.flat()).toEqual([]);
    expect(await entries()).toEqual([]);
  });

  test('is decided of many sessions, each with its own text', async () => {
    const ids = Array.from({length: 120}, (_, index) => rawId(`m${index}`));
    const outcomes = await changeOnCluster(
      redis,
      ids,
      writing((id) => [`of ${id}`, null]),
      JOURNAL,
    );
    expect(outcomes.map((outcome) => (outcome as {id: string}).id)).toEqual(ids);
    expect(await texts()).toEqual(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, `of ${id}`]).sort()));
    const [begun, concluded] = [(await entries()).slice(0, 3), (await entries()).slice(3)];
    expect(begun.map(({sessions = ''}) => (JSON.parse(sessions) as unknown[]).length)).toEqual([250, 250, 100]);
    expect(concluded.map(({completes}) => completes)).toEqual(begun.map(({id}) => id));
    const groups: number[] = [];
    await changeOnCluster(
      {
        ...redis,
        pipelineBytes(commands) {
          if (commands[0]?.[0] === 'EVAL') groups.push(commands.length);
          return redis.pipelineBytes(commands);
        },
      },
      ids,
      writing(() => null),
      undefined,
    );
    expect(groups).toEqual([3]);
  });

  test('without texts of single sessions is decided too', async () => {
    await fill();
    const {shapes, args, read, lookAt, preview} = removing();
    const scripts = scriptsOf(`return own == false and 'no own' or 'own', {args[1], args[2]}`);
    expect(await changeOne(redis, {shapes, args, read, lookAt, preview, scripts})).toMatchObject({
      result: {word: 'no own'},
    });
    expect(await texts()).toEqual({'session:a:budget': 'as ', 'session:a:spent': 'told'});
  });

  test('may hold any bytes', async () => {
    const key = 'session:a:budget';
    const client = nodes.clientOf(key);
    await client.set(key, Buffer.from('\xff\xfc "', 'latin1'));
    const outcome = await changeOne(redis, {
      ...writing(() => null),
      scripts: scriptsOf(`return 'read', {false, old[1] .. '\\254'}`),
      read: (id, word, old) => ({id, state: 'done', result: {word, old}}),
    });
    expect(outcome).toMatchObject({result: {old: [Buffer.from('\xff\xfc "', 'latin1').toString(), false]}});
    const spent: unknown = await redis.pipelineBytes([['GET', 'session:a:spent']]);
    expect(spent).toEqual([Buffer.from('\xff\xfc "\xfe', 'latin1')]);
  });
});

describe('a value', () => {
  const key = 'session:a:budget';
  test('with a life is put there with it, and recorded with what it had', async () => {
    await nodes.clientOf(key).set(key, '5', {PX: 900_000});
    await changeOne(
      redis,
      writing(() => [['6', 1_000_000], '7']),
      JOURNAL,
    );
    expect(await texts()).toEqual({[key]: '6', 'session:a:spent': '7'});
    expect(await nodes.clientOf(key).pTTL(key)).toBeGreaterThan(990_000);
    expect(await nodes.clientOf('session:a:spent').pTTL('session:a:spent')).toBe(-1);
    const [, [old, ttl], next, ...rest] = JSON.parse((await entries())[0]?.['sessions'] ?? '') as [
      string,
      [string, number],
      ...unknown[],
    ];
    expect([old, next, rest]).toEqual(['5', ['6', 1_000_000], [false, '7']]);
    expect(ttl).toBeGreaterThan(890_000);
    expect(ttl).toBeLessThanOrEqual(900_000);
  });

  test('that is no text is told as that, and recorded so that it can be put back', async () => {
    await nodes.clientOf(key).lPush(key, ['x', 'y']);
    await nodes.clientOf(key).pExpire(key, 900_000);
    await nodes.clientOf('session:a:spent').set('session:a:spent', '1');
    const other = 'session:b:spent';
    await nodes.clientOf(other).sAdd(other, 'z');
    const outcomes = await changeOnCluster(redis, [A, rawId('b')], removing(), JOURNAL);
    expect(outcomes).toMatchObject([{result: {old: [true, '1']}}, {result: {old: [false, true]}}]);
    expect(await texts()).toEqual({});
    const [a, [dump, ttl, kind], after, spent, , b, , , [otherDump, otherTtl]] = JSON.parse(
      (await entries())[0]?.['sessions'] ?? '',
    ) as [string, [string, number, string], boolean, string, boolean, string, boolean, boolean, [string, number]];
    expect([a, kind, after, spent, b, otherTtl]).toEqual(['a', 'dump', false, '1', 'b', -1]);
    expect(ttl).toBeGreaterThan(890_000);

    await changeOne(
      redis,
      writing(() => [[dump, 800_000, 'dump'], null]),
    );
    expect(await nodes.clientOf(key).lRange(key, 0, -1)).toEqual(['y', 'x']);
    expect(await nodes.clientOf(key).pTTL(key)).toBeLessThanOrEqual(800_000);
    await changeOnCluster(
      redis,
      [rawId('b')],
      writing(() => [null, [otherDump, -1, 'dump']]),
      undefined,
    );
    expect(await nodes.clientOf(other).sMembers(other)).toEqual(['z']);
    expect(await nodes.clientOf(other).pTTL(other)).toBe(-1);
  });

  test('that is no text, and stays, is recorded as that', async () => {
    await nodes.clientOf(key).lPush(key, 'x');
    await changeOne(
      redis,
      writing(() => [null, '1']),
      JOURNAL,
    );
    expect((await entries())[0]).toMatchObject({sessions: JSON.stringify(['a', true, true, false, '1'])});
  });
});

describe('the journal', () => {
  test('gets an entry of what is about to be done, and one of what of it was done', async () => {
    await fill();
    const {flights, recorded} = recording();
    const outcome = await changeOne(recorded, removing(), {...JOURNAL, undoes: 'zyxwvutsrq'});
    expect(outcome).toMatchObject({state: 'done'});
    expect(flights).toEqual([[JOURNAL_KEY], ['session:a:budget'], ['session:a:spent'], [JOURNAL_KEY]]);
    const [begun, concluded] = await entries();
    expect(begun).toEqual({
      ...{id: begun?.['id'], change: 'abcdefghij', began: '', command: 'reset-session', actor: 'ops', reason: 'why'},
      ...{version: '1', undoes: 'zyxwvutsrq', keys: 'budget spent', state: 'begun'},
      sessions: '["a","5.0",false,"1.0",false]',
    });
    expect(concluded).toEqual({
      ...{id: concluded?.['id'], change: 'abcdefghij', completes: begun?.['id'], only: '[]', unknown: '[]'},
    });
    expect(await texts()).toEqual({});
  });

  test('is kept to its length', async () => {
    const client = nodes.clientOf(JOURNAL_KEY);
    for (let n = 0; n < 300; n++) await client.xAdd(JOURNAL_KEY, '*', {n: String(n)});
    await changeOne(
      redis,
      writing(() => ['1', null]),
      {...JOURNAL, limit: 100},
    );
    expect(await client.xLen(JOURNAL_KEY)).toBeLessThan(250);
  });

  test('of another type refuses the change, of which nothing is done', async () => {
    await fill();
    await write({[JOURNAL_KEY]: 'text'});
    const error = errorOf(await changeOne(redis, removing(), JOURNAL));
    expect(error.code).toBe('JOURNAL_REFUSED');
    expect(error.message).toMatch(/^The journal of changes cannot be written: /);
    expect(await texts()).toEqual({'session:a:budget': '5.0', 'session:a:spent': '1.0'});
  });

  test('that gives no answer leaves the change undone', async () => {
    await fill();
    const outcome = await changeOne(
      meanwhile((flight) => (flight === 1 ? [new NoReply(LOST)] : undefined)),
      removing(),
      JOURNAL,
    );
    expect(outcome).toEqual(new NoReply(LOST, false));
    expect(Object.keys(await texts())).toHaveLength(2);
  });

  test('that is refused for one group is no hindrance to another', async () => {
    const ids = Array.from({length: 51}, (_, index) => rawId(`m${index}`));
    const outcomes = await changeOnCluster(
      meanwhile(async (flight, send) => {
        const replies = await send();
        return flight === 1 ? [new ErrorReply('OOM no memory'), ...replies.slice(1)] : replies;
      }),
      ids,
      writing(() => ['1', null]),
      JOURNAL,
    );
    expect(new Set(outcomes.slice(0, 50).map((outcome) => errorOf(outcome).code))).toEqual(
      new Set(['REDIS_OUT_OF_MEMORY']),
    );
    expect(outcomes[50]).toMatchObject({state: 'done'});
    expect(await texts()).toEqual({'session:m50:budget': '1'});
  });

  test('takes a change that frees memory when memory is full, and no other', async () => {
    await fill();
    await write({'session:b:budget': '1'});
    for (const client of nodes.clients) await client.configSet('maxmemory', '1');
    try {
      const change = writing((id) => [false, id === A ? false : '2']);
      const both = await changeOnCluster(redis, [A, rawId('b')], change, JOURNAL);
      for (const outcome of both) expect(errorOf(outcome).code).toBe('REDIS_OUT_OF_MEMORY');
      expect(await entries()).toEqual([]);
      expect(await changeOne(redis, removing(), JOURNAL)).toMatchObject({state: 'done'});
      const [, concluded] = await entries();
      expect(concluded).toMatchObject({only: '[]'});
      expect(await texts()).toEqual({'session:b:budget': '1'});
      expect([...(redis.cluster?.doubts ?? [])]).toEqual([]);
    } finally {
      for (const client of nodes.clients) await client.configSet('maxmemory', '0');
    }
  });

  test.each([
    [new NoReply(LOST), 'The connection is gone.'],
    [new ErrorReply('OOM command not allowed'), /is out of memory/],
  ])('that does not say what was done is a doubt: %o', async (reply, why) => {
    await fill();
    const outcome = await changeOne(
      meanwhile((flight) => (flight === 4 ? [reply] : undefined)),
      removing(),
      JOURNAL,
    );
    expect(outcome).toMatchObject({state: 'done'});
    const [doubt = '', ...others] = redis.cluster?.doubts ?? [];
    expect(others).toEqual([]);
    expect(doubt).toMatch(/^The journal shows change abcdefghij as not known to be complete: /);
    expect(doubt).toMatch(why);
  });
});

describe('the steps of a change', () => {
  const ALL = [BUDGET_KEYS, SPENT_KEYS, FREEZE_REASON_KEYS, REQUEST_COUNT_KEYS, FROZEN_UNTIL_KEYS];
  const orderOf = async (change: Change<unknown>): Promise<string[]> => {
    const {flights, recorded} = recording();
    await changeOne(recorded, change);
    return flights.flat().map((key) => key.replace(/^\w+:[^:]+:/, ''));
  };

  test('come in an order in which an interruption leaves no session free, and forgets no money', async () => {
    expect(await orderOf(writing(() => ALL.map(() => '1'), ALL))).toEqual([
      ...['spent', 'frozen_until', 'freeze_reason', 'requests:1min', 'budget'],
    ]);
    expect(await orderOf(removing(ALL))).toEqual([
      ...['requests:1min', 'budget', 'frozen_until', 'freeze_reason', 'spent'],
    ]);
  });

  test('of keys that share a slot are one, which comes with the last of them', async () => {
    const id = sharing();
    const {flights, recorded} = recording();
    const shapes = [FROZEN_UNTIL_KEYS, SPENT_KEYS, BUDGET_KEYS];
    await write({[`anomaly:${id}:frozen_until`]: 'x'});
    const change = writing(() => [false, '1', '2'], shapes);
    expect(await changeOnCluster(recorded, [id], change, undefined)).toMatchObject([{state: 'done'}]);
    expect(flights).toEqual([[`session:${id}:budget`], [`anomaly:${id}:frozen_until session:${id}:spent`]]);
    expect(await texts()).toEqual({[`session:${id}:budget`]: '2', [`session:${id}:spent`]: '1'});
  });

  test('of an ID with a hash tag are one, which is refused whole when anything has changed', async () => {
    const id = rawId('{t}');
    await write({'session:{t}:budget': '5', 'session:{t}:spent': '1'});
    const seen: unknown[] = [];
    const outcomes = await changeOnCluster(
      meanwhile(async (flight) => {
        seen.push(await texts());
        if (flight === 1) await write({'session:{t}:spent': '2'});
      }),
      [id],
      writing(() => [['6', 900_000], false]),
      undefined,
    );
    expect(outcomes).toMatchObject([{state: 'done', result: {old: ['5', '2']}}]);
    expect(seen).toEqual([
      {'session:{t}:budget': '5', 'session:{t}:spent': '1'},
      {'session:{t}:budget': '5', 'session:{t}:spent': '2'},
    ]);
    expect(await texts()).toEqual({'session:{t}:budget': '6'});
    expect(await nodes.clientOf('session:{t}:budget').pTTL('session:{t}:budget')).toBeGreaterThan(890_000);
  });

  test('of an ID with a hash tag may hold any bytes', async () => {
    const id = rawId('{\xfc}');
    const keys = BOTH.map((shape) => keyOf(shape, id));
    await changeOnCluster(
      redis,
      [id],
      writing(() => ['\xfe', '1']),
      undefined,
    );
    const [value] = await redis.pipelineBytes([['GET', keys[0] ?? '']]);
    expect(value).toEqual(Buffer.from('\xfe', 'latin1'));
  });

  test('of many sessions go in as many flights as the longest has', async () => {
    await fill();
    await write({'session:b:spent': '1'});
    const {flights, recorded} = recording();
    await changeOnCluster(recorded, [A, rawId('b')], removing(), undefined);
    expect(flights).toEqual([['session:a:budget', 'session:b:spent'], ['session:a:spent']]);
  });
});

describe('a change that plans', () => {
  test('writes where what it expects stands there, and tells the rest at once', async () => {
    await fill();
    const change = planned((id, old) =>
      id === A
        ? {state: 'write', expected: [...old], next: ['6.0', null], result: `was ${JSON.stringify(old)}`}
        : {id: 'b', state: 'not_found'},
    );
    expect(await changeOnCluster(redis, [A, rawId('b')], change, JOURNAL)).toEqual([
      {id: 'a', state: 'done', result: 'was ["5.0","1.0"]'},
      {id: 'b', state: 'not_found'},
    ]);
    expect(await texts()).toEqual({'session:a:budget': '6.0', 'session:a:spent': '1.0'});
    expect((await entries())[0]).toMatchObject({sessions: '["a","5.0","6.0","1.0",true]'});
  });

  test.each([
    ['where that does not matter is not refused', null, {'session:a:budget': '6.0', 'session:a:spent': '1.0'}, 1],
    ['where that matters plans again', '5.0', {'session:a:budget': '6.0', 'session:a:spent': '1.0'}, 2],
  ])('and meets something else %s', async (_, expected, after, times) => {
    await fill();
    const plan = vi.fn<PlannedChange<string>['plan']>((_id, [budget]) => ({
      state: 'write',
      expected: [expected === null ? null : (budget ?? false), null],
      next: ['6.0', null],
      result: 'done',
    }));
    const on = meanwhile(async (flight) => {
      if (flight === 1) await write({'session:a:budget': '9'});
    });
    expect(await changeOne(on, planned(plan))).toMatchObject({state: 'done'});
    expect(plan.mock.calls.map(([, old]) => old)).toEqual(
      [
        ['5.0', '1.0'],
        ['9', '1.0'],
      ].slice(0, times),
    );
    expect(await texts()).toEqual(after);
  });
});

describe('a session that somebody else changes in between', () => {
  test('is decided on as at first where it was changed already, and shares the moment at which it began', async () => {
    await fill();
    const on = meanwhile(async (flight) => {
      if (flight === 3) await write({'session:a:spent': '2.0'});
    });
    expect(await changeOne(on, removing(), JOURNAL)).toMatchObject({
      state: 'done',
      result: {old: ['5.0', '2.0']},
    });
    const [first, moved, second, done, ...others] = await entries();
    expect(first).toMatchObject({began: '', sessions: '["a","5.0",false,"1.0",false]'});
    expect(moved).toMatchObject({completes: first?.['id'], only: '[["a","budget"]]', unknown: '[]'});
    expect(second).toMatchObject({
      began: String(Number.parseInt(first?.['id'] ?? '')),
      sessions: '["a","5.0",true,"2.0",false]',
    });
    expect(done).toMatchObject({completes: second?.['id'], only: '[]', unknown: '[]'});
    expect(others).toEqual([]);
  });

  test('keeps the moment that is given', async () => {
    const began = new Date(Date.UTC(2026, 0, 2));
    const on = meanwhile(async (flight) => {
      if (flight === 2) await write({'session:a:budget': '9'});
    });
    await changeOne(
      on,
      writing(() => ['1', null]),
      {...JOURNAL, began},
    );
    const begun = (await entries()).filter(({state}) => state === 'begun');
    expect(begun.map((entry) => entry['began'])).toEqual([String(began.getTime()), String(began.getTime())]);
  });

  test('is told to have no change at all, when none was made', async () => {
    await fill();
    let count = 0;
    const on = meanwhile(async () => write({'session:a:budget': String(count++)}));
    const error = errorOf(await changeOne(on, removing([BUDGET_KEYS])));
    expect({code: error.code, message: error.message}).toEqual({
      code: 'CONTENDED',
      message: 'it keeps changing. Nothing was changed.',
    });
    expect(count).toBe(100);
  });

  test('is told with all that was changed', async () => {
    const shapes = [REQUEST_COUNT_KEYS, FROZEN_UNTIL_KEYS, BUDGET_KEYS, SPENT_KEYS];
    await write({'session:a:budget': 'ü', 'session:a:spent': '1.0'});
    const frozen = 'anomaly:a:frozen_until';
    await nodes.clientOf(frozen).lPush(frozen, 'x');
    const on = meanwhile(async (flight) => {
      if (flight >= 4) await write({'session:a:spent': `${flight}.5`});
    });
    const error = errorOf(
      await changeOne(
        on,
        writing(() => ['1', false, '2', false], shapes),
      ),
    );
    expect({code: error.code, message: error.message}).toEqual({
      code: 'CONTENDED',
      message:
        "it keeps changing. Only this was changed: requests:1min (it was none), budget (it was 'ü'), frozen_until (it was no text).",
    });
    expect(await texts()).toMatchObject({'anomaly:a:requests:1min': '1', 'session:a:budget': '2'});
  });
});

describe('what is refused', () => {
  test('before anything was changed is told as it is', async () => {
    await fill();
    const on = meanwhile((flight) => (flight === 1 ? [new ErrorReply('OOM no memory')] : undefined));
    const error = errorOf(await changeOne(on, removing()));
    expect({code: error.code, message: error.message}).toEqual({
      code: 'REDIS_OUT_OF_MEMORY',
      message: expect.stringMatching(/is out of memory \(maxmemory\) and refused the write\.$/) as string,
    });
  });

  test('in the middle is told with what was changed, which the journal knows', async () => {
    await fill();
    const on = meanwhile((flight) => (flight === 3 ? [new ErrorReply('OOM no memory')] : undefined));
    const error = errorOf(await changeOne(on, removing(), JOURNAL));
    expect(error.code).toBe('CHANGE_INCOMPLETE');
    expect(error.message).toMatch(/is out of memory.* Only this was changed: budget \(it was '5\.0'\)\.$/);
    expect((await entries())[1]).toMatchObject({only: '[["a","budget"]]', unknown: '[]'});
  });

  test('in one of several sessions, leaves the others', async () => {
    const ids = ['x', 'y', 'z'].map(rawId);
    await write(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, id])));
    const on = meanwhile(async (flight, send) => {
      const replies = await send();
      return flight === 2 ? replies.with(1, new ErrorReply('OOM no memory')) : replies;
    });
    const outcomes = await changeOnCluster(on, ids, removing(), JOURNAL);
    expect(outcomes).toMatchObject([{state: 'done'}, {state: 'failed'}, {state: 'done'}]);
    expect((await entries())[1]).toMatchObject({only: '[["y"]]', unknown: '[]'});
  });

  test('is told to the journal by the bytes of its ID, and the names of its keys', async () => {
    const id = rawId('\xfc');
    const on = meanwhile((flight) => (flight === 3 ? [new ErrorReply('OOM no memory')] : undefined));
    const change = writing(() => ['1', '2'], [FREEZE_REASON_KEYS, FROZEN_UNTIL_KEYS]);
    expect(await changeOnCluster(on, [id], change, JOURNAL)).toMatchObject([{state: 'failed'}]);
    expect((await entries())[1]).toMatchObject({only: '[["\xfc","frozen_until"]]', unknown: '[]'});
  });

  test('by Redis itself when it is written, is told', async () => {
    await fill();
    const error = errorOf(
      await changeOne(
        redis,
        writing(() => [['no dump', -1, 'dump'], false]),
      ),
    );
    expect(error.message).toContain('DUMP payload version or checksum are wrong');
    expect(await texts()).toEqual({'session:a:budget': '5.0', 'session:a:spent': '1.0'});
  });

  test('when it is read, after a part was changed, is told with that', async () => {
    await fill();
    const moving = meanwhile(async (flight) => {
      if (flight === 2) await write({'session:a:spent': '2.0'});
    });
    let reads = 0;
    const on: Redis = {
      ...moving,
      async pipelineBytes(commands) {
        const replies = await moving.pipelineBytes(commands);
        return commands[0]?.[0] === 'GET' && ++reads === 2 ? replies.with(0, new ErrorReply('ERR odd')) : replies;
      },
    };
    const error = errorOf(await changeOne(on, removing()));
    expect(error.code).toBe('CHANGE_INCOMPLETE');
    expect(error.message).toMatch(/ERR odd.* Only this was changed: budget \(it was '5\.0'\)\.$/);
  });

  test.each([0, 1, 2, 3])('when reply %i is read, is that session alone', async (index) => {
    await fill();
    await write({'session:b:budget': '1'});
    const on = reading(redis, async (flight, send) => {
      const replies = await send();
      return flight === 1 ? replies.with(index, new ErrorReply('ERR odd')) : replies;
    });
    const outcomes = await changeOnCluster(on, [A, rawId('b')], removing(), undefined);
    expect(errorOf(outcomes[0]).message).toContain('ERR odd');
    expect(outcomes[1]).toMatchObject({state: 'done'});
    expect(Object.keys(await texts())).toEqual(['session:a:budget', 'session:a:spent']);
  });

  test('when what is no text is to be copied, is that session alone', async () => {
    const key = 'session:a:budget';
    await nodes.clientOf(key).lPush(key, 'x');
    const on = reading(redis, async (flight, send) => (flight === 2 ? [new ErrorReply('ERR odd')] : send()));
    expect(errorOf(await changeOne(on, removing())).message).toContain('ERR odd');
    expect(Object.keys(await texts())).toEqual([key]);
  });

  test('when it is decided, is told of each session', async () => {
    await fill();
    const outcomes = await changeOnCluster(
      redis,
      [A, rawId('b')],
      {...removing(), scripts: scriptsOf('error("no way")')},
      undefined,
    );
    for (const outcome of outcomes) expect(errorOf(outcome).message).toContain('no way');
    expect(outcomes).toMatchObject([{id: 'a'}, {id: 'b'}]);
    expect(Object.keys(await texts())).toHaveLength(2);
  });

  test.each([[undefined], [JOURNAL]])(
    'for want of a right to scripts is told with what that means: %o',
    async (journal) => {
      await fill();
      for (const client of nodes.clients) {
        await client.sendCommand(['ACL', 'SETUSER', 'some', 'reset', 'on', '>pass', '~*', '+@all', '-eval']);
      }
      const some = await connect({url: (nodes.urls[0] ?? '').replace('://', '://some:pass@')});
      try {
        const change = planned(() => ({state: 'write', expected: [null, null], next: ['1', null], result: ''}));
        for (const error of [
          errorOf(await changeOne(some, removing(), journal)),
          errorOf(await changeOne(some, change, journal)),
        ]) {
          expect(error.code).toBe('REDIS_NO_PERMISSION');
          expect(error.message).toContain("'eval' command");
          expect(error.message).not.toContain('JOURNAL');
          expect(error.hint).toBe(
            'Every change on a Cluster needs scripts (EVAL), with or without the journal. Nothing was changed.',
          );
          expect(error.cause).toBeInstanceOf(ErrorReply);
        }
      } finally {
        some.close();
      }
    },
  );

  test('for want of another right is told as ever', async () => {
    const on = meanwhile(() => [new ErrorReply("NOPERM this user has no permissions to run the 'get' command")]);
    const error = errorOf(
      await changeOne(
        on,
        writing(() => ['1', null]),
      ),
    );
    expect(error.code).toBe('REDIS_NO_PERMISSION');
    expect(error.hint).not.toContain('Every change on a Cluster');
  });
});

describe('what gets no answer', () => {
  const timeout = new TokengateError('REDIS_TIMEOUT', 'It took too long.');

  test('when it is read first, is certainly not done', async () => {
    const on = reading(redis, async () => Promise.reject(LOST));
    expect(await changeOne(on, removing())).toEqual(new NoReply(LOST, false));
  });

  test('when it is decided, is certainly not done', async () => {
    await fill();
    const on = reading(redis, async (flight) => (flight === 2 ? Promise.reject(LOST) : undefined));
    expect(await changeOnCluster(on, [A, rawId('b')], removing(), undefined)).toEqual([
      new NoReply(LOST, false),
      new NoReply(LOST, false),
    ]);
  });

  test('when it is read again, may be done in part', async () => {
    await fill();
    const moving = meanwhile(async (flight) => {
      if (flight === 2) await write({'session:a:spent': '2.0'});
    });
    const on = reading(moving, async (flight) => (flight === 3 ? Promise.reject(LOST) : undefined));
    expect(await changeOne(on, removing())).toEqual(new NoReply(LOST, true));
  });

  test('and was not sent, is not done, but may be in part', async () => {
    await fill();
    const unsent = new NoReply(LOST, false);
    const at = (number: number): Redis => meanwhile((flight) => (flight === number ? [unsent] : undefined));
    expect(await changeOne(at(1), removing())).toEqual(new NoReply(LOST, false));
    expect(Object.keys(await texts())).toHaveLength(2);
    expect(await changeOne(at(3), removing(), JOURNAL)).toEqual(new NoReply(LOST, true));
    expect(await texts()).toEqual({'session:a:spent': '1.0'});
    expect((await entries())[1]).toMatchObject({only: '[["a","budget"]]', unknown: '[]'});
  });

  test('in time, is not looked at again', async () => {
    await fill();
    let reads = 0;
    const on = reading(
      meanwhile((flight) => (flight === 2 ? [new NoReply(timeout)] : undefined)),
      () => {
        reads++;
      },
    );
    expect(await changeOne(on, removing(), JOURNAL)).toEqual(new NoReply(timeout, true));
    expect(reads).toBe(2);
    expect((await entries())[1]).toMatchObject({only: '[]', unknown: '["a"]'});
    expect(Object.keys(await texts())).toHaveLength(2);
  });

  test.each([
    ['a removal', removing(), {}],
    ['a text', writing(() => ['6', '7']), {'session:a:budget': '6', 'session:a:spent': '7'}],
    ['a text with a life', writing(() => [['6', 900_000], '7']), {'session:a:budget': '6', 'session:a:spent': '7'}],
    ['of a hash tag', removing(), {}],
  ])(
    'but stands there as wanted, is finished, though it is unknown whose work it was: %s',
    async (name, change, after) => {
      const id = name === 'of a hash tag' ? rawId('{t}') : A;
      await write({[`session:${id}:budget`]: '5.0', [`session:${id}:spent`]: '1.0'});
      const on = meanwhile(async (flight, send) => {
        if (flight !== 2) return undefined;
        await send();
        return [new NoReply(LOST)];
      });
      expect(await changeOnCluster(on, [id], change, JOURNAL)).toEqual([new NoReply(LOST, true)]);
      expect(await texts()).toEqual(after);
      expect((await entries())[1]).toMatchObject({only: '[]', unknown: JSON.stringify([id])});
    },
  );

  test('but stands there as before, is tried again', async () => {
    await fill();
    const on = meanwhile((flight) => (flight === 2 || flight === 7 ? [new NoReply(LOST)] : undefined));
    expect(await changeOne(on, removing(), JOURNAL)).toMatchObject({state: 'done', result: {old: ['5.0', '1.0']}});
    expect(await texts()).toEqual({});
    expect((await entries()).map(({only, unknown}) => [only, unknown])).toEqual([
      [undefined, undefined],
      ['[["a"]]', '[]'],
      [undefined, undefined],
      ['[["a","budget"]]', '[]'],
      [undefined, undefined],
      ['[]', '[]'],
    ]);
  });

  test('but stands there as wanted, stays unknown, though the rest is tried again', async () => {
    await fill();
    const on = meanwhile(async (flight, send) => {
      if (flight === 2) await write({'session:a:spent': '2.0'});
      if (flight !== 1) return undefined;
      await send();
      return [new NoReply(LOST)];
    });
    expect(await changeOne(on, removing())).toEqual(new NoReply(LOST, true));
    expect(await texts()).toEqual({});
  });

  test.each([
    ['as before', 'x'],
    ['as wanted', '9'],
  ])('and stands there %s only in part, is unknown, and nothing follows', async (_, frozen) => {
    const id = sharing();
    const [until, budget, spent] = [`anomaly:${id}:frozen_until`, `session:${id}:budget`, `session:${id}:spent`];
    await write({[until]: 'x', [budget]: '5', [spent]: '1'});
    const on = meanwhile(async (flight) => {
      if (flight !== 1) return undefined;
      await write({[until]: frozen, [spent]: '7'});
      return [new NoReply(LOST)];
    });
    const change = writing(() => ['2', '9', '6'], [SPENT_KEYS, FROZEN_UNTIL_KEYS, BUDGET_KEYS]);
    expect(await changeOnCluster(on, [id], change, undefined)).toEqual([new NoReply(LOST, true)]);
    expect(await texts()).toEqual({[until]: frozen, [budget]: '5', [spent]: '7'});
  });

  test('and stands there as neither, is unknown', async () => {
    await fill();
    const on = meanwhile(async (flight) => {
      if (flight !== 1) return undefined;
      await write({'session:a:budget': '9'});
      return [new NoReply(LOST)];
    });
    expect(await changeOne(on, removing())).toEqual(new NoReply(LOST, true));
    expect(await texts()).toEqual({'session:a:budget': '9', 'session:a:spent': '1.0'});
  });

  test('and cannot be looked at, is unknown', async () => {
    await fill();
    const on = reading(
      meanwhile((flight) => (flight === 1 ? [new NoReply(LOST)] : undefined)),
      async (flight) => (flight === 3 ? Promise.reject(timeout) : undefined),
    );
    expect(await changeOne(on, removing())).toEqual(new NoReply(LOST, true));
  });

  test('is looked at for each session on its own', async () => {
    const ids = ['x', 'y', 'z', 'w'].map(rawId);
    await write(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, id])));
    const on = meanwhile(async (flight, send) => {
      if (flight !== 2) return undefined;
      const [first = []] = await send();
      // Nothing was done of the second, of the last it is not known.
      await write({'session:y:budget': 'y', 'session:w:budget': '?'});
      return [first, new NoReply(LOST), new NoReply(LOST), new NoReply(LOST)];
    });
    const outcomes = await changeOnCluster(on, ids, removing(), JOURNAL);
    expect(outcomes).toMatchObject([{state: 'done'}, {state: 'done'}, {error: LOST}, {error: LOST}]);
    expect((await entries())[1]).toMatchObject({only: '[["y"]]', unknown: '["z","w"]'});
    expect(await texts()).toEqual({'session:w:budget': '?'});
  });
});

test.each([
  ['read', (mistake: Error) => reading(redis, async (flight) => (flight === 1 ? Promise.reject(mistake) : undefined))],
  [
    'decided',
    (mistake: Error) => reading(redis, async (flight) => (flight === 2 ? Promise.reject(mistake) : undefined)),
  ],
  [
    'looked at again',
    (mistake: Error) =>
      reading(
        meanwhile((flight) => (flight === 1 ? [new NoReply(LOST)] : undefined)),
        async (flight) => (flight === 3 ? Promise.reject(mistake) : undefined),
      ),
  ],
])('a mistake of the program itself, when it is %s, is not hidden', async (_, make) => {
  await fill();
  const mistake = new RangeError('a mistake');
  await expect(changeOne(make(mistake), removing())).rejects.toBe(mistake);
});
