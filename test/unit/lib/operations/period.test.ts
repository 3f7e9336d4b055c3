import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {sendChanges} from '../../../../src/lib/change/apply.js';
import type {Journal} from '../../../../src/lib/journal/entry.js';
import {newChangeId} from '../../../../src/lib/journal/entry.js';
import {grantChange, setPeriodChange} from '../../../../src/lib/operations/period.js';
import {findDueSessions, renewChange} from '../../../../src/lib/operations/renewal.js';
import {findChanges, undoChange} from '../../../../src/lib/operations/undo.js';
import {makeCalendar} from '../../../../src/lib/periods/calendar.js';
import {isOver, parseGrants, sumOf} from '../../../../src/lib/periods/grants.js';
import {formatPeriod, parsePeriod, type Period} from '../../../../src/lib/periods/period.js';
import {typed} from '../../../../src/lib/periods/renewal.js';
import {EVERY} from '../../../../src/lib/periods/schedule.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {parseStoredMoney, toPlainDigits, ZERO} from '../../../../src/lib/values/money.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import {fuzz} from '../../../support/fuzz.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let redis: Redis;
let server: TestRedis;
withRedis((own) => ({redis, server} = own));

const ID = parseSessionId('a');
/** Before daylight saving begins and ends, and before a leap day. */
const STARTS = ['2026-03-20', '2026-10-20', '2027-12-20', '2028-02-20'];
const spanOf = makeCalendar();
const journalOf = (command: string): Journal => ({
  ...{change: newChangeId(), command, actor: 'test', reason: '', version: '0', limit: 1000},
});
const money = (text: string | null): Decimal => parseStoredMoney(text ?? '0') ?? ZERO;

const isDone = (outcome: object | undefined): boolean =>
  outcome !== undefined && 'state' in outcome && outcome.state === 'done';

/** What a host does that runs the cron line: it finds what is due, and renews it. Gives the change, if there is one. */
async function runCronLine(now: Date): Promise<string[]> {
  const {ids, shared} = await findDueSessions(redis, now, spanOf);
  const journal = journalOf('renew-budgets');
  const outcomes = await sendChanges(redis, ids, renewChange(now, spanOf, shared), journal);
  return outcomes.some(isDone) ? [journal.change] : [];
}

/** What an operator does about a renewal that was not wanted. */
async function undo(change: string, now: Date): Promise<boolean> {
  const [recorded] = await findChanges(redis, [change]);
  if (recorded === undefined) throw new RangeError('no change');
  const options = {now, force: false, merge: true};
  const [outcome] = await sendChanges(redis, [ID], undoChange(recorded, options), {
    ...journalOf('undo-change'),
    undoes: change,
  });
  return isDone(outcome);
}

/** What an undo puts back. */
async function readState(): Promise<(string | null)[]> {
  return server.client.mGet(['tokengate:period:a', 'tokengate:grants:a', 'session:a:budget']);
}

/** What the gateway adds. */
const spend = (amount: string): Promise<unknown> => server.client.incrByFloat('session:a:spent', Number(amount));

const steps = fc.array(
  fc.oneof(
    fc.record({kind: fc.constant('wait' as const), minutes: fc.integer({min: 1, max: 60 * 24 * 45})}),
    fc.record({kind: fc.constant('spend' as const), cents: fc.integer({min: 1, max: 4000})}),
    fc.record({kind: fc.constant('renew' as const)}),
    fc.record({kind: fc.constant('undo' as const)}),
    fc.record({
      kind: fc.constant('grant' as const),
      dollars: fc.integer({min: 1, max: 50}),
      hours: fc.option(fc.integer({min: 1, max: 24 * 60})),
    }),
  ),
  {maxLength: 16},
);
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/St_Johns',
  'Pacific/Apia',
];
const periods = fc
  .record({
    every: fc.constantFrom(...EVERY),
    timezone: fc.constantFrom(...ZONES),
    at: fc.constantFrom('00:00', '02:30', '23:59'),
    day: fc.integer({min: 1, max: 31}),
    rollover: fc.constantFrom('none', 'unused' as const),
    limit: fc.option(fc.integer({min: 0, max: 80})),
  })
  .map(({day, limit, ...terms}): Omit<Period, 'renewed'> => ({
    ...terms,
    on: terms.every === 'week' ? ((day - 1) % 7) + 1 : terms.every === 'month' ? day : null,
    amount: typed(Decimal.of(50)),
    maxRollover: limit === null ? null : typed(Decimal.of(limit)),
    carried: typed(ZERO),
  }));

