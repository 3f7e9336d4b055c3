import {SPENT_KEYS} from '../gateway/keys.js';
import {compareEntries, isRecent, isUnderWay, readJournalAfter} from '../journal/after.js';
import type {KeyRecord, ChangePart, Value} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import type {SpentChange} from './reckon.js';

/** The changes to spending that the journal holds after an entry. */
export class JournaledSpending {
  /** The last entry that was read. */
  end: string;
  /** Every entry up to this one is read and its change is over. */
  settled: string;
  private readonly bySession = new Map<RawId, Map<string, SpentChange>>();

  constructor(
    position: string,
    private readonly now: Date,
  ) {
    this.end = position;
    this.settled = position;
  }

  /** The sessions that were changed. */
  get ids(): RawId[] {
    return [...this.bySession.keys()];
  }

  has(id: RawId): boolean {
    return this.bySession.has(id);
  }

  /** Reads new entries, and returns the sessions that they changed. */
  async readOn(redis: Redis): Promise<RawId[]> {
    const touched: RawId[] = [];
    let isSettled = true;
    for await (const {parts, end} of readJournalAfter(redis, this.settled)) {
      for (const part of parts) {
        touched.push(...this.add(part));
        isSettled &&= !isUnderWay(part, this.now);
        if (isSettled && compareEntries(part.entry, this.settled) > 0) this.settled = part.entry;
      }
      if (isSettled) this.settled = end;
      if (compareEntries(end, this.end) > 0) this.end = end;
    }
    return touched;
  }

  /** The changes of a session after an entry, oldest first; undefined while one of them is under way. */
  of(id: RawId, position: string): SpentChange[] | undefined {
    const changes: SpentChange[] = [];
    for (const [entry, change] of this.bySession.get(id) ?? []) {
      if (compareEntries(entry, position) <= 0) continue;
      if (!change.isComplete && isRecent(entry, this.now)) return undefined;
      changes.push(change);
    }
    return changes;
  }

  /** Returns the sessions that it says something new about. */
  private add(part: ChangePart): RawId[] {
    return part.records.flatMap(({id, keys, isComplete}) => {
      const spent = keys.find(({shape}) => shape === SPENT_KEYS);
      const changes = this.bySession.get(id) ?? new Map<string, SpentChange>();
      // Announced, but not carried out.
      if (spent?.after === undefined) return changes.delete(part.entry) ? id : [];
      if (changes.get(part.entry)?.isComplete === isComplete) return [];
      this.bySession.set(id, changes);
      changes.set(part.entry, toChange(part, keys, spent, isComplete));
      return id;
    });
  }
}

function toChange(
  part: ChangePart,
  keys: readonly KeyRecord[],
  {before, after}: KeyRecord,
  isComplete: boolean,
): SpentChange {
  const [old, next] = [toMoney(before), toMoney(after ?? before)];
  // A change that clears spending also changes other keys, or undoes something.
  const isAlone = keys.length === 1 && part.undoes === undefined;
  return {before: old, after: next, isTakeOff: isAlone && old !== null && next?.lt(old) === true, isComplete};
}

function toMoney(value: Value): Money | null {
  if (value === false) return ZERO;
  return value.kind === 'text' ? (parseStoredMoney(value.text) ?? null) : null;
}
