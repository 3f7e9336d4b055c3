import {BUDGET_KEYS} from '../gateway/keys.js';
import type {Redis} from '../redis/contract.js';
import {scanIds} from '../sessions/scan-ids.js';
import {inGroups} from '../values/chunks.js';
import type {Money} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {fasterOf, findRateSource, HOUR_MS, readRates} from './rates.js';

/** Sessions in one flight. */
const PAGE = 1000;

/** What every session with a budget spends, in US dollars a minute; undefined if the last hour was not recorded. */
export async function readAllRates(
  redis: Redis,
  match?: string,
  mostHours?: number,
): Promise<Map<RawId, Money | null> | undefined> {
  const source = await findRateSource(redis);
  if (source === undefined || source.now.getTime() - source.recorded.getTime() > HOUR_MS) return undefined;
  const found = new Map<RawId, Money | null>();
  for (const ids of inGroups(await scanIds(redis, BUDGET_KEYS, match), PAGE)) {
    for (const [id, rates] of await readRates(redis, ids, source, mostHours)) found.set(id, fasterOf(rates));
  }
  return found;
}
