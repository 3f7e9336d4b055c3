import {beforeEach, describe, expect, test, vi} from 'vitest';

import {type BatchOptions, type Outcome, previewBatch, runBatch} from '../../../../src/lib/change/batch.js';
import {type Reset, resetChange} from '../../../../src/lib/operations/reset.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import {type Command, ErrorReply, NoReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {type RawId, rawId} from '../../../../src/lib/values/session-id.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const SESSIONS = 8100;
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
  const outcomes = await collect(runBatch(redis, ids, resetChange(OPTIONS), running()));
  expect(outcomes.map(({id}) => id)).toEqual(ids);
  expect(statesOf(outcomes)).toEqual(new Set(['done']));
  expect(await server.client.dbSize()).toBe(0);
});

test('a batch of no session does nothing', async () => {
  expect(await collect(runBatch(redis, [], resetChange(OPTIONS), running()))).toEqual([]);
});

test('a batch that is stopped before it begins changes nothing', async () => {
  const outcomes = await collect(
    runBatch(redis, ids, resetChange(OPTIONS), {journal: undefined, stop: AbortSignal.abort()}),
  );
  expect(outcomes).toHaveLength(SESSIONS);
  expect(statesOf(outcomes)).toEqual(new Set(['not_done']));
  expect(await server.client.dbSize()).toBe(SESSIONS);
});

