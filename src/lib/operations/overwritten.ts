import {readValues} from '../change/look.js';
import {IDENTICAL_LIMIT, REQUEST_LIMIT} from '../gateway/anomaly-stats.js';
import {toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  keyOf,
  type KeyShape,
  keysOf,
  REQUEST_COUNT_KEYS,
} from '../gateway/keys.js';
import {toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {inText} from '../journal/entry.js';
import type {Command, Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {formatGatewayTime} from '../values/time.js';
import type {Left, NotLasting} from './lasting.js';

type Of<K extends Left['kind']> = Extract<Left, {kind: K}>;

/**
 * The request counter lives for a minute after the last request: if more than this is left, one began within the last
 * second.
 */
const BEGUN_JUST_NOW = 59_000;
/** Sessions to look at in one step. */
const PAGE = 1000;

/**
 * Finds what a request under way has overwritten. One that finds no budget gives the session the gateway's default, over a
 * first budget that was set in between; one beyond the gateway's limits writes a freeze of five minutes; one that finds a
 * freeze that is over removes it, with one that was set in between.
 */
export async function findOverwritten(redis: Redis, left: readonly Left[]): Promise<NotLasting[]> {
  const budgets = left.filter((one): one is Of<'budget'> => one.kind === 'budget');
  const freezes = left.filter((one) => one.kind === 'freeze' || one.kind === 'unfrozen');
  return [...(await findBudgets(redis, budgets)), ...(await findFreezes(redis, freezes))];
}

/** True where a request may be about to do that, so that it is worth looking later. */
export async function isAtRisk(redis: Redis, left: readonly Left[]): Promise<boolean> {
  const [one] = left;
  if (one === undefined) return false;
  const commands: Command[] = [
    ['GET', keyOf(REQUEST_COUNT_KEYS, one.key)],
    ['PTTL', keyOf(REQUEST_COUNT_KEYS, one.key)],
    ['GET', keyOf(IDENTICAL_COUNT_KEYS, one.key)],
  ];
  const [requests, life, identical] = (await redis.pipeline(commands)).map(Number);
  if (one.kind !== 'freeze') return Number(requests) > 0;
  const isNearLimit = Number(requests) >= REQUEST_LIMIT || Number(identical) >= IDENTICAL_LIMIT - 1;
  return one.wasOver || (isNearLimit && Number(life) > BEGUN_JUST_NOW);
}

async function findBudgets(redis: Redis, left: readonly Of<'budget'>[]): Promise<NotLasting[]> {
  const values = await readTexts(redis, BUDGET_KEYS, left);
  return left.flatMap(({id, budget: wanted}, index): NotLasting[] => {
    const budget = toStoredAmount(values[index] ?? false);
    const lasts = budget.state === 'money' && budget.amount.eq(wanted);
    return lasts ? [] : [{id, kind: 'budget_overwritten', wanted, budget}];
  });
}

/** The freezes that are gone or end sooner, and those that were lifted and are there. */
async function findFreezes(redis: Redis, left: readonly Of<'freeze' | 'unfrozen'>[]): Promise<NotLasting[]> {
  const values = await readTexts(redis, FROZEN_UNTIL_KEYS, left);
  const suspects = left.filter((one, index) => {
    const value = values[index] ?? false;
    return value !== (one.kind === 'freeze' && formatGatewayTime(one.until));
  });
  if (suspects.length === 0) return [];
  const now = await serverTime(redis);
  const keys = suspects.map(({key}) => key);
  const found = await readValues(redis, keys, [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS]);
  return suspects.flatMap((one, index): NotLasting[] => {
    const value = found[index];
    if (value === undefined || value instanceof TokengateError) return [];
    const [until = false, reason = false] = value.held.map(inText);
    const freeze = toFreezeState(one.id, until, reason, now);
    if (one.kind === 'unfrozen') return freeze.isFrozen === false ? [] : [{id: one.id, kind: 'frozen_again', freeze}];
    const lasts = freeze.isFrozen === true && freeze.until !== null && freeze.until >= one.until;
    // A very short freeze may be over by now.
    return lasts || one.until <= now ? [] : [{id: one.id, kind: 'freeze_overwritten', freeze}];
  });
}

/** A value of each session, cheaply: what cannot be read as text counts as absent. */
async function readTexts(redis: Redis, shape: KeyShape, left: readonly Left[]): Promise<Held[]> {
  const texts: Held[] = [];
  for (const page of inGroups(left, PAGE)) {
    const keys = page.map(({key}) => key);
    const values = (await redis.send(['MGET', ...keysOf([shape], keys)])) as (string | null)[];
    texts.push(...values.map((value) => value ?? false));
  }
  return texts;
}
