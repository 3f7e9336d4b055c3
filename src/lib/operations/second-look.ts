import {setTimeout as wait} from 'node:timers/promises';

import type {Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import type {Left, NotLasting, SecondLook, Sighting} from './lasting.js';
import {findOverwritten, isAtRisk} from './overwritten.js';
import type {FindWrittenBack} from './write-back.js';

/** A request that read before a change has usually written after this many milliseconds. */
const SOON_MS = 2;
/** How many parts of a batch to look at together. */
const AT_ONCE = 20;

interface Waiting {
  since: number;
  left: readonly Left[];
  journal: Journal | undefined;
  /** When the remaining looks are due, in milliseconds after `since`. */
  afterMs: readonly number[];
}

/** Looks again at the results of a batch, part by part, each when it is due. */
export class SecondLooks<R> {
  private waiting: Waiting[] = [];
  /** The looks run one after another beside the batch, which does not wait for them. */
  private looks = Promise.resolve();
  private isOver = false;
  private writeBacks: Promise<FindWrittenBack> | undefined;

  constructor(
    private readonly redis: Redis,
    private readonly how: SecondLook<R>,
    private readonly onSighting: (sightings: readonly Sighting[]) => void | Promise<void>,
  ) {}

  /** Adds results of changes that were made just now. */
  add(results: readonly R[], journal: Journal | undefined): void {
    const left = results.flatMap(this.how.leftBy);
    if (left.length === 0) return;
    const {afterMs} = this.how;
    const times = left.some(({kind}) => kind === 'spent') ? afterMs : afterMs.slice(0, 1);
    this.waiting.push({since: performance.now(), left, journal, afterMs: times});
  }

  /** Begins the looks that are due, once there are enough of them to be worth it. */
  begin(atLeast = AT_ONCE): void {
    const now = performance.now();
    const due = this.waiting.filter((part) => dueAt(part) <= now);
    if (due.length < atLeast) return;
    this.waiting = this.waiting.filter((part) => !due.includes(part));
    for (const {afterMs, left, ...part} of due) {
      const later = afterMs.slice(1);
      if (later.length > 0) this.waiting.push({...part, left: left.filter(isSpent), afterMs: later});
    }
    this.looks = this.looks.then(() => this.lookAt(due));
  }

  /** Waits for the looks under way, and runs the remaining ones. */
  async finish(): Promise<void> {
    while (this.waiting.length > 0 && !this.isOver) {
      const next = Math.min(...this.waiting.map(dueAt));
      await wait(Math.max(0, Math.ceil(next - performance.now())));
      this.begin(1);
      await this.looks;
    }
    await this.looks;
  }

  /** The same after an interrupt: reports what could not be looked at within that time. */
  async finishWithin(ms: number): Promise<void> {
    const isDone = await Promise.race([this.finish().then(() => true), wait(ms, false)]);
    if (!isDone) await this.giveUp(new TokengateError('INTERRUPTED', 'Interrupted.'));
  }

  /** Waits for the looks under way, and runs no other. */
  async stop(): Promise<void> {
    if (!this.isOver) await this.looks;
  }

  private async lookAt(parts: readonly Waiting[]): Promise<void> {
    try {
      for (const {left, journal, since} of parts) {
        if (this.isOver) return;
        await this.tell(await this.find(left, journal, since));
      }
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      await this.giveUp(error);
    }
  }

  private async find(left: readonly Left[], journal: Journal | undefined, since: number): Promise<NotLasting[]> {
    const found = await findOverwritten(this.redis, left);
    const replaced = left.filter(isSpent);
    if (replaced.length === 0) return found;
    this.writeBacks ??= import('./write-back.js').then(({writeBacks}) => writeBacks(Math.max(...this.how.afterMs)));
    const find = await this.writeBacks;
    return [...found, ...(await find(this.redis, replaced, {journal, ageMs: performance.now() - since}))];
  }

  private async tell(sightings: readonly Sighting[]): Promise<void> {
    if (sightings.length > 0 && !this.isOver) await this.onSighting(sightings);
  }

  private async giveUp(error: TokengateError): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    await this.onSighting([{kind: 'no_look', error}]);
  }
}

/**
 * Looks again at a single change. What only a request in a certain state can undo is looked at almost at once, and again
 * only where there may be such a request. Never throws TokengateError.
 */
export async function lookAtOne<R>(
  redis: Redis,
  how: SecondLook<R>,
  result: R,
  journal: Journal | undefined,
): Promise<Sighting[]> {
  const left = how.leftBy(result);
  const found: Sighting[] = [];
  try {
    if (!left.some(isSpent)) {
      await wait(SOON_MS);
      const lost = await findOverwritten(redis, left);
      if (lost.length > 0 || !(await isAtRisk(redis, left))) return lost;
    }
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return [{kind: 'no_look', error}];
  }
  const looks = new SecondLooks(redis, how, (sightings) => void found.push(...sightings));
  looks.add([result], journal);
  await looks.finish();
  return found;
}

function isSpent(left: Left): left is Extract<Left, {kind: 'spent'}> {
  return left.kind === 'spent';
}

function dueAt({since, afterMs: [next = 0]}: Waiting): number {
  return since + next;
}
