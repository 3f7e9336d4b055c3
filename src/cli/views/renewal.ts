import {readStoredPeriod} from '../../lib/periods/stored.js';
import type {Redis} from '../../lib/redis/contract.js';
import {ZERO} from '../../lib/values/money.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {RenewalJson, ShownRenewal} from './periods.js';

export const NO_RENEWAL: RenewalJson = {every: null, timezone: null, next_renewal: null, grants: ZERO};

/**
 * Undefined for a session without a period and grants; the code that shows them is loaded only where there are some.
 */
export async function readRenewal(redis: Redis, id: RawId): Promise<ShownRenewal | undefined> {
  const stored = await readStoredPeriod(redis, id);
  if (stored === undefined) return undefined;
  const [{judgePeriod}, {showRenewal}] = await Promise.all([
    import('../../lib/sessions/periods.js'),
    import('./periods.js'),
  ]);
  return showRenewal(id, await judgePeriod(stored), stored.now);
}