describe('renewals', () => {
  fuzz(
    'each period is renewed once, no spending is lost, and the budget is amount, carried and live grants',
    fc.asyncProperty(periods, fc.constantFrom(...STARTS), steps, async (terms, start, list) => {
      await server.client.flushDb();
      let now = new Date(start);
      let spent = ZERO;
      let [renewals, entries] = [0, 1];
      let last: {change: string; before: (string | null)[]} | undefined;
      await server.client.set('session:a:budget', '1');
      await sendChanges(redis, [ID], setPeriodChange({...terms, renewed: now}, now, false), journalOf('set-period'));
      for (const step of list) {
        if (step.kind === 'wait') now = new Date(now.getTime() + step.minutes * 60_000);
        if (step.kind === 'spend') {
          const amount = (step.cents / 100).toFixed(2);
          await spend(amount);
          spent = spent.plus(money(amount));
        }
        if (step.kind === 'grant') {
          const until = step.hours === null ? null : new Date(now.getTime() + step.hours * 3_600_000);
          const grant = {id: newChangeId(), amount: typed(Decimal.of(step.dollars)), until, note: ''};
          const [granted] = await sendChanges(redis, [ID], grantChange(grant), journalOf('grant-budget'));
          expect(isDone(granted)).toBe(true);
          entries++;
          last = undefined;
        }
        if (step.kind === 'undo' && last !== undefined) {
          expect(await undo(last.change, now)).toBe(true);
          expect(await readState()).toEqual(last.before);
          entries++;
          last = undefined;
        }
        if (step.kind === 'renew') {
          const stored = await readState();
          const before = parsePeriod(stored[0] ?? '');
          const isDue = before !== undefined && spanOf(before, now).start > before.renewed;
          const [used, held] = [await server.client.get('session:a:spent'), parseGrants(stored[1] ?? '[]') ?? []];
          const [done] = await Promise.all([
            Promise.all([runCronLine(now), runCronLine(now)]).then((hosts) => hosts.flat()),
            spend('0.01'),
          ]);
          spent = spent.plus(money('0.01'));
          const after = parsePeriod((await server.client.get('tokengate:period:a')) ?? '');
          expect(after?.renewed).toEqual(isDue ? now : before?.renewed);
          if (isDue) renewals++;
          expect(done.length).toBeLessThanOrEqual(1);
          if (isDue) expect(done).toHaveLength(1);
          expect(await runCronLine(now)).toEqual([]);
          entries += done.length;
          const [change] = done;
          if (change !== undefined) last = {change, before: stored};
          const grants = parseGrants((await server.client.get('tokengate:grants:a')) ?? '[]') ?? [];
          expect(grants).toEqual(held.filter((grant) => !isOver(grant, now) && (!isDue || grant.until !== null)));
          // The request may have come before or after.
          const left = ['0', '0.01'].map((more) =>
            money(stored[2]!).minus(sumOf(held)).minus(money(used)).minus(money(more)),
          );
          const carried = left.map((amount) => capped(amount, terms));
          if (isDue) expect([null, '0.01']).toContain(await server.client.get('session:a:spent'));
          if (isDue) expect(carried.map(String)).toContain(String(after?.carried.value));
          const expected = after?.amount.value.plus(after.carried.value).plus(sumOf(grants));
          expect(await server.client.get('session:a:budget')).toBe(toPlainDigits(expected ?? ZERO));
        }
      }
      expect(
        sumRemoved((await server.client.xRange('tokengate:journal', '-', '+')) ?? [])
          .plus(money(await server.client.get('session:a:spent')))
          .toFixed(2),
      ).toBe(spent.toFixed(2));
      expect(renewals).toBe(await countRenewals());
      // Every step of these is in the journal, and nothing else.
      expect(await server.client.xLen('tokengate:journal')).toBe(entries);
    }),
    2,
  );
});

