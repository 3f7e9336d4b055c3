import type {KeyShape} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import {type ChangedSession, heldOf, type Journal, readJournal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';
import type {Change} from './change.js';
import {readValues, type Values} from './look.js';

/**
 * Looks once, on a fresh connection, at what has got no answer: for each what was there before, as far as that is known,
 * and what is there now, in sentences. What was there before is in the journal, where the change was done.
 */
export async function lookAgain<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
  before?: readonly string[],
): Promise<string[]> {
  let fresh: Redis | undefined;
  const told = (index: number): string => (before === undefined ? '' : `Before: ${before[index] ?? ''}. `);
  try {
    fresh = await redis.reopen();
    const values = await readValues(fresh, ids, change.lookAt, change.lives);
    const unreadable = values.find((found) => found instanceof TokengateError);
    if (unreadable !== undefined) throw unreadable;
    // After the values: what is not in the journal now had not been done when they were read.
    const records = journal === undefined ? undefined : await findRecords(fresh, journal);
    return ids.map((id, index) => {
      const {held: now, lives} = values[index] as Values;
      const inWords = change.preview(id, now, lives).now;
      if (records === undefined) return `${told(index)}Now: ${inWords}.`;
      const record = records.get(id);
      const before =
        record === undefined ? inWords : change.preview(id, heldBefore(record, change.lookAt, now), []).now;
      return `Before: ${before}. Now: ${inWords}. The journal ${describeRecord(record, journal?.change ?? '')}`;
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const later =
      journal === undefined ? '' : ` If it was done, the journal tells what was there: change ${journal.change}.`;
    return ids.map((_, index) => `${told(index)}A second look failed: ${error.message}${later}`);
  } finally {
    fresh?.close();
  }
}

/** What a session's keys held before; what was not recorded was not changed. */
function heldBefore({keys}: ChangedSession, shapes: readonly KeyShape[], now: readonly Held[]): Held[] {
  return shapes.map((shape, index) => {
    const before = keys.find((key) => key.shape === shape)?.before;
    return before === undefined ? (now[index] ?? false) : heldOf(before);
  });
}

function describeRecord(record: ChangedSession | undefined, change: string): string {
  if (record === undefined) return 'has no such change.';
  return record.isComplete ? `has it, as change ${change}: it was done.` : `has change ${change} as begun.`;
}

/** How far back the entry of a change is looked for that has got no answer just now, in milliseconds. */
const RECENT_MS = 600_000;

async function findRecords(redis: Redis, {change}: Journal): Promise<Map<RawId, ChangedSession>> {
  const records = new Map<RawId, ChangedSession>();
  const since = new Date((await serverTime(redis)).getTime() - RECENT_MS);
  for await (const {parts} of readJournal(redis, since)) {
    const own = parts.filter((part) => part.change === change);
    for (const {records: some} of own) for (const record of some) records.set(record.id, record);
  }
  return records;
}
