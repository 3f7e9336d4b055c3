import {Big} from 'big.js';
import fc from 'fast-check';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {runBatch} from '../../../../src/lib/change/batch.js';
import {type Journal, newChangeId, readJournal} from '../../../../src/lib/journal/entry.js';
import {addBudget, setBudget} from '../../../../src/lib/operations/budget.js';
import {freezeSession, unfreezeSession} from '../../../../src/lib/operations/freeze.js';
import {resetSession, resetChange} from '../../../../src/lib/operations/reset.js';
import {findChanges, type RecordedChange, undoChange} from '../../../../src/lib/operations/undo.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {serverTime} from '../../../../src/lib/redis/server-time.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {parseAmount} from '../../../../src/lib/values/money.js';
import {nameOf, parseSessionId, type RawId} from '../../../../src/lib/values/session-id.js';
import {fuzz} from '../../../support/fuzz.js';
import {gatewayKeys} from '../../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';

let server: TestRedis;
let operators: Redis[];
beforeAll(async () => {
  server = await startRedis();
  operators = [await connect({url: server.url}), await connect({url: server.url})];
});
beforeEach(() => server.client.flushDb());
afterAll(async () => {
  for (const redis of operators) redis.close();
  await server.stop();
});

const IDS = ['a', 'team:b c', 'ü\n*'].map(parseSessionId);

type Step =
  | {kind: 'set' | 'add'; id: RawId; cents: number}
  | {kind: 'reset'; id: RawId; keepBudget: boolean}
  | {kind: 'freeze'; id: RawId; reason: string; minutes: number; force: boolean}
  | {kind: 'unfreeze'; id: RawId}
  | {kind: 'reset-all'};
interface Spend {
  kind: 'spend';
  id: RawId;
  cents: number;
}

const anyId = fc.constantFrom(...IDS);
const cents = fc.integer({min: 0, max: 5000});
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({kind: fc.constantFrom('set' as const, 'add' as const), id: anyId, cents}),
  fc.record({kind: fc.constant('reset' as const), id: anyId, keepBudget: fc.boolean()}),
  fc.record({
    kind: fc.constant('freeze' as const),
    id: anyId,
    reason: fc.constantFrom('Bot', 'Schleife ∞', '\u001b[31m'),
    minutes: fc.integer({min: 10, max: 900}),
    force: fc.boolean(),
  }),
  fc.record({kind: fc.constant('unfreeze' as const), id: anyId}),
  fc.record({kind: fc.constant('reset-all' as const)}),
);
const spend: fc.Arbitrary<Spend> = fc.record({kind: fc.constant('spend' as const), id: anyId, cents});
const dollars = (count: number): string => `${Math.floor(count / 100)}.${String(count % 100).padStart(2, '0')}`;

function journalOf(actor: string, began?: Date): Journal {
  return {change: newChangeId(), command: 'test', actor, reason: '', version: '0', limit: 100_000, began};
}

async function operate(redis: Redis, one: Step, actor: string): Promise<void> {
  const now = await serverTime(redis);
  const journal = journalOf(actor, one.kind === 'reset-all' ? now : undefined);
  try {
    if (one.kind === 'set') await setBudget(redis, one.id, parseAmount(dollars(one.cents)), journal);
    if (one.kind === 'add') await addBudget(redis, one.id, parseAmount(dollars(one.cents)).value, journal);
    if (one.kind === 'reset') await resetSession(redis, one.id, one, journal);
    if (one.kind === 'unfreeze') await unfreezeSession(redis, one.id, {now}, journal);
    if (one.kind === 'freeze') {
      const until = new Date(now.getTime() + one.minutes * 60_000);
      await freezeSession(redis, one.id, {...one, now, until}, journal);
    }
    if (one.kind === 'reset-all') {
      const options = {journal, stop: new AbortController().signal};
      const batch = runBatch(redis, [...IDS].sort(), resetChange({keepBudget: false}), options);
      for await (const outcomes of batch) expect(outcomes).toHaveLength(IDS.length);
    }
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    expect(error.code).toBe('SESSION_NOT_FOUND');
  }
}

