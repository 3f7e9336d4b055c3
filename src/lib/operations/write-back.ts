import {setTimeout as wait} from 'node:timers/promises';

import {runBatch} from '../change/batch.js';
import type {PlannedChange} from '../change/change.js';
import {keysOf, SPENT_KEYS} from '../gateway/keys.js';
import {describeAmount, type StoredAmount, toStoredAmount} from '../gateway/stored-amount.js';
import {inText, type Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {type Money, parseStoredMoney, toPlainDigits, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {NotLasting, SecondLook} from './second-look.js';

/** Spending that a change removed. */
export interface Removal {
  key: RawId;
  spent: Money;
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

/** What can be written back; undefined for nothing, and for what is no money. */
export function toRemoval(key: RawId, spent: StoredAmount): Removal | undefined {
  return spent.state === 'money' && spent.amount.gt(ZERO) ? {key, spent: spent.amount} : undefined;
}

/** Sessions are looked at this many at a time. */
const PAGE = 1000;
/** After it was taken off, in milliseconds. */
const AGAIN_MS = 50;
const MAX_TRIES = 10;
/** Longer ago than a change that is looked at again. */
const RECENT_MS = 60_000;

/**
 * The gateway reads, adds and writes back in separate steps, so a request that is under way can bring back the spending
 * that a reset or a renewal removed. When it has jumped by at least what was removed, exactly that is taken off again, by
 * the same change as the journal has it. What is spent meanwhile stays.
 *
 * @param removalOf undefined when nothing was removed
 */
export function writeBackLook<R>(
  afterMs: readonly number[],
  removalOf: (result: R) => Removal | undefined,
): SecondLook<R> {
  /** Those of which it is told already, and whose spending has been beyond what was removed since: it jumps no more. */
  const told = new Set<RawId>();
  return {
    afterMs,
    async look(redis, results, journal) {
      const sightings = new Map<RawId, Told['sighting']>();
      let suspects = results.flatMap((result) => removalOf(result) ?? []).filter(({key}) => !told.has(key));
      for (let tries = 0; tries < MAX_TRIES && suspects.length > 0; tries++) {
        if (tries > 0) await wait(AGAIN_MS);
        const back = await findWrittenBack(redis, suspects);
        if (back.size === 0) break;
        const found = await takeOff(redis, back, journal);
        for (const {key, sighting} of found) {
          sightings.set(key, sighting);
          if (sighting.kind === 'not_taken_off' || sighting.left.gte(sighting.removed)) told.add(key);
        }
        // A request may have read just before, and bring it back once more.
        suspects = suspects.filter(({key}) => back.has(key) && !told.has(key));
      }
      return [...sightings.values()];
    },
  };
}

async function findWrittenBack(redis: Redis, removals: readonly Removal[]): Promise<Map<RawId, Money>> {
  const back = new Map<RawId, Money>();
  for (const page of inGroups(removals, PAGE)) {
    const keys = keysOf(
      [SPENT_KEYS],
      page.map(({key}) => key),
    );
    const values = (await redis.send(['MGET', ...keys])) as (string | null)[];
    for (const [index, {key, spent}] of page.entries()) {
      const now = parseStoredMoney(values[index] ?? '');
      if (now?.gte(spent)) back.set(key, spent);
    }
  }
  return back;
}

interface Told {
  key: RawId;
  sighting: Extract<NotLasting, {kind: 'taken_off' | 'not_taken_off'}>;
}

async function takeOff(redis: Redis, back: ReadonlyMap<RawId, Money>, journal: Journal | undefined): Promise<Told[]> {
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
