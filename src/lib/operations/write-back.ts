import {setTimeout as wait} from 'node:timers/promises';

import {runBatch} from '../change/batch.js';
import type {PlannedChange} from '../change/change.js';
import {SPENT_KEYS} from '../gateway/keys.js';
import {readMoney} from '../gateway/read-money.js';
import {describeAmount, moneyOf, toStoredAmount} from '../gateway/stored-amount.js';
import {inText, type Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {type Money, parseStoredMoney, toPlainDigits, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {Left, NotLasting} from './lasting.js';

type SpentLeft = Extract<Left, {kind: 'spent'}>;

/** The same with its amounts. */
interface Replaced {
  id: string;
  key: RawId;
  from: Money;
  to: Money;
  /** The budget before; null where it was no money. */
  limit: Money | null;
}

/** What the replacements of one look have in common. */
interface LookedAt {
  journal: Journal | undefined;
  /** Their age, in milliseconds. */
  ageMs: number;
}

export type FindWrittenBack = (redis: Redis, left: readonly SpentLeft[], of: LookedAt) => Promise<NotLasting[]>;

/** How long after something that looks like a jump to read it again, in milliseconds. */
const LATER_MS = 20;
const MAX_TRIES = 10;
/** Older than any change that is still looked at, in milliseconds. */
const RECENT_MS = 60_000;

/** What was spent at a time after a change. */
interface Since {
  spent: Money;
  /** In milliseconds after the change. */
  ageMs: number;
}

/** Spending that is as after a request that had read what was replaced. */
interface Undone {
  one: Replaced;
  found: Money;
}

/**
 * The gateway reads, adds and writes back in separate steps, so a request under way can bring back the spending that a
 * reset, a renewal or an undo removed, and overwrite what an undo restored. Corrects what certainly happened so, by
 * exactly the difference, as a part of the same change: what is spent meanwhile stays. What may as well be the cost of new
 * requests is only told.
 *
 * @param lastMs when it is called last, in milliseconds after the change
 */
export function writeBacks(lastMs: number): FindWrittenBack {
  /** The sessions that need no other look. */
  const settled = new Set<RawId>();
  const findUndone = undoings(lastMs);
  return async (redis, left, {journal, ageMs}) => {
    const sightings = new Map<RawId, NotLasting>();
    const open = settled.size === 0 ? left : left.filter(({key}) => !settled.has(key));
    let undone: Replaced[] = [];
    for (const {one, found} of await findUndone(redis, open, ageMs)) {
      if (isCertain(one)) undone.push(one);
      else {
        settled.add(one.key);
        sightings.set(one.key, {id: one.id, kind: 'jumped', removed: one.from.minus(one.to), found});
      }
    }
    for (let tries = 0; tries < MAX_TRIES && undone.length > 0; tries++) {
      for (const {one, sighting} of await correct(redis, undone, journal)) {
        sightings.set(one.key, sighting);
        // What is left looks as if it had been written back.
        if (sighting.kind === 'not_corrected' || isUndone(one, sighting.left)) settled.add(one.key);
      }
      // A request may have read just before, and write it back once more.
      const again = await readLater(redis, undone);
      undone = undone.filter((one) => !settled.has(one.key) && isUndone(one, again.get(one.key)));
    }
    return [...sightings.values()];
  };
}

/**
 * A request costs no more than what its session had left when it began, by the gateway's own estimate: so where more than
 * that was removed, a jump by as much is no new cost. Spending that was restored never falls by itself.
 */
function isCertain({from, to, limit}: Replaced): boolean {
  return from.lt(to) || (limit !== null && from.minus(to).gt(limit.minus(from)));
}

function isUndone({from, to}: Replaced, spent: Money | undefined): boolean {
  return spent?.gte(from) === true && (from.gt(to) || spent.lt(to));
}

/**
 * Returns a function that finds what was undone since its last call. A session that has spent as much by itself is no
 * longer judged.
 */
function undoings(lastMs: number): (redis: Redis, left: readonly SpentLeft[], ageMs: number) => Promise<Undone[]> {
  const beyond = new Set<RawId>();
  const before = new Map<RawId, Since>();
  return async (redis, left, ageMs) => {
    const open = beyond.size === 0 ? left : left.filter(({key}) => !beyond.has(key));
    const now = await readSpent(redis, open);
    const again = now.size === 0 ? [] : open.filter(({key}) => now.has(key)).map(toReplaced);
    const suspects = again.filter((one) => isUndone(one, now.get(one.key)));
    const later = suspects.length === 0 ? now : await readLater(redis, suspects);
    const undone: Undone[] = [];
    for (const one of suspects) {
      const {key, from, to} = one;
      const found = now.get(key) ?? ZERO;
      const times = {before: before.get(key) ?? {spent: to, ageMs: 0}, now: {spent: found, ageMs}};
      if (from.gt(to) && couldGrow(one, {...times, later: later.get(key) ?? ZERO})) beyond.add(key);
      else undone.push({one, found});
    }
    for (const [key, spent] of now) before.set(key, {spent, ageMs});
    // Back to the state after the change.
    for (const {one} of undone) before.delete(one.key);
    if (ageMs >= lastMs && before.size > 0) for (const {key} of left) before.delete(key);
    return undone;
  };
}

function toReplaced({id, key, from, to, limit}: SpentLeft): Replaced {
  const amount = (text: string): Money => parseStoredMoney(text) ?? ZERO;
  return {
    id,
    key,
    from: amount(from),
    to: amount(to),
    limit: limit === null ? null : (parseStoredMoney(limit) ?? null),
  };
}

/** True when new requests may have spent as much as was removed, judging by their pace before or now. */
function couldGrow({from, to}: Replaced, {before, now, later}: {before: Since; now: Since; later: Money}): boolean {
  const perMs = (amount: Money, ms: number): number => (ms <= 0 ? 0 : Number(amount.toString()) / ms);
  const since = before.spent.minus(to);
  const rate = Math.max(perMs(since, before.ageMs), perMs(later.minus(now.spent), LATER_MS));
  // Requests do not come evenly.
  const grown = Number(since.toString()) + 2 * rate * (now.ageMs - before.ageMs);
  return grown >= Number(from.minus(to).toString());
}

function readSpent(redis: Redis, of: readonly {key: RawId}[]): Promise<Map<RawId, Money>> {
  return readMoney(
    redis,
    SPENT_KEYS,
    of.map(({key}) => key),
  );
}

async function readLater(redis: Redis, replaced: readonly Replaced[]): Promise<Map<RawId, Money>> {
  await wait(LATER_MS);
  return readSpent(redis, replaced);
}

type Corrected = Extract<NotLasting, {kind: 'taken_off' | 'put_back'}>;

interface Told {
  one: Replaced;
  sighting: Corrected | Extract<NotLasting, {kind: 'not_corrected'}>;
}

async function correct(redis: Redis, undone: readonly Replaced[], journal: Journal | undefined): Promise<Told[]> {
  const byKey = new Map(undone.map((one) => [one.key, one]));
  const keys = [...byKey.keys()];
  // The change already has an entry: whoever reads the journal backwards must look for it.
  const began = journal && (journal.began ?? new Date((await serverTime(redis)).getTime() - RECENT_MS));
  const told: Told[] = [];
  const options = {journal: journal && {...journal, began}, stop: new AbortController().signal};
  let position = 0;
  for await (const outcomes of runBatch(redis, keys, correction(byKey), options)) {
    for (const outcome of outcomes) {
      const key = keys[position++];
      const one = key === undefined ? undefined : byKey.get(key);
      if (one === undefined) continue;
      const {id, from, to} = one;
      const cause = outcome.state === 'failed' ? outcome.error : 'cause' in outcome ? outcome.cause : undefined;
      if (cause !== undefined) told.push({one, sighting: {kind: 'not_corrected', id, from, to, error: cause}});
      else if (outcome.state === 'done' && outcome.result !== null) told.push({one, sighting: outcome.result});
    }
  }
  return told;
}

function correction(byKey: ReadonlyMap<RawId, Replaced>): PlannedChange<Corrected | null> {
  return {
    shapes: [SPENT_KEYS],
    plan(key, [held = false]) {
      const id = nameOf(key);
      const [one, found] = [byKey.get(key), moneyOf(toStoredAmount(inText(held)))];
      if (one === undefined || found === null || !isUndone(one, found)) return {id, state: 'unchanged', result: null};
      const {from, to} = one;
      const left = found.minus(from).plus(to);
      const result: Corrected = from.gt(to)
        ? {id, kind: 'taken_off', removed: from.minus(to), found, left}
        : {id, kind: 'put_back', added: to.minus(from), found, left};
      return {state: 'write', expected: [held], next: [left.eq(ZERO) ? false : toPlainDigits(left)], result};
    },
    lookAt: [SPENT_KEYS],
    preview(id, [held = false]) {
      return {id: nameOf(id), now: `spent ${describeAmount(toStoredAmount(inText(held)))}`, state: 'done'};
    },
  };
}
