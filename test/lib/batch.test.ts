import {beforeEach, expect, test} from 'vitest';

import {type BatchOptions, type Outcome, previewBatch, runBatch} from '../../src/lib/batch.js';
import {type RawId, rawId} from '../../src/lib/ids.js';
import {connect, type Redis} from '../../src/lib/redis.js';
import {type Reset, resetting} from '../../src/lib/resets.js';
import {startProxy} from '../support/proxy.js';
import type {TestRedis} from '../support/redis-server.js';
import {withRedis} from '../support/with-redis.js';

const SESSIONS = 5100;
const ids: RawId[] = Array.from({length: SESSIONS}, (_, index) => rawId(`s${String(index).padStart(4, '0')}`));
const OPTIONS = {keepBudget: false};
/** Another for each, so that what is told of one is not taken for another's. */
const budgetOf = (id: string): string => `${Number(id.slice(1)) + 1}.25`;
const LOST = 'REDIS_CONNECTION_LOST';
const JOURNAL = {change: 'abcdefghij', command: 'reset-session', actor: 'me', reason: '', version: '1', limit: 1000};

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));
beforeEach(() => server.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, budgetOf(id)])));

const running = (): BatchOptions => ({journal: undefined, stop: new AbortController().signal});
const statesOf = (outcomes: readonly Outcome<Reset>[]): Set<string> => new Set(outcomes.map(({state}) => state));

async function collect(batch: AsyncIterable<Outcome<Reset>[]>): Promise<Outcome<Reset>[]> {
  const all: Outcome<Reset>[] = [];
  for await (const outcomes of batch) all.push(...outcomes);
  return all;
}

test('a batch yields each session once, in the order given', async () => {
  const outcomes = await collect(runBatch(redis, ids, resetting(redis, OPTIONS), running()));
  expect(outcomes.map(({id}) => id)).toEqual(ids);
  expect(statesOf(outcomes)).toEqual(new Set(['done']));
  expect(await server.client.dbSize()).toBe(0);
});

test('a batch of no session does nothing', async () => {
  expect(await collect(runBatch(redis, [], resetting(redis, OPTIONS), running()))).toEqual([]);
});

test('a batch that is stopped before it begins changes nothing', async () => {
  const outcomes = await collect(
    runBatch(redis, ids, resetting(redis, OPTIONS), {journal: undefined, stop: AbortSignal.abort()}),
  );
  expect(outcomes).toHaveLength(SESSIONS);
  expect(statesOf(outcomes)).toEqual(new Set(['not_done']));
  expect(await server.client.dbSize()).toBe(SESSIONS);
});

test('a batch that is stopped ends the flight that is under way, and begins no other', async () => {
  const stop = new AbortController();
  const outcomes: Outcome<Reset>[] = [];
  for await (const some of runBatch(redis, ids, resetting(redis, OPTIONS), {journal: undefined, stop: stop.signal})) {
    outcomes.push(...some);
    stop.abort();
  }
  const done = outcomes.filter(({state}) => state === 'done');
  expect(outcomes.map(({id}) => id)).toEqual(ids);
  expect(statesOf(outcomes)).toEqual(new Set(['done', 'not_done']));
  expect(await server.client.dbSize()).toBe(SESSIONS - done.length);
});

test('what a reset removes comes with what nobody had read before', async () => {
  await server.client.set('session:s0000:spent', '7.5E-7');
  const [first] = await collect(runBatch(redis, ids.slice(0, 1), resetting(redis, OPTIONS), running()));
  expect(first).toEqual({
    id: 's0000',
    state: 'done',
    result: {id: 's0000', key: 's0000', budget: '1.25', spent: '7.5E-7'},
  });
});

test.each([undefined, JOURNAL])(
  'when an answer is lost, what was there and is there is told; journal: %j',
  async (journal) => {
    // In a flight that begins when an earlier one has ended.
    const proxy = await startProxy(server, (request) =>
      /EVAL\r\n.*session:s2000:/s.test(request) ? 'lose-reply' : 'pass',
    );
    const through = await connect({url: proxy.url});
    try {
      const outcomes = await collect(runBatch(through, ids, resetting(through, OPTIONS), {...running(), journal}));
      expect(outcomes.map(({id}) => id)).toEqual(ids);
      expect(statesOf(outcomes)).toEqual(new Set(['done', 'unknown', 'not_done']));
      for (const outcome of outcomes) {
        const isLeft = (await server.client.exists(`session:${outcome.id}:budget`)) === 1;
        if (outcome.state === 'done')
          expect({isLeft, ...outcome.result}).toMatchObject({isLeft: false, id: outcome.id});
        if (outcome.state === 'not_done')
          expect({isLeft, code: outcome.cause?.code}).toEqual({isLeft: true, code: LOST});
        if (outcome.state !== 'unknown') continue;
        const budget = `$${budgetOf(outcome.id)}`;
        const record = journal && (isLeft ? 'has no such change.' : 'has it, as change abcdefghij: it was done.');
        expect(outcome.look).toBe(
          `Before: budget ${budget}, spent none. Now: budget ${isLeft ? budget : 'none'}, spent none.${
            record === undefined ? '' : ` The journal ${record}`
          }`,
        );
        expect(outcome.cause.code).toBe(LOST);
      }
    } finally {
      through.close();
      await proxy.stop();
    }
  },
);

test('when the connection ends before the first change all is left, and the cause is told', async () => {
  const proxy = await startProxy(server, (request) => (request.includes('MGET') ? 'lose-reply' : 'pass'));
  const through = await connect({url: proxy.url});
  try {
    const outcomes = await collect(runBatch(through, ids, resetting(through, OPTIONS), running()));
    expect(statesOf(outcomes)).toEqual(new Set(['not_done']));
    expect(outcomes[0]).toMatchObject({cause: {code: 'REDIS_CONNECTION_LOST'}});
    expect(await server.client.dbSize()).toBe(SESSIONS);
  } finally {
    through.close();
    await proxy.stop();
  }
});

test('a preview writes nothing, and can be left at any time', async () => {
  const {client} = server;
  const changes = async (): Promise<string> =>
    /rdb_changes_since_last_save:\d+/.exec(await client.info('persistence'))![0];
  const before = await changes();
  for await (const previews of previewBatch(redis, ids, resetting(redis, OPTIONS))) {
    expect(new Set(previews.map(({state}) => state))).toEqual(new Set(['done']));
    break;
  }
  expect(await changes()).toBe(before);
});

test('a preview says of each what is there', async () => {
  const previews = [];
  for await (const some of previewBatch(redis, [...ids, rawId('none')], resetting(redis, OPTIONS)))
    previews.push(...some);
  expect(previews).toEqual([
    ...ids.map((id) => ({id, state: 'done', now: `budget $${budgetOf(id)}, spent none`})),
    {id: 'none', state: 'not_found', now: 'budget none, spent none'},
  ]);
});

test('four flights are under way at once, and what is stopped while they are read changes no more', async () => {
  const stop = new AbortController();
  const outcomes: Outcome<Reset>[] = [];
  for await (const some of runBatch(redis, ids, resetting(redis, OPTIONS), {journal: JOURNAL, stop: stop.signal})) {
    outcomes.push(...some);
    stop.abort();
  }
  expect(outcomes.filter(({state}) => state === 'done').map(({id}) => id)).toEqual(ids.slice(0, 2500));
});
