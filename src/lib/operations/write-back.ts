import {setTimeout as wait} from 'node:timers/promises';

import {runBatch} from '../change/batch.js';
import type {PlannedChange} from '../change/change.js';
import {SPENT_KEYS} from '../gateway/keys.js';
import {readMoney} from '../gateway/read-money.js';
import {describeAmount, type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import {inText, type Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {type Money, toPlainDigits, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {NotLasting, SecondLook} from './second-look.js';

/** Spending that a change removed. */
export interface Removal {
  key: RawId;
  spent: Money;
}

/** Written-back spending that was taken off again; null when none was written back. */
interface TakenOff {
  removed: Money;
  found: Money;
  left: Money;
}

/** After a reset somebody waits for the command to end. */
export const RESET_LOOKS = [100, 500];
/** After a renewal old spending would block the session for a whole period, and nobody waits. */
export const RENEWAL_LOOKS = [100, 1000];

/** The spending that could be written back; undefined if there is none, or it is not money. */
export function toRemoval(key: RawId, spent: StoredAmount): Removal | undefined {
  return spent.state === 'money' && spent.amount.gt(ZERO) ? {key, spent: spent.amount} : undefined;
}

/** How long after something that looks like a jump to read it again, in milliseconds. */
const LATER_MS = 20;
const MAX_TRIES = 10;
/** Older than any change that is still looked at, in milliseconds. */
const RECENT_MS = 60_000;

/** The spending since a removal. */
interface Since {
  spent: Money;
  /** The time of the reading, in milliseconds after the removal. */
  ageMs: number;
}

/**
 * Takes off spending that came back. The gateway reads, adds and writes back in separate steps, so a request under way
 * can restore the spending that a reset or a renewal removed. If the spending has jumped by at least the removed
 * amount, exactly that amount is taken off, and recorded in the journal under the same change. New spending stays:
 * spending that grows, as new requests make it, is not a jump.
 *
 * @param removalOf undefined when nothing was removed
 */
export function writeBackLook<R>(
  afterMs: readonly number[],
  removalOf: (result: R) => Removal | undefined,
): SecondLook<R> {
  /** The sessions that need no other look. */
  const settled = new Set<RawId>();
  const findJumps = jumps(Math.max(...afterMs));
  return {
    afterMs,
    async look(redis, results, {journal, ageMs}) {
      const sightings = new Map<RawId, Told['sighting']>();
      const removals = results.flatMap((result) => removalOf(result) ?? []).filter(({key}) => !settled.has(key));
      let jumped = await findJumps(redis, removals, ageMs);
      for (let tries = 0; tries < MAX_TRIES && jumped.length > 0; tries++) {
        const told = await takeOff(redis, jumped, journal);
        for (const {key, sighting} of told) {
          sightings.set(key, sighting);
          if (sighting.kind === 'not_taken_off' || sighting.left.gte(sighting.removed)) settled.add(key);
        }
        // A request may have read just before, and write it back once more.
        const again = await readLater(redis, jumped);
        jumped = jumped.filter(({key, spent}) => !settled.has(key) && again.get(key)?.gte(spent));
      }
      return [...sightings.values()];
    },
  };
}

/**
 * Returns a function that finds the removals that were undone since its last call. A removal whose spending has grown
 * beyond the removed amount cannot jump any more.
 */
function jumps(lastMs: number): (redis: Redis, removals: readonly Removal[], ageMs: number) => Promise<Removal[]> {
  const beyond = new Set<RawId>();
  const before = new Map<RawId, Since>();
  return async (redis, removals, ageMs) => {
    const open = removals.filter(({key}) => !beyond.has(key));
    const now = await readSpent(redis, open);
    const isBeyond = ({key, spent}: Removal): boolean => now.get(key)?.gte(spent) === true;
    const suspects = open.filter(isBeyond);
    const later = suspects.length === 0 ? now : await readLater(redis, suspects);
    const jumped: Removal[] = [];
    for (const removal of suspects) {
      const {key, spent} = removal;
      const read = {now: {spent: now.get(key) ?? ZERO, ageMs}, later: later.get(key) ?? ZERO, before: before.get(key)};
      if (couldGrowTo(spent, read)) beyond.add(key);
      else jumped.push(removal);
    }
    for (const [key, spent] of now) before.set(key, {spent, ageMs});
    // Back to the state after the removal.
    for (const {key} of jumped) before.delete(key);
    if (ageMs >= lastMs) for (const {key} of removals) before.delete(key);
    return jumped;
  };
}

/** True when new requests may have spent as much as was removed, judging by their pace before or now. */
function couldGrowTo(
  removed: Money,
  {now, later, before = {spent: ZERO, ageMs: 0}}: {now: Since; later: Money; before: Since | undefined},
): boolean {
  const perMs = (amount: Money, ms: number): number => (ms <= 0 ? 0 : Number(amount.toString()) / ms);
  const rate = Math.max(perMs(before.spent, before.ageMs), perMs(later.minus(now.spent), LATER_MS));
  // Requests do not come evenly.
  const grown = Number(before.spent.toString()) + 2 * rate * (now.ageMs - before.ageMs);
  return grown >= Number(removed.toString());
}

function readSpent(redis: Redis, removals: readonly Removal[]): Promise<Map<RawId, Money>> {
  return readMoney(
    redis,
    SPENT_KEYS,
    removals.map(({key}) => key),
  );
}

async function readLater(redis: Redis, removals: readonly Removal[]): Promise<Map<RawId, Money>> {
  await wait(LATER_MS);
  return readSpent(redis, removals);
}

interface Told {
  key: RawId;
  sighting: Extract<NotLasting, {kind: 'taken_off' | 'not_taken_off'}>;
}

async function takeOff(redis: Redis, removals: readonly Removal[], journal: Journal | undefined): Promise<Told[]> {
  const back = new Map(removals.map(({key, spent}) => [key, spent]));
  const keys = [...back.keys()];
  // The change already has an entry: whoever reads the journal backwards must look for it.
  const began = journal && (journal.began ?? new Date((await serverTime(redis)).getTime() - RECENT_MS));
  const told: Told[] = [];
  const options = {journal: journal && {...journal, began}, stop: new AbortController().signal};
  let position = 0;
  for await (const outcomes of runBatch(redis, keys, takeOffChange(back), options)) {
    for (const outcome of outcomes) {
      const key = keys[position++];
      const removed = key === undefined ? undefined : back.get(key);
      if (key === undefined || removed === undefined) continue;
      const {id} = outcome;
      const cause = outcome.state === 'failed' ? outcome.error : 'cause' in outcome ? outcome.cause : undefined;
      if (cause !== undefined) told.push({key, sighting: {kind: 'not_taken_off', id, removed, error: cause}});
      else if (outcome.state === 'done' && outcome.result !== null) {
        told.push({key, sighting: {kind: 'taken_off', id, ...outcome.result}});
      }
    }
  }
  return told;
}

function takeOffChange(back: ReadonlyMap<RawId, Money>): PlannedChange<TakenOff | null> {
  return {
    shapes: [SPENT_KEYS],
    plan(id, [held = false]) {
      const [removed, spent] = [back.get(id), toStoredAmount(inText(held))];
      if (removed === undefined || spent.state !== 'money' || spent.amount.lt(removed)) {
        return {id: nameOf(id), state: 'unchanged', result: null};
      }
      const left = spent.amount.minus(removed);
      const next = left.eq(ZERO) ? false : toPlainDigits(left);
      return {state: 'write', expected: [held], next: [next], result: {removed, found: spent.amount, left}};
    },
    lookAt: [SPENT_KEYS],
    preview(id, [held = false]) {
      return {id: nameOf(id), now: `spent ${describeAmount(toStoredAmount(inText(held)))}`, state: 'done'};
    },
  };
}
