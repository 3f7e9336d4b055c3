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
 * The change that undid another one and was not undone itself.
 *
 * @param later the changes after it, newest first
 */
export function undoneBy(change: string, later: readonly LaterChange[]): string | undefined {
  const undoing = later.find(
    // An undoing is newer than the change that it undoes.
    (one, index) => one.undoes === change && undoneBy(one.change, later.slice(0, index)) === undefined,
  );
  return undoing?.change;
}

/** The undone changes, session by session: an undoing may have been refused for some sessions of a change. */
export class Undoings {
  private readonly bySession = new Map<RawId, LaterChange[]>();

  /** Adds a part of a change. All newer parts have to come first. */
  add({change, command, undoes, records}: ChangePart): void {
    if (undoes === undefined) return;
    for (const {id} of records) this.bySession.set(id, [...(this.bySession.get(id) ?? []), {change, command, undoes}]);
  }

  /** The change that undid this one for a session. */
  of(change: string, id: RawId): string | undefined {
    return undoneBy(change, this.bySession.get(id) ?? []);
  }
}
