import type {Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {type Money, parseStoredMoney} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {type KeyShape, keysOf} from './keys.js';

/** Amounts in one MGET. */
const PAGE = 1000;

/** An amount for each session; sessions without it, or whose amount is not money, are left out. */
export async function readMoney(redis: Redis, shape: KeyShape, ids: readonly RawId[]): Promise<Map<RawId, Money>> {
  const amounts = new Map<RawId, Money>();
  for (const page of inGroups(ids, PAGE)) {
    const values = (await redis.send(['MGET', ...keysOf([shape], page)])) as (string | null)[];
    for (const [index, id] of page.entries()) {
      const text = values[index] ?? null;
      const amount = text === null ? undefined : parseStoredMoney(text);
      if (amount !== undefined) amounts.set(id, amount);
    }
  }
  return amounts;
}
