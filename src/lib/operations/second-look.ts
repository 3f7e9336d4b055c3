import {setTimeout as wait} from 'node:timers/promises';

import type {FreezeState} from '../gateway/freeze.js';
import type {StoredAmount} from '../gateway/stored-amount.js';
import type {Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';

/** Something that was done, and has not lasted. */
export type NotLasting = {id: string} & (
  | /** Removed spending was written back by a request that was under way, and was taken off again. */
    {kind: 'taken_off'; removed: Money; found: Money; left: Money}
  | {kind: 'not_taken_off'; removed: Money; error: TokengateError}
  | {kind: 'budget_overwritten'; wanted: Money; budget: StoredAmount}
  | {kind: 'freeze_overwritten'; freeze: FreezeState}
);

/** What a second look has found. */
export type Sighting = NotLasting | {kind: 'no_look'; error: TokengateError};

/** A look, some time after changes, at whether what they did has lasted: the gateway reads and writes in separate steps. */
export interface SecondLook<R> {
  /** When to look, in milliseconds after the change, in this order. */
  afterMs: readonly number[];
  /** How to look at some results, without what is of no use for that: many wait. Undefined when nothing need be looked at. */
  at: (results: readonly R[]) => Look | undefined;
}

/** @throws TokengateError when Redis can't be read */
type Look = (redis: Redis, at: LookedAt) => Promise<NotLasting[]>;

/** What the results that are looked at have in common. */
export interface LookedAt {
  journal: Journal | undefined;
  /** How long ago they were done, in milliseconds. */
  ageMs: number;
}

/** Parts of a batch that are looked at in one go. */
const AT_ONCE = 20;

interface Waiting {
  since: number;
  look: Look;
  journal: Journal | undefined;
  /** When the looks that are left are due, in milliseconds after `since`. */
  afterMs: readonly number[];
}

/** Looks again at what was done, part by part, each when its time has come. */
export class SecondLooks<R> {
  private waiting: Waiting[] = [];
  /** One look after the other, beside the batch: it does not wait for them. */
  private looks = Promise.resolve();
  private hasFailed = false;

  constructor(
    private readonly redis: Redis,
    private readonly how: SecondLook<R>,
    private readonly onSighting: (sightings: readonly Sighting[]) => void | Promise<void>,
  ) {}

  /** For results of which the changes are done just now. */
  add(results: readonly R[], journal: Journal | undefined): void {
    const look = this.how.at(results);
    if (look !== undefined) this.waiting.push({since: performance.now(), look, journal, afterMs: this.how.afterMs});
  }

  /** Begins the looks that are due, when there are enough of them to be worth it. */
  begin(atLeast = AT_ONCE): void {
    const now = performance.now();
    const due = this.waiting.filter((part) => dueAt(part) <= now);
    if (due.length < atLeast) return;
    this.waiting = this.waiting.filter((part) => !due.includes(part));
    for (const {afterMs, ...part} of due) {
      const [, ...left] = afterMs;
      if (left.length > 0) this.waiting.push({...part, afterMs: left});
    }
    this.looks = this.looks.then(() => this.lookAt(due));
  }

  /** Waits for the looks that have begun, and does those that are left. */
  async finish(): Promise<void> {
    while (this.waiting.length > 0 && !this.hasFailed) {
      const next = Math.min(...this.waiting.map(dueAt));
      await wait(Math.max(0, Math.ceil(next - performance.now())));
      this.begin(1);
      await this.looks;
    }
    await this.stop();
  }

  /** Waits for the looks that have begun, and does no other. */
  async stop(): Promise<void> {
    await this.looks;
  }

  private async lookAt(parts: readonly Waiting[]): Promise<void> {
    if (this.hasFailed) return;
    try {
      for (const {look, journal, since} of parts) {
        const found = await look(this.redis, {journal, ageMs: performance.now() - since});
        if (found.length > 0) await this.onSighting(found);
      }
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      this.hasFailed = true;
      await this.onSighting([{kind: 'no_look', error}]);
    }
  }
}

/** What looks at a single result find. Never throws TokengateError. */
export async function lookAtOne<R>(
  redis: Redis,
  how: SecondLook<R>,
  result: R,
  journal: Journal | undefined,
): Promise<Sighting[]> {
  const found: Sighting[] = [];
  const looks = new SecondLooks(redis, how, (sightings) => void found.push(...sightings));
  looks.add([result], journal);
  await looks.finish();
  return found;
}

function dueAt({since, afterMs: [next = 0]}: Waiting): number {
  return since + next;
}