test.each([
  ['computed', false],
  ['found due', true],
])('a period that is set, or ended, while a renewal that was %s is under way is what counts', async (_, isFound) => {
  const old: Period = {
    ...{every: 'day', timezone: 'UTC', at: '00:00', on: null, amount: typed(Decimal.of(50)), rollover: 'none'},
    ...{maxRollover: null, renewed: new Date(STARTS[0]!), carried: typed(ZERO)},
  };
  const now = new Date(old.renewed.getTime() + 2 * 86_400_000);
  const renewWhile = async (next: Period | null): Promise<unknown> => {
    await server.client.flushDb();
    await server.client.mSet({
      'session:a:budget': '50',
      'session:a:spent': '7',
      'tokengate:period:a': formatPeriod(old),
    });
    let isFirst = true;
    const observed: Redis = {
      ...redis,
      async units(...args) {
        if (isFirst) {
          isFirst = false;
          await sendChanges(redis, [ID], setPeriodChange(next, now, false), journalOf('set-period'));
        }
        return redis.units(...args);
      },
    };
    const {shared} = isFound ? await findDueSessions(redis, now, spanOf) : {};
    const [outcome] = await sendChanges(observed, [ID], renewChange(now, spanOf, shared), journalOf('renew-budgets'));
    return [
      outcome && 'state' in outcome && outcome.state,
      ...(await readState()),
      await server.client.get('session:a:spent'),
    ];
  };
  const fresh = {...old, amount: typed(Decimal.of(80)), renewed: now};
  expect(await renewWhile(fresh)).toEqual(['unchanged', formatPeriod(fresh), null, '80', '7']);
  expect(await renewWhile(null)).toEqual(['unchanged', null, null, '50', '7']);
  const due = {...fresh, renewed: old.renewed};
  expect(await renewWhile(due)).toEqual(['done', formatPeriod({...due, renewed: now}), null, '80', null]);
});

/** Of what was left, what is carried over. */
function capped(left: Decimal, {rollover, maxRollover}: Omit<Period, 'renewed'>): Decimal {
  if (rollover === 'none' || left.lt(ZERO)) return ZERO;
  return maxRollover !== null && left.gt(maxRollover.value) ? maxRollover.value : left;
}

/** The spending that all entries say was removed, less what undoing put back. */
function sumRemoved(entries: readonly {message: Record<string, string>}[]): Decimal {
  let sum = ZERO;
  for (const {message} of entries) {
    const index = (message['keys'] ?? '').split(' ').indexOf('spent');
    if (index === -1) continue;
    const [, ...states] = JSON.parse(message['sessions'] ?? '[]') as unknown[];
    const [before, after] = states.slice(2 * index, 2 * index + 2);
    if (after !== true) sum = sum.plus(spentIn(before)).minus(spentIn(after));
  }
  return sum;
}

const spentIn = (state: unknown): Decimal => (typeof state === 'string' ? money(state) : ZERO);

/** Renewals in the journal: entries in which the period was written by the cron line. */
async function countRenewals(): Promise<number> {
  const entries = (await server.client.xRange('tokengate:journal', '-', '+')) ?? [];
  return entries.filter(({message}) => {
    if (message['command'] !== 'renew-budgets') return false;
    const states = (JSON.parse(message['sessions'] ?? '[]') as unknown[]).slice(1);
    return ['string', 'number'].includes(typeof states[1]) || Array.isArray(states[1]);
  }).length;
}
