import {changeKnown} from '../../../src/lib/change/apply.js';
import {setPeriodChange} from '../../../src/lib/operations/period.js';
import {resetChange} from '../../../src/lib/operations/reset.js';
import type {Command, Redis} from '../../../src/lib/redis/contract.js';
import {recordSpending} from '../../../src/lib/spending/record.js';
import {parseSessionId} from '../../../src/lib/values/session-id.js';
import type {TestRedis} from '../redis/redis-server.js';
import {newJournal, periodOf} from './world.js';

const TEAMS = ['search', 'support', 'ops', 'research'];
export const SESSIONS = Array.from({length: 30}, (_, nth) => `${TEAMS[nth % 4]!}:agent-${nth}`);
const HOUR = 3_600_000;
const START = Date.UTC(2025, 2, 1);
const HOURS = 31 * 24;
/** The recorder is down from the 10th at 00:30 to the 11th at 00:30. */
const OUTAGE: [number, number] = [9 * 24, 10 * 24];

/** In microdollars, so that the test's sums are whole numbers. */
export interface Month {
  /** The expected report, by session and day. */
  spent: Map<string, Map<string, number>>;
  unaccounted: Map<string, number>;
  /** The number of resets in the journal. */
  resets: number;
}

/**
 * A month of a gateway, hour by hour: March 2025 in UTC. Each session spends at its own pace. The recorder runs at half
 * past every hour, except for one day.
 */
export async function simulateMonth(server: TestRedis, redis: Redis): Promise<Month> {
  const month: Month = {spent: new Map(), unaccounted: new Map(), resets: 0};
  const running = new Map(SESSIONS.map((id) => [id, 0]));
  /** Spending since the last recording. */
  let open = new Map<string, number>();
  let seen = new Map(running);
  await at(redis, START - HOUR / 2, async (then) => recordSpending(then, {keepSeconds: 400 * 86_400}));
  for (let hour = 0; hour < HOURS; hour++) {
    const writes: [string, string][] = [];
    for (const [nth, id] of SESSIONS.entries()) {
      // Some nights and weekends are quiet, and two sessions never spend.
      const amount =
        nth >= 28 || (hour + nth) % (2 + (nth % 5)) !== 0 ? 0 : ((hour * 7919 + nth * 104_729) % 90_001) + 1;
      if (amount === 0) continue;
      running.set(id, running.get(id)! + amount);
      open.set(id, (open.get(id) ?? 0) + amount);
      writes.push([`session:${id}:spent`, dollars(running.get(id)!)]);
    }
    if (writes.length > 0) await server.client.mSet(writes);
    const id = SESSIONS[hour % 28]!;
    if (hour % 100 === 37) {
      await changeKnown(redis, parseSessionId(id), resetChange({keepBudget: true}), {journal: newJournal(), what: ''});
      running.set(id, 0);
      month.resets++;
    } else if (hour === 24 * 14 + 5) {
      const renewal = setPeriodChange(periodOf(new Date()), new Date(), true);
      await changeKnown(redis, parseSessionId(id), renewal, {journal: newJournal(), what: ''});
      running.set(id, 0);
      month.resets++;
    } else if (hour === 24 * 19 + 2) {
      await server.client.del(`session:${id}:spent`);
      // A reset loses the spending since the last recording.
      month.unaccounted.set(id, seen.get(id)!);
      open.delete(id);
      running.set(id, 0);
    }
    const now = START + hour * HOUR + HOUR / 2;
    if (hour >= OUTAGE[0] && hour < OUTAGE[1]) continue;
    await at(redis, now, async (then) => recordSpending(then, {keepSeconds: 400 * 86_400}));
    const day = new Date(now).toISOString().slice(0, 10);
    for (const [session, amount] of open) {
      const days = month.spent.get(session) ?? new Map<string, number>();
      month.spent.set(session, days.set(day, (days.get(day) ?? 0) + amount));
    }
    open = new Map();
    seen = new Map(running);
  }
  return month;
}

export function dollars(micros: number): string {
  return `${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
}

/** Runs as if the server's clock showed another time. */
async function at<T>(redis: Redis, now: number, run: (then: Redis) => Promise<T>): Promise<T> {
  return run({
    ...redis,
    server: redis.server,
    pipeline: (commands: readonly Command[]) =>
      commands[0]?.[0] === 'TIME' ? Promise.resolve([[String(Math.floor(now / 1000)), '0']]) : redis.pipeline(commands),
  });
}
