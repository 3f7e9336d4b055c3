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
 * Looks once, on a fresh connection, at the sessions without an answer, and describes for each the values before, as
 * far as they are known, and the values now. The values before are in the journal if the change was made.
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
    // Read after the values: a change that is not in the journal by then had not been made when they were read.
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
      journal === undefined ? '' : ` If it was done, the journal has the old values: change ${journal.change}.`;
    return ids.map((_, index) => `${told(index)}A second look failed: ${error.message}${later}`);
  } finally {
    fresh?.close();
  }
}

/** The values of a session's keys before the change; a key that was not recorded was not changed. */
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

/** How far back to look for the entry of a change that just got no answer, in milliseconds. */
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
