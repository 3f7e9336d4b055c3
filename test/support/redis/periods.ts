import type {TestRedis} from './redis-server.js';

interface PeriodJson {
  renewed: string;
  [field: string]: unknown;
}

/** As if the last renewal had been so many days before. */
export async function backdatePeriod(redis: TestRedis, id: string, days: number): Promise<void> {
  const key = `tokengate:period:${id}`;
  const period = JSON.parse((await redis.client.get(key)) ?? '') as PeriodJson;
  const renewed = new Date(Date.parse(period.renewed) - days * 86_400_000).toISOString();
  await redis.client.set(key, JSON.stringify({...period, renewed}));
}

/** The texts of a session's budget and of what it has spent. */
export function amountsOf(redis: TestRedis, id: string): Promise<(string | null)[]> {
  return redis.client.mGet([`session:${id}:budget`, `session:${id}:spent`]);
}
