import {SPENT_KEYS} from '../../../lib/gateway/keys.js';
import {describeKeys} from '../../../lib/journal/describe.js';
import type {Journal} from '../../../lib/journal/entry.js';
import {findChanges, type RecordedChange, undoChange, undoLook} from '../../../lib/operations/undo.js';
import type {Redis, ServerInfo} from '../../../lib/redis/contract.js';
import {serverTime} from '../../../lib/redis/server-time.js';
import {askAbout, undoVerb} from '../../batches/questions.js';
import {countOf, formatCount} from '../../text/words.js';
import {type Confirmation, YES} from './actions.js';
import {carryOut, type Done} from './carry-out.js';

/** A change of this view that can be undone, as recorded in the journal. */
export interface PreparedUndo {
  /** As in "freeze 'x'"; may hold untrusted text. */
  what: string;
  recorded: RecordedChange;
  /** The server that the question names. */
  server: ServerInfo;
}

/** @throws TokengateError CHANGE_NOT_FOUND, JOURNAL_UNREADABLE */
export async function prepareUndo(redis: Redis, {change, what}: {change: string; what: string}): Promise<PreparedUndo> {
  const [recorded] = await findChanges(redis, [change]);
  if (recorded === undefined) throw new RangeError('a change that was found is missing');
  return {what, recorded, server: redis.server};
}

/** The question of `undo-change`. */
export function describeUndo({recorded, server}: PreparedUndo): string {
  const first = [...recorded.sessions.keys()].sort();
  return askAbout(undoVerb([recorded]), {count: first.length, first}, server);
}

/** Offers to keep what was spent since a reset. */
export function confirmUndo({recorded}: PreparedUndo): readonly Confirmation[] {
  const isReset = [...recorded.sessions.values()].some(({keys}) =>
    keys.some(({shape, after}) => shape === SPENT_KEYS && after !== undefined),
  );
  return isReset ? [...YES, {key: 'm', means: 'yes, and add what was spent since'}] : YES;
}

/**
 * Restores the old values.
 *
 * @throws TokengateError why a single session was not changed
 */
export async function undo(
  redis: Redis,
  {recorded}: PreparedUndo,
  {merge, journal}: {merge: boolean; journal: Journal | undefined},
): Promise<Done> {
  const began = await serverTime(redis);
  const keys = [...recorded.sessions.keys()].sort();
  const what = `${recorded.command} (change ${recorded.change})`;
  const nothing = `Nothing was undone of ${what}`;
  return carryOut(
    {redis, keys, journal},
    {
      change: undoChange(recorded, {now: began, force: false, merge, as: journal?.change}),
      began,
      tell: ({id, keys: held}, isChanged) => ({
        text: isChanged
          ? `✓ Undone ${what}: session '${id}', ${describeKeys(held)}`
          : `${nothing}: it is as it was already`,
      }),
      tellAll: (changed, of) =>
        changed === 0 ? nothing : `✓ Undone ${what}: ${formatCount(changed)} of ${countOf(of, 'session')}`,
      look: undoLook,
    },
  );
}
