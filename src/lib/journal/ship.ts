import type {Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';
import {BEGINNING, findEnd, hasEntry, isUnderWay, readJournalAfter} from './after.js';
import type {ChangedSession, ChangePart} from './entry.js';

/** A place in the journal: after this many sessions of an entry. */
export interface Cursor {
  entry: string;
  sessions: number;
}

/** The change of one session, and the cursor after it. */
export interface ShippedChange {
  part: ChangePart;
  record: ChangedSession;
  cursor: string;
}

export interface ShipOptions {
  session?: RawId | undefined;
  change?: string | undefined;
  actor?: string | undefined;
}

/** How often --follow looks for new changes, in milliseconds. */
export const FOLLOW_MS = 1000;

/**
 * Reads a cursor; `0` is the beginning.
 *
 * @throws TokengateError INVALID_CURSOR
 */
export function parseCursor(typed: string): Cursor {
  if (typed === '0') return {entry: BEGINNING, sessions: 0};
  const [, entry, sessions = Infinity] = /^(\d{1,16}-\d{1,16})(?::(\d{1,6}))?$/.exec(typed) ?? [];
  if (entry !== undefined) return {entry, sessions: Number(sessions)};
  throw new TokengateError('INVALID_CURSOR', `Invalid cursor '${typed}'.`, {
    hint: 'Give the cursor of the last line that you have, or 0 for the beginning.',
  });
}

/** The cursor after the newest change. */
export async function findLastCursor(redis: Redis): Promise<Cursor> {
  return {entry: await findEnd(redis), sessions: Infinity};
}

/**
 * Refuses a cursor whose entry the journal has dropped: later entries may be gone as well.
 *
 * @throws TokengateError CURSOR_GONE
 */
export async function refuseGone(redis: Redis, {entry}: Cursor): Promise<void> {
  if (entry === BEGINNING || (await hasEntry(redis, entry))) return;
  throw new TokengateError(
    'CURSOR_GONE',
    `The journal no longer has entry ${entry}: changes after it may be missing.`,
    {
      hint: 'Go on with --after 0, which prints all that the journal has.',
    },
  );
}

/**
 * The changes after a cursor, oldest first. Stops before a change that is under way, so that each change comes once,
 * complete.
 *
 * @throws TokengateError JOURNAL_UNREADABLE
 */
export async function* shipChanges(redis: Redis, after: Cursor, options: ShipOptions): AsyncGenerator<ShippedChange[]> {
  const now = await serverTime(redis);
  const held = new Map<string, ChangePart>();
  // The cursor's entry may have more sessions after it.
  for await (const {parts} of readJournalAfter(redis, entryBefore(after.entry))) {
    for (const part of parts) held.set(part.entry, part);
    const shipped: ShippedChange[] = [];
    for (const [entry, part] of held) {
      if (isUnderWay(part, now)) break;
      held.delete(entry);
      const skipped = entry === after.entry ? after.sessions : 0;
      for (const [index, record] of part.records.entries()) {
        if (index >= skipped && isMeant(part, record, options)) {
          shipped.push({part, record, cursor: `${entry}:${index + 1}`});
        }
      }
    }
    if (shipped.length > 0) yield shipped;
  }
}

function isMeant({change, actor}: ChangePart, {id}: ChangedSession, options: ShipOptions): boolean {
  return (
    (options.session === undefined || id === options.session) &&
    (options.change === undefined || change === options.change) &&
    (options.actor === undefined || actor === options.actor)
  );
}

/** The ID just below that of an entry. */
function entryBefore(entry: string): string {
  const [time = '0', nth = '0'] = entry.split('-');
  if (nth !== '0') return `${time}-${BigInt(nth) - 1n}`;
  return time === '0' ? BEGINNING : `${BigInt(time) - 1n}-${2n ** 64n - 1n}`;
}
