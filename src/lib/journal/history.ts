import type {Redis} from '../redis/contract.js';
import type {RawId} from '../values/session-id.js';
import {type ChangePart, readJournal} from './entry.js';
import {Undoings} from './undone-by.js';

export interface HistoryOptions {
  session?: RawId | undefined;
  change?: string | undefined;
  since?: Date | undefined;
  actor?: string | undefined;
  /** Maximum number of changes. */
  limit: number;
  /** Receives a sentence about entries that this CLI did not write. */
  unreadable: string[];
}

/** A part of a change, and for each session, by its position, the change that undid it. */
export interface HistoryPart extends ChangePart {
  undoneBy: (string | undefined)[];
}

/** The parts of changes, newest first; the parts of one change need not be consecutive. */
export async function* listChanges(redis: Redis, options: HistoryOptions): AsyncGenerator<HistoryPart[]> {
  const {session, change, since, actor, limit, unreadable} = options;
  const undoings = new Undoings();
  /** The changes shown, each with the time before which it has no more parts, where that is known. */
  const shown = new Map<string, Date | undefined>();
  let count = 0;
  for await (const page of readJournal(redis, since)) {
    count += page.unreadable;
    const parts: HistoryPart[] = [];
    for (const part of page.parts) {
      undoings.add(part);
      const records = session === undefined ? part.records : part.records.filter(({id}) => id === session);
      const isMeant =
        records.length > 0 &&
        (change === undefined || part.change === change) &&
        (actor === undefined || part.actor === actor) &&
        (shown.size < limit || shown.has(part.change));
      if (!isMeant) continue;
      shown.set(part.change, part.began);
      parts.push({...part, records, undoneBy: records.map(({id}) => undoings.of(part.change, id))});
    }
    if (parts.length > 0) yield parts;
    const at = page.parts.at(-1)?.at;
    const isFull = shown.size >= (change === undefined ? limit : 1);
    if (isFull && at && [...shown.values()].every((began) => began === undefined || at < began)) break;
  }
  if (count > 0) unreadable.push(`${count} entries of the journal were not written by tokengate, and are left out.`);
}
