import {setTimeout as wait} from 'node:timers/promises';

import {readValues} from '../change/look.js';
import {IDENTICAL_LIMIT, REQUEST_LIMIT} from '../gateway/anomaly-stats.js';
import {toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  keyOf,
  keysOf,
  REQUEST_COUNT_KEYS,
} from '../gateway/keys.js';
import {toStoredAmount} from '../gateway/stored-amount.js';
import {toHeldText} from '../gateway/stored-value.js';
import {inText} from '../journal/entry.js';
import type {Command, Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {formatGatewayTime} from '../values/time.js';
import type {BudgetChange} from './budget.js';
import type {Freeze} from './freeze.js';
import type {NotLasting, SecondLook, Sighting} from './second-look.js';

/** A request that had read before a change has written after so many milliseconds, as a rule. */
const SOON_MS = 2;
/** While there are requests, it is worth waiting longer. */
const LATER_MS = 100;
/** The counter of requests lives for a minute after the last: with more than this left one began within a second. */
const BEGUN_JUST_NOW = 59_000;
/** Sessions are looked at this many at a time. */
const PAGE = 1000;

/**
 * A request that finds no budget gives the session the gateway's default, in a step of its own: over a budget that was set
 * in between. Looks whether that has happened to a session's first budget; again, and later, where there are requests. A
 * budget that replaces another is safe.
 */
export async function findOverwrittenBudget(redis: Redis, {session, isFirst}: BudgetChange): Promise<Sighting[]> {
  const {id, key, budget: wanted} = session;
  if (!isFirst || wanted === null) return [];
  return lookSoon(async () => {
    const [reply, count] = await redis.pipelineBytes([
      ['GET', keyOf(BUDGET_KEYS, key)],
      ['EXISTS', keyOf(REQUEST_COUNT_KEYS, key)],
    ]);
    const budget = toStoredAmount(toHeldText(redis, reply));
    const lasts = budget.state === 'money' && budget.amount.eq(wanted);
    return {found: lasts ? [] : [{id, kind: 'budget_overwritten', wanted, budget}], isInUse: count === 1};
  });
}

/**
 * A request removes a freeze that was over when it looked, and one beyond the gateway's limits writes a freeze of five
 * minutes, both in steps of their own: over a freeze that was set in between. Looks whether that has happened; again, and
 * later, where a request may be about to do it.
 */
export async function findOverwrittenFreeze(redis: Redis, freeze: Freeze): Promise<Sighting[]> {
  const {key, isKept, previous} = freeze;
  if (isKept) return [];
  const wasOver = previous.isFrozen === false && previous.until !== null;
  return lookSoon(async () => {
    const found = await findLost(redis, [freeze]);
    const commands: Command[] = [
      ['GET', keyOf(REQUEST_COUNT_KEYS, key)],
      ['PTTL', keyOf(REQUEST_COUNT_KEYS, key)],
      ['GET', keyOf(IDENTICAL_COUNT_KEYS, key)],
    ];
    const [requests, life, identical] = (await redis.pipeline(commands)).map(Number);
    const isNearLimit = Number(requests) >= REQUEST_LIMIT || Number(identical) >= IDENTICAL_LIMIT - 1;
    return {found, isInUse: wasOver || (isNearLimit && Number(life) > BEGUN_JUST_NOW)};
  });
}

/** The same for many. */
export const freezeLook: SecondLook<Freeze> = {
  afterMs: [LATER_MS],
  at(freezes) {
    const written = freezes.flatMap(({id, key, until, isKept}) => (isKept ? [] : {id, key, until}));
    return written.length === 0 ? undefined : (redis) => findLost(redis, written);
  },
};

async function lookSoon(look: () => Promise<{found: NotLasting[]; isInUse: boolean}>): Promise<Sighting[]> {
  const start = performance.now();
  try {
    for (const at of [SOON_MS, LATER_MS]) {
      await wait(Math.max(0, at - (performance.now() - start)));
      const {found, isInUse} = await look();
      if (found.length > 0 || !isInUse) return found;
    }
    return [];
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return [{kind: 'no_look', error}];
  }
}

type Written = Pick<Freeze, 'id' | 'key' | 'until'>;

/** Of freezes those that are no longer there, or end sooner. */
async function findLost(redis: Redis, freezes: readonly Written[]): Promise<NotLasting[]> {
  const suspects: Written[] = [];
  for (const page of inGroups(freezes, PAGE)) {
    const keys = keysOf(
      [FROZEN_UNTIL_KEYS],
      page.map(({key}) => key),
    );
    const values = (await redis.send(['MGET', ...keys])) as (string | null)[];
    suspects.push(...page.filter(({until}, index) => values[index] !== formatGatewayTime(until)));
  }
  if (suspects.length === 0) return [];
  const now = await serverTime(redis);
  const values = await readValues(
    redis,
    suspects.map(({key}) => key),
    [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS],
  );
  return suspects.flatMap(({id, until: wanted}, index): NotLasting[] => {
    const value = values[index];
    if (value === undefined || value instanceof TokengateError) return [];
    const [until = false, reason = false] = value.held.map(inText);
    const freeze = toFreezeState(id, until, reason, now);
    const lasts = freeze.isFrozen === true && freeze.until !== null && freeze.until >= wanted;
    // A freeze of a moment may be over by now.
    return lasts || wanted <= now ? [] : [{id, kind: 'freeze_overwritten', freeze}];
  });
}
