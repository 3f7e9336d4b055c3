import type {RawId} from '../values/session-id.js';
import type {ChangePart} from './entry.js';

/** A later change of the same session. */
export interface LaterChange {
  change: string;
  command: string;
  /** The change that it undid. */
  undoes: string | undefined;
}

/**
 * The change that undid one, and was not undone itself.
 *
 * @param later what came after it, newest first
 */
export function undoneBy(change: string, later: readonly LaterChange[]): string | undefined {
  const undoing = later.find(
    // What undoes another is newer than that.
    (one, index) => one.undoes === change && undoneBy(one.change, later.slice(0, index)) === undefined,
  );
  return undoing?.change;
}

/** What was undone, session by session: an undoing may have been refused for some of a change's. */
export class Undoings {
  private readonly bySession = new Map<RawId, LaterChange[]>();

  /** Takes in a part of a change. All that are newer have to come before it. */
  add({change, command, undoes, records}: ChangePart): void {
    if (undoes === undefined) return;
    for (const {id} of records) this.bySession.set(id, [...(this.bySession.get(id) ?? []), {change, command, undoes}]);
  }

  /** The change that undid this one for a session. */
  of(change: string, id: RawId): string | undefined {
    return undoneBy(change, this.bySession.get(id) ?? []);
  }
}
