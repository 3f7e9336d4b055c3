import type {TestRedis} from './redis-server.js';

/**
 * Writes as the gateway does while sessions spend: it reads what is spent, adds and writes it back, and counts the
 * request. The rates are in US dollars a minute.
 *
 * @returns what ends it
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
  // A test may stop the server.
  const over = run().catch(() => undefined);
  return async () => {
    isOver = true;
    await over;
  };
}
