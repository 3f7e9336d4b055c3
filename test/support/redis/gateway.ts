import {Decimal} from '../../../src/lib/values/decimal.js';
import type {TestRedis} from './redis-server.js';

/**
 * Imitates the gateway while sessions spend: reads the spending, adds to it, writes it back, and counts the request.
 * The rates are in US dollars a minute.
 *
 * @returns a function that stops it
 */
export function spendSteadily({client}: TestRedis, rates: Record<string, number>): () => Promise<void> {
  const start = performance.now();
  const due = new Map(Object.keys(rates).map((id) => [id, 0]));
  let isOver = false;
  const run = async (): Promise<void> => {
    while (!isOver) {
      const minutes = (performance.now() - start) / 60_000;
      for (const [id, rate] of Object.entries(rates)) {
        const cost = minutes * rate - (due.get(id) ?? 0);
        due.set(id, minutes * rate);
        const spent = Number((await client.get(`session:${id}:spent`)) ?? 0);
        await client.set(`session:${id}:spent`, String(spent + cost));
        await client.incr(`anomaly:${id}:requests:1min`);
        await client.expire(`anomaly:${id}:requests:1min`, 60);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  // The test may stop the server.
  const over = run().catch(() => undefined);
  return async () => {
    isOver = true;
    await over;
  };
}

interface Strings {
  get: (key: string) => Promise<string | null>;
  set: (key: string, value: string) => Promise<unknown>;
}

/**
 * Imitates requests of some sessions at once, one after another for each session. Each reads the spending, adds its
 * cost and writes the sum back a moment later, so only writes of others in between are lost.
 */
export class Workers {
  /** The cost of each session's requests. */
  readonly costs: Map<string, Decimal>;
  private isOver = false;
  private readonly loops: Promise<void>[];

  constructor(
    private readonly ids: readonly string[],
    /** Returns the connection for a key. */
    private readonly clientOf: (key: string) => Strings,
  ) {
    this.costs = new Map(ids.map((id) => [id, Decimal.of(0)]));
    this.loops = ids.map((id) => this.work(id));
  }

  /** Spends this amount in each session, with one request. */
  async spend(cost: string): Promise<void> {
    for (const id of this.ids) this.next.set(id, cost);
    while (this.next.size > 0) await pause(1);
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.loops);
  }

  private readonly next = new Map<string, string>();

  private async work(id: string): Promise<void> {
    const key = `session:${id}:spent`;
    while (!this.isOver) {
      await pause(Math.random() * 20);
      const cost = this.next.get(id);
      const spent = Decimal.of((await this.clientOf(key).get(key)) ?? '0');
      await pause(Math.random() * 10);
      await this.clientOf(key).set(key, spent.plus(Decimal.of(cost ?? '0.01')).toString());
      this.costs.set(id, (this.costs.get(id) ?? Decimal.of(0)).plus(Decimal.of(cost ?? '0.01')));
      if (cost !== undefined) this.next.delete(id);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
