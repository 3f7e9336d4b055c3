import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {sendChanges} from '../../../../src/lib/change/apply.js';
import type {Journal} from '../../../../src/lib/journal/entry.js';
import {newChangeId} from '../../../../src/lib/journal/entry.js';
import {findDueSessions, grantChange, renewChange, setPeriodChange} from '../../../../src/lib/operations/period.js';
import {makeCalendar} from '../../../../src/lib/periods/calendar.js';
import {isOver, parseGrants, sumOf} from '../../../../src/lib/periods/grants.js';
import {parsePeriod, type Period} from '../../../../src/lib/periods/period.js';
import {typed} from '../../../../src/lib/periods/renewal.js';
import {EVERY} from '../../../../src/lib/periods/schedule.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {parseStoredMoney, toPlainDigits, ZERO} from '../../../../src/lib/values/money.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let redis: Redis;
let server: TestRedis;
withRedis((own) => ({redis, server} = own));

const ID = parseSessionId('a');
const START = Date.parse('2026-03-20T00:00:00Z');
const spanOf = makeCalendar();
const journalOf = (command: string): Journal => ({
  ...{change: newChangeId(), command, actor: 'test', reason: '', version: '0', limit: 1000},
});
const money = (text: string | null): Decimal => parseStoredMoney(text ?? '0') ?? ZERO;

/** What a host does that runs the cron line: it finds what is due, and renews it. */
async function runCronLine(now: Date): Promise<number> {
  const due = await findDueSessions(redis, now, spanOf);
  const outcomes = await sendChanges(redis, due, renewChange(now, spanOf), journalOf('renew-budgets'));
  return outcomes.filter((outcome) => 'state' in outcome && outcome.state === 'done').length;
}

/** What the gateway adds. */
const spend = (amount: string): Promise<unknown> => server.client.incrByFloat('session:a:spent', Number(amount));

const steps = fc.array(
  fc.oneof(
    fc.record({kind: fc.constant('wait' as const), minutes: fc.integer({min: 1, max: 60 * 24 * 45})}),
    fc.record({kind: fc.constant('spend' as const), cents: fc.integer({min: 1, max: 4000})}),
    fc.record({kind: fc.constant('renew' as const)}),
    fc.record({
      kind: fc.constant('grant' as const),
      dollars: fc.integer({min: 1, max: 50}),
      hours: fc.option(fc.integer({min: 1, max: 24 * 60})),
    }),
  ),
  {maxLength: 14},
);
const periods = fc
  .record({
    every: fc.constantFrom(...EVERY),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns'),
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
  test('each period is renewed once, no spending is lost, and the budget is amount, carried and live grants', async () => {
    await fc.assert(
      fc.asyncProperty(periods, steps, async (terms, list) => {
        await server.client.flushDb();
        let now = new Date(START);
        let spent = ZERO;
        let renewals = 0;
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
            await sendChanges(redis, [ID], grantChange(grant), journalOf('grant-budget'));
          }
          if (step.kind === 'renew') {
            const before = parsePeriod((await server.client.get('tokengate:period:a')) ?? '');
            const isDue = before !== undefined && spanOf(before, now).start > before.renewed;
            const done = await Promise.all([runCronLine(now), runCronLine(now)]);
            const after = parsePeriod((await server.client.get('tokengate:period:a')) ?? '');
            expect(after?.renewed).toEqual(isDue ? now : before?.renewed);
            if (isDue) renewals++;
            expect(done.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(1);
            expect(await runCronLine(now)).toBe(0);
            const grants = parseGrants((await server.client.get('tokengate:grants:a')) ?? '[]') ?? [];
            expect(grants.some((grant) => isOver(grant, now))).toBe(false);
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
      }),
      {numRuns: 60},
    );
  });
});

/** What the entries of renewals say that they removed. */
function sumRemoved(entries: readonly {message: Record<string, string>}[]): Decimal {
  let sum = ZERO;
  for (const {message} of entries) {
    const index = (message['keys'] ?? '').split(' ').indexOf('spent');
    if (index === -1) continue;
    const [, ...states] = JSON.parse(message['sessions'] ?? '[]') as unknown[];
    const [before, after] = states.slice(2 * index, 2 * index + 2);
    if (typeof before === 'string' && after === false) sum = sum.plus(money(before));
  }
  return sum;
}

/** Renewals in the journal: entries in which the period was written by the cron line. */
async function countRenewals(): Promise<number> {
  const entries = (await server.client.xRange('tokengate:journal', '-', '+')) ?? [];
  return entries.filter(({message}) => {
    if (message['command'] !== 'renew-budgets') return false;
    const states = (JSON.parse(message['sessions'] ?? '[]') as unknown[]).slice(1);
    return typeof states[1] === 'string' || Array.isArray(states[1]);
  }).length;
}
