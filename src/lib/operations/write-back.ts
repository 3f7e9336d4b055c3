import {setTimeout as wait} from 'node:timers/promises';

import {runBatch} from '../change/batch.js';
import type {PlannedChange} from '../change/change.js';
import {SPENT_KEYS} from '../gateway/keys.js';
import {readMoney} from '../gateway/read-money.js';
import {describeAmount, toStoredAmount} from '../gateway/stored-amount.js';
import {inText, type Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {type Money, parseStoredMoney, toPlainDigits, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {LookedAt, NotLasting, SecondLook} from './second-look.js';

/** Spending that a change removed, as it stood there. */
export interface Removal {
  key: RawId;
  text: string;
}

/** The same once the session has spending again. */
interface Suspect {
  key: RawId;
  removed: Money;
  now: Money;
}

/** What was taken off spending that had been written back; null when it had not been. */
interface TakenOff {
  removed: Money;
  found: Money;
  left: Money;
}

/** After a reset somebody waits for the end of the command. */
export const RESET_LOOKS = [100, 500];
/** After a renewal old spending would block the session for a whole period, and nobody waits. */
export const RENEWAL_LOOKS = [100, 1000];

/** Until what looks like a jump is read once more, in milliseconds. */
const LATER_MS = 20;
const MAX_TRIES = 10;
/** Longer ago than a change that is looked at again. */
const RECENT_MS = 60_000;

/** What is spent since a removal. */
interface Since {
  spent: Money;
  /** When it was read, in milliseconds after the removal. */
  ageMs: number;
}

/**
 * The gateway reads, adds and writes back in separate steps, so a request that is under way can bring back the spending
 * that a reset or a renewal removed. When it has jumped by at least what was removed, exactly that is taken off again, by
 * the same change as the journal has it. What is spent meanwhile stays: spending that grows, as new requests make it, is
 * no jump.
 *
 * @param removalOf undefined when nothing was removed
 */
export function writeBackLook<R>(
  afterMs: readonly number[],
  removalOf: (result: R) => Removal | undefined,
): SecondLook<R> {
  /** Those of which all is told. */
  const settled = new Set<RawId>();
  const findJumps = jumps(Math.max(...afterMs));
  const look = async (redis: Redis, all: readonly Removal[], {journal, ageMs}: LookedAt): Promise<NotLasting[]> => {
    const sightings = new Map<RawId, Told['sighting']>();
    const removals = settled.size === 0 ? all : all.filter(({key}) => !settled.has(key));
    let jumped = await findJumps(redis, removals, ageMs);
    for (let tries = 0; tries < MAX_TRIES && jumped.length > 0; tries++) {
      const told = await takeOff(redis, jumped, journal);
      for (const {key, sighting} of told) {
        sightings.set(key, sighting);
        if (sighting.kind === 'not_taken_off' || sighting.left.gte(sighting.removed)) settled.add(key);
      }
      // A request may have read just before, and bring it back once more.
      const again = await readLater(redis, jumped);
      jumped = jumped.filter(({key, removed}) => !settled.has(key) && again.get(key)?.gte(removed));
    }
    return [...sightings.values()];
  };
  return {
    afterMs,
    at(results) {
      const removals = results.flatMap((result) => removalOf(result) ?? []);
      return removals.length === 0 ? undefined : (redis, at) => look(redis, removals, at);
    },
  };
}

/** Finds removals that are undone, as often as it is called; those whose spending was beyond them once jump no more. */
function jumps(lastMs: number): (redis: Redis, removals: readonly Removal[], ageMs: number) => Promise<Suspect[]> {
  const beyond = new Set<RawId>();
  const before = new Map<RawId, Since>();
  return async (redis, removals, ageMs) => {
    const open = beyond.size === 0 ? removals : removals.filter(({key}) => !beyond.has(key));
    const now = await readSpent(redis, open);
    const suspects = now.size === 0 ? [] : open.flatMap((removal) => toSuspect(removal, now.get(removal.key)) ?? []);
    const later = suspects.length === 0 ? now : await readLater(redis, suspects);
    const jumped: Suspect[] = [];
    for (const suspect of suspects) {
      const {key, removed} = suspect;
      const read = {now: {spent: suspect.now, ageMs}, later: later.get(key) ?? ZERO, before: before.get(key)};
      if (couldGrowTo(removed, read)) beyond.add(key);
      else jumped.push(suspect);
    }
    for (const [key, spent] of now) before.set(key, {spent, ageMs});
    // It is as after the removal again.
    for (const {key} of jumped) before.delete(key);
    if (ageMs >= lastMs && before.size > 0) for (const {key} of removals) before.delete(key);
    return jumped;
  };
}

/** Undefined while there is less than what was removed, and where that was nothing, or no money. */
function toSuspect({key, text}: Removal, now: Money | undefined): Suspect | undefined {
  const removed = now && parseStoredMoney(text);
  return now && removed?.gt(ZERO) && now.gte(removed) ? {key, removed, now} : undefined;
}

/** True when new requests may have spent as much as was removed: going by what they did before, or do now. */
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

function readSpent(redis: Redis, removals: readonly {key: RawId}[]): Promise<Map<RawId, Money>> {
  return readMoney(
    redis,
    SPENT_KEYS,
    removals.map(({key}) => key),
  );
}

async function readLater(redis: Redis, removals: readonly {key: RawId}[]): Promise<Map<RawId, Money>> {
  await wait(LATER_MS);
  return readSpent(redis, removals);
}

interface Told {
  key: RawId;
  sighting: Extract<NotLasting, {kind: 'taken_off' | 'not_taken_off'}>;
}

async function takeOff(redis: Redis, suspects: readonly Suspect[], journal: Journal | undefined): Promise<Told[]> {
  const back = new Map(suspects.map(({key, removed}) => [key, removed]));
  const keys = [...back.keys()];
  // The change has an entry before this one: whoever reads back looks for it.
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