test('a batch that is stopped ends the flight that is under way, and begins no other', async () => {
  const stop = new AbortController();
  const outcomes: Outcome<Reset>[] = [];
  for await (const some of runBatch(redis, ids, resetChange(OPTIONS), {journal: undefined, stop: stop.signal})) {
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
  const [first] = await collect(runBatch(redis, ids.slice(0, 1), resetChange(OPTIONS), running()));
  expect(first).toEqual({
    id: 's0000',
    state: 'done',
    result: {id: 's0000', key: 's0000', budget: '1.25', limit: '1.25', spent: '7.5E-7', grants: false},
  });
});

test.each([undefined, JOURNAL])(
  'when an answer is lost, what was there and is there is told; journal: %j',
  async (journal) => {
    // In a flight that begins when an earlier one has ended.
    const proxy = await startProxy(server, (request) =>
      /EVAL\r\n.*session:s3000:/s.test(request) ? 'lose-reply' : 'pass',
    );
    const through = await connect({url: proxy.url});
    try {
      const outcomes = await collect(runBatch(through, ids, resetChange(OPTIONS), {...running(), journal}));
      expect(outcomes.map(({id}) => id)).toEqual(ids);
      expect(statesOf(outcomes)).toEqual(new Set(['done', 'unknown', 'not_done']));
      const left = new Set(await server.client.keys('*'));
      for (const outcome of outcomes) {
        const isLeft = left.has(`session:${outcome.id}:budget`);
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
    const outcomes = await collect(runBatch(through, ids, resetChange(OPTIONS), running()));
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
  for await (const previews of previewBatch(redis, ids, resetChange(OPTIONS))) {
    expect(new Set(previews.map(({state}) => state))).toEqual(new Set(['done']));
    break;
  }
  expect(await changes()).toBe(before);
});

test('a preview says of each what is there', async () => {
  const previews = [];
  for await (const some of previewBatch(redis, [...ids, rawId('none')], resetChange(OPTIONS))) previews.push(...some);
  expect(previews).toEqual([
    ...ids.map((id) => ({
      id,
      state: 'done',
      now: `budget $${budgetOf(id)}, spent none`,
      then: 'no budget, nothing spent',
    })),
    {id: 'none', state: 'not_found', now: 'budget none, spent none'},
  ]);
});

test('six flights are under way at once, and what is stopped while they are read changes no more', async () => {
  const stop = new AbortController();
  const outcomes: Outcome<Reset>[] = [];
  for await (const some of runBatch(redis, ids, resetChange(OPTIONS), {journal: JOURNAL, stop: stop.signal})) {
    outcomes.push(...some);
    stop.abort();
  }
  expect(outcomes.filter(({state}) => state === 'done').map(({id}) => id)).toEqual(ids.slice(0, 3500));
});

describe('a part of a flight', () => {
  const gone = new TokengateError(LOST, 'It is gone.');
  const some = ids.slice(0, 450);
  /** Carries out what it is sent, but for the scripts of some groups of a hundred sessions, which get these answers. */
  const answering = (replies: ReadonlyMap<number, ErrorReply | NoReply>, more: Partial<Redis> = {}): Redis => ({
    ...redis,
    ...more,
    async units(units) {
      const isScript = (unit: readonly Command[]): boolean => unit[0]?.[0] === 'EVAL';
      const own = units.filter((unit, index) => !(isScript(unit) && replies.has(index)));
      const sent = (await redis.units(own)).values();
      return units.map((unit, index) => (own.includes(unit) ? sent.next().value! : replies.get(index)!));
    },
  });

  test('that gets no answer is told apart from what was not sent, and from what was done', async () => {
    const on = answering(
      new Map([
        [1, new NoReply(gone)],
        [2, new NoReply(gone, false)],
      ]),
    );
    const outcomes = await collect(runBatch(on, some, resetChange(OPTIONS), running()));
    expect(outcomes.map(({id}) => id)).toEqual(some);
    expect(outcomes.map(({state}) => state)).toEqual([
      ...Array.from({length: 100}, () => 'done'),
      ...Array.from({length: 100}, () => 'unknown'),
      ...Array.from({length: 100}, () => 'not_done'),
      ...Array.from({length: 150}, () => 'done'),
    ]);
    for (const outcome of outcomes.slice(100, 200)) {
      const budget = `budget $${budgetOf(outcome.id)}, spent none`;
      expect(outcome).toMatchObject({look: `Before: ${budget}. Now: ${budget}.`, cause: gone});
    }
    for (const outcome of outcomes.slice(200, 300)) expect(outcome).toMatchObject({cause: gone});
  });

  test('that was certainly not sent is looked at no more, and nothing follows', async () => {
    const reopen = vi.fn<Redis['reopen']>();
    const on = answering(new Map([[0, new NoReply(gone, false)]]), {reopen});
    const outcomes = await collect(runBatch(on, ids, resetChange(OPTIONS), running()));
    expect(outcomes.map(({id}) => id)).toEqual(ids);
    expect(outcomes[0]).toEqual({id: 's0000', state: 'not_done', cause: gone});
    expect(outcomes.at(-1)).toEqual({id: 's8099', state: 'not_done', cause: gone});
    expect(reopen).not.toHaveBeenCalled();
  });

  test('that is refused is no reason to end', async () => {
    const on = answering(new Map([[0, new ErrorReply('ERR odd')]]));
    const outcomes = await collect(runBatch(on, ids, resetChange(OPTIONS), running()));
    const failed = outcomes.filter(({state}) => state === 'failed').map(({id}) => id);
    expect(failed).toHaveLength(17 * 100);
    expect(outcomes.filter(({state}) => state === 'done')).toHaveLength(ids.length - failed.length);
  });
});

describe('what was there before', () => {
  /** The reads that a batch sends before its changes. */
  const readsOf = async (journal: typeof JOURNAL | undefined): Promise<readonly Command[]> => {
    const reads: Command[] = [];
    const pipelineBytes: Redis['pipelineBytes'] = (commands) => {
      reads.push(...commands.filter(([name]) => name === 'MGET'));
      return redis.pipelineBytes(commands);
    };
    await collect(runBatch({...redis, pipelineBytes}, ids.slice(0, 2), resetChange(OPTIONS), {...running(), journal}));
    return reads;
  };
  const READ = ['MGET', ...['s0000', 's0001'].flatMap((id) => [`session:${id}:budget`, `session:${id}:spent`])];

  test('is read where no journal tells it in the end', async () => {
    expect(await readsOf(JOURNAL)).toEqual([]);
    expect(await readsOf(undefined)).toEqual([READ]);
  });

  test('and cannot be read, is no hindrance', async () => {
    const pipelineBytes: Redis['pipelineBytes'] = async (commands) =>
      commands[0]?.[0] === 'MGET' ? [new ErrorReply('NOPERM no mget')] : redis.pipelineBytes(commands);
    const unreadable: Redis = {...redis, pipelineBytes};
    const outcomes = await collect(runBatch(unreadable, ids, resetChange(OPTIONS), running()));
    expect(statesOf(outcomes)).toEqual(new Set(['done']));
    const gone = new NoReply(new TokengateError(LOST, 'Gone.'));
    const lost: Redis['units'] = async (list) => {
      await redis.units(list);
      return list.map(() => gone);
    };
    const [outcome] = await collect(
      runBatch({...unreadable, units: lost}, [rawId('x')], resetChange(OPTIONS), running()),
    );
    expect(outcome).toMatchObject({look: 'Before: budget none, spent none. Now: budget none, spent none.'});
  });

  test('is read, and the batch stopped, changes no more', async () => {
    const stop = new AbortController();
    const pipelineBytes: Redis['pipelineBytes'] = (commands) => {
      stop.abort();
      return redis.pipelineBytes(commands);
    };
    const options = {journal: undefined, stop: stop.signal};
    const outcomes = await collect(runBatch({...redis, pipelineBytes}, ids, resetChange(OPTIONS), options));
    expect(outcomes).toEqual(ids.map((id) => ({id, state: 'not_done', cause: undefined})));
    expect(await server.client.dbSize()).toBe(SESSIONS);
  });
});
