import {setTimeout as wait} from 'node:timers/promises';

import type {FreezeState} from '../gateway/freeze.js';
import type {StoredAmount} from '../gateway/stored-amount.js';
import type {Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';

/** The effect of a change that did not last. */
export type NotLasting = {id: string} & (
  | /** Removed spending was written back by a request that was under way, and was taken off again. */
    {kind: 'taken_off'; removed: Money; found: Money; left: Money}
  | {kind: 'not_taken_off'; removed: Money; error: TokengateError}
  | {kind: 'budget_overwritten'; wanted: Money; budget: StoredAmount}
  | {kind: 'freeze_overwritten'; freeze: FreezeState}
);

/** The finding of a second look. */
export type Sighting = NotLasting | {kind: 'no_look'; error: TokengateError};

/**
 * A look, some time after changes, at whether their effect lasts: the gateway reads and writes in separate steps, and
 * may write over it.
 */
export interface SecondLook<R> {
  /** When to look, in milliseconds after the change, in ascending order. */
  afterMs: readonly number[];
  /** @throws TokengateError when Redis can't be read */
  look: (redis: Redis, results: readonly R[], of: LookedAt) => Promise<NotLasting[]>;
}

/** What the results of one look have in common. */
interface LookedAt {
  journal: Journal | undefined;
  /** The age of the changes, in milliseconds. */
  ageMs: number;
}

/** How many parts of a batch to look at together. */
const AT_ONCE = 20;

interface Waiting<R> {
  since: number;
  results: readonly R[];
  journal: Journal | undefined;
  /** When the remaining looks are due, in milliseconds after `since`. */
  afterMs: readonly number[];
}

/** Looks again at the results of a batch, part by part, each when it is due. */
export class SecondLooks<R> {
  private waiting: Waiting<R>[] = [];
  /** The looks run one after another beside the batch, which does not wait for them. */
  private looks = Promise.resolve();
  private hasFailed = false;

  constructor(
    private readonly redis: Redis,
    private readonly how: SecondLook<R>,
    private readonly onSighting: (sightings: readonly Sighting[]) => void | Promise<void>,
  ) {}

  /** Adds results of changes that were made just now. */
  add(results: readonly R[], journal: Journal | undefined): void {
    if (results.length === 0) return;
    this.waiting.push({since: performance.now(), results, journal, afterMs: this.how.afterMs});
  }

  /** Begins the looks that are due, once there are enough of them to be worth it. */
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

  /** Waits for the looks under way, and runs the remaining ones. */
  async finish(): Promise<void> {
    while (this.waiting.length > 0 && !this.hasFailed) {
      const next = Math.min(...this.waiting.map(dueAt));
      await wait(Math.max(0, Math.ceil(next - performance.now())));
      this.begin(1);
      await this.looks;
    }
    await this.stop();
  }

  /** Waits for the looks under way, and runs no other. */
  async stop(): Promise<void> {
    await this.looks;
  }

  private async lookAt(parts: readonly Waiting<R>[]): Promise<void> {
    if (this.hasFailed) return;
    try {
      for (const {results, journal, since} of parts) {
        const found = await this.how.look(this.redis, results, {journal, ageMs: performance.now() - since});
        if (found.length > 0) await this.onSighting(found);
      }
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      this.hasFailed = true;
      await this.onSighting([{kind: 'no_look', error}]);
    }
  }
}

/** The findings of the looks at a single result. Never throws TokengateError. */
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

function dueAt({since, afterMs: [next = 0]}: Waiting<unknown>): number {
  return since + next;
}
