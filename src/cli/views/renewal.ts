import {readStoredPeriod} from '../../lib/periods/stored.js';
import type {Redis} from '../../lib/redis/contract.js';
import {type Money, ZERO} from '../../lib/values/money.js';
import type {RawId} from '../../lib/values/session-id.js';

/** How a session's budget renews, as scripts see it: a contract. Null is what there is none of, or what is not readable. */
export interface RenewalJson {
  every: string | null;
  timezone: string | null;
  /** When the next period begins, on the zone's own clock. */
  next_renewal: string | null;
  /** What the session has been given for a while; USD. */
  grants: Money | null;
}

export const NO_RENEWAL: RenewalJson = {every: null, timezone: null, next_renewal: null, grants: ZERO};

/** The same in a row of a table, safe to show. */
export interface RenewalCells {
  json: RenewalJson;
  period: string;
  resets: string;
  grants: string;
}

/** The same beside one session. */
export interface ShownRenewal {
  json: RenewalJson;
  /** Labelled as those of `get-budget` are. */
  lines: string[];
  /** `every month $50.00, next 2026-12-01 00:00 +00:00 (in 3d4h)`; null without a period. */
  sentence: string | null;
  /** Why it is not known. */
  problems: string[];
}

/** Undefined for a session that has neither a period nor grants; what shows them is loaded where it has. */
export async function readRenewal(redis: Redis, id: RawId): Promise<ShownRenewal | undefined> {
  const stored = await readStoredPeriod(redis, id);
  if (stored === undefined) return undefined;
  const [{judgePeriod}, {showRenewal}] = await Promise.all([
    import('../../lib/sessions/periods.js'),
    import('./periods.js'),
  ]);
  return showRenewal(id, await judgePeriod(stored), stored.now);
}