/** What the gateway does at the end of a request, but in one step, so that it loses nothing itself. */
async function spendAsGateway({id, cents: count}: Spend): Promise<void> {
  const name = nameOf(id);
  await server.client.set(`session:${name}:budget`, '10.0', {NX: true});
  await server.client.sendCommand([
    'EVAL',
    `local old = redis.call('GET', KEYS[1]) or '0.00'
     local whole, cents = string.match(old, '^(%d+)%.?(%d*)$')
     local sum = tonumber(whole) * 100 + tonumber(string.sub(cents .. '00', 1, 2)) + tonumber(ARGV[1])
     redis.call('SET', KEYS[1], string.format('%d.%02d', math.floor(sum / 100), sum % 100))`,
    '1',
    `session:${name}:spent`,
    String(count),
  ]);
}

/** The IDs of all changes, newest first. */
async function changes(): Promise<string[]> {
  const ids: string[] = [];
  for await (const {parts} of readJournal(operators[0]!)) {
    for (const {change, undoes} of parts) if (undoes === undefined && !ids.includes(change)) ids.push(change);
  }
  return ids;
}

/** Undoes a change; gives the sessions that were refused. */
async function undo(change: string, options: {merge: boolean}): Promise<string[]> {
  const redis = operators[0]!;
  const [recorded] = await findChanges(redis, [change]);
  const now = await serverTime(redis);
  const refused: string[] = [];
  const run = {journal: {...journalOf('undoer', now), undoes: change}, stop: new AbortController().signal};
  const ids = [...recorded!.sessions.keys()].sort();
  for await (const outcomes of runBatch(redis, ids, undoChange(recorded!, {now, force: false, ...options}), run)) {
    for (const outcome of outcomes) {
      if (outcome.state === 'done' || outcome.state === 'unchanged') continue;
      expect(outcome).toMatchObject({state: 'failed', error: {code: 'CHANGED_SINCE'}});
      refused.push(outcome.id);
    }
  }
  return refused;
}

async function valuesAndEnds(): Promise<Record<string, string>> {
  const keys = await gatewayKeys(server);
  const entries = keys.map(async (key) => {
    const end = await server.client.sendCommand<number>(['PEXPIRETIME', key]);
    // A TTL is counted from when a script runs: the end moves by the time between reading the clock and writing.
    return [key, `${await server.client.get(key)} ${end < 0 ? 'for ever' : Math.round(end / 60_000)}`];
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
}

/** What stands there at first: amounts as a gateway writes them, a freeze of its own, counters. */
async function seed(): Promise<void> {
  await server.client.mSet({
    'session:a:budget': '25.5',
    'session:a:spent': '1e-05',
    'session:team:b c:budget': '1e+16',
    'anomaly:a:last_hash': 'd41d8cd9',
  });
  const until = new Date(Date.now() + 300 * 60_000).toISOString().slice(0, -1);
  await server.client.set('anomaly:a:frozen_until', until, {EX: 300 * 60});
  await server.client.set('anomaly:a:freeze_reason', 'Loop detected', {EX: 300 * 60});
  await server.client.set('anomaly:a:identical_count', '3', {EX: 250 * 60});
}

describe('two operators, whose changes are undone in reverse order', () => {
  fuzz(
    'restore exactly what was there',
    fc.asyncProperty(fc.array(fc.tuple(step, step), {maxLength: 8}), async (pairs) => {
      await server.client.flushDb();
      await seed();
      const before = await valuesAndEnds();
      for (const [one, other] of pairs) {
        await Promise.all([operate(operators[0]!, one, 'alice'), operate(operators[1]!, other, 'bob')]);
      }
      for (const change of await changes()) expect(await undo(change, {merge: false})).toEqual([]);
      expect(await valuesAndEnds()).toEqual(before);
    }),
    3,
  );

  fuzz(
    'never lose what a gateway spends meanwhile, and refuse what it has changed',
    fc.asyncProperty(
      fc.array(fc.tuple(step, step, fc.array(spend, {maxLength: 3})), {maxLength: 8}),
      fc.array(spend, {maxLength: 3}),
      fc.boolean(),
      async (rounds, during, merge) => {
        await server.client.flushDb();
        const spent = new Map(IDS.map((id) => [nameOf(id), new Big(0)]));
        const gateway = async (list: readonly Spend[]): Promise<void> => {
          for (const one of list) {
            await spendAsGateway(one);
            const name = nameOf(one.id);
            spent.set(name, spent.get(name)!.plus(new Big(one.cents).div(100)));
          }
        };
        for (const [one, other, spends] of rounds) {
          await Promise.all([
            operate(operators[0]!, one, 'alice'),
            operate(operators[1]!, other, 'bob'),
            gateway(spends),
          ]);
        }
        await Promise.all([
          gateway(during),
          (async () => {
            for (const change of await changes()) await undo(change, {merge});
          })(),
        ]);
        // What was spent is there, or in a reset that was not undone.
        for (const id of IDS) {
          const name = nameOf(id);
          const now = new Big((await server.client.get(`session:${name}:spent`)) ?? '0');
          expect(now.plus(await removedAndNotPutBack(id)).toFixed()).toBe(spent.get(name)!.toFixed());
        }
      },
    ),
    3,
  );
});

describe('two operators, who undo the same change with --merge at the same time', () => {
  const COUNT = 1200;
  const ids = Array.from({length: COUNT}, (_, index) => parseSessionId(`s${String(index).padStart(4, '0')}`));
  let change: string;

  beforeEach(async () => {
    await server.client.mSet(ids.flatMap((id) => [`session:${id}:budget`, '50', `session:${id}:spent`, '20']));
    const journal = journalOf('me', await serverTime(operators[0]!));
    const reset = resetChange({keepBudget: false});
    for await (const outcomes of runBatch(operators[0]!, ids, reset, {journal, stop: new AbortController().signal})) {
      expect(outcomes.every(({state}) => state === 'done')).toBe(true);
    }
    change = journal.change;
    await server.client.mSet(ids.flatMap((id) => [`session:${id}:budget`, '10.0', `session:${id}:spent`, '1.5']));
  });

  /** Undoes what was found, and counts what became of it. */
  async function undoFound(redis: Redis, [recorded]: RecordedChange[]): Promise<Record<string, number>> {
    const now = await serverTime(redis);
    const journal = {...journalOf('undoer', now), undoes: change};
    const options = {now, force: false, merge: true, as: journal.change};
    const counts: Record<string, number> = {};
    const batch = runBatch(redis, ids, undoChange(recorded!, options), {
      journal,
      stop: new AbortController().signal,
    });
    for await (const outcomes of batch) {
      for (const {state} of outcomes) counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }
  const spent = async (): Promise<string[]> => [
    ...new Set(await Promise.all(ids.map(async (id) => String(await server.client.get(`session:${id}:spent`))))),
  ];

  test('add the spending once, whoever was first', async () => {
    const [one, other] = await Promise.all(operators.map((redis) => findChanges(redis, [change])));
    const [a, b] = await Promise.all([undoFound(operators[0]!, one!), undoFound(operators[1]!, other!)]);
    expect(await spent()).toEqual(['21.5']);
    expect((a['done'] ?? 0) + (b['done'] ?? 0)).toBe(COUNT);
    expect((a['unchanged'] ?? 0) + (b['unchanged'] ?? 0)).toBe(COUNT);
  });

  test('add it once when one has asked first, and was answered last', async () => {
    const asked = await findChanges(operators[0]!, [change]);
    expect(await undoFound(operators[1]!, await findChanges(operators[1]!, [change]))).toEqual({done: COUNT});
    expect(await undoFound(operators[0]!, asked)).toEqual({unchanged: COUNT});
    expect(await spent()).toEqual(['21.5']);
  });
});

/** By the journal: the sum of what each change took from `spent`. */
async function removedAndNotPutBack(id: RawId): Promise<Big> {
  let sum = new Big(0);
  for await (const {parts} of readJournal(operators[0]!)) {
    for (const {keys} of parts.flatMap(({records}) => records.filter((record) => record.id === id))) {
      for (const {shape, before, after} of keys) {
        if (shape.suffix !== ':spent' || after === undefined) continue;
        const [was, is] = [before, after].map((value) => new Big(value === false ? '0' : value.text));
        sum = sum.plus(was!).minus(is!);
      }
    }
  }
  return sum;
}
