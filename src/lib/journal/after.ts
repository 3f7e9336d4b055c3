import {JOURNAL_KEY} from '../gateway/keys.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {type Completion, journalUnreadable, parseEntry, type ChangePart} from './entry.js';

/** The position before the first entry of a journal. */
export const BEGINNING = '0-0';

/** How long to wait for the end of a change that has begun on a cluster, in milliseconds. */
const UNDER_WAY_MS = 600_000;

/** Entries to read in one step. */
const PAGE = 200;

export interface JournalPage {
  /** Oldest first. A change that had only begun comes again when a later page completes it. */
  parts: ChangePart[];
  /** The last entry that was read. */
  end: string;
  /** How many entries this CLI did not write. */
  unreadable: number;
}

/**
 * Reads the entries of the journal after one of them, oldest first.
 *
 * @param position the ID of an entry, or `BEGINNING`
 * @throws TokengateError JOURNAL_UNREADABLE
 */
export async function* readJournalAfter(redis: Redis, position: string): AsyncGenerator<JournalPage> {
  const begun = new Map<string, Buffer[]>();
  let end = position;
  for (;;) {
    const [page] = await redis.pipelineBytes([['XRANGE', JOURNAL_KEY, `(${end}`, '+', 'COUNT', String(PAGE)]]);
    if (page instanceof ErrorReply) throw journalUnreadable(redis, page);
    const entries = (page as [id: Buffer, fields: Buffer[]][]).map(([id, fields]) => ({id: String(id), fields}));
    if (entries.length === 0) return;
    const completions = new Map<string, Completion>();
    // A completion comes after the entry that it completes.
    const parsed = entries
      .toReversed()
      .map(({id, fields}) => ({id, fields, part: parseEntry(id, fields, completions)}));
    const completed = [...completions.keys()].sort(compareEntries).flatMap((id) => {
      const part = parseEntry(id, begun.get(id) ?? [], completions);
      begun.delete(id);
      return typeof part === 'object' ? part : [];
    });
    const own = parsed.reverse().flatMap(({id, fields, part}) => {
      if (typeof part !== 'object') return [];
      if (part.records.some(({isComplete}) => !isComplete)) begun.set(id, fields);
      return part;
    });
    end = entries.at(-1)?.id ?? end;
    yield {parts: [...completed, ...own], end, unreadable: parsed.filter(({part}) => part === undefined).length};
    if (entries.length < PAGE) return;
  }
}

/** The ID of the newest entry. */
export async function findEnd(redis: Redis): Promise<string> {
  const [reply] = await redis.pipeline([['XREVRANGE', JOURNAL_KEY, '+', '-', 'COUNT', '1']]);
  if (reply instanceof ErrorReply) throw journalUnreadable(redis, reply);
  const [newest] = reply as [id: string, fields: string[]][];
  return newest?.[0] ?? BEGINNING;
}

/** False when an entry is gone: then entries after it may be gone as well. */
export async function hasEntry(redis: Redis, id: string): Promise<boolean> {
  const [reply] = await redis.pipeline([['XRANGE', JOURNAL_KEY, id, id]]);
  if (reply instanceof ErrorReply) throw journalUnreadable(redis, reply);
  return (reply as unknown[]).length > 0;
}

/** Negative, 0 or positive as the first entry is older than, the same as or newer than the second. */
export function compareEntries(one: string, other: string): number {
  const [time = '', nth = '0'] = one.split('-');
  const [otherTime = '', otherNth = '0'] = other.split('-');
  return Number(time) - Number(otherTime) || Number(nth) - Number(otherNth);
}

/** True for an entry whose change may still be under way if the journal lacks its end. */
export function isRecent(entry: string, now: Date): boolean {
  return Number.parseInt(entry) > now.getTime() - UNDER_WAY_MS;
}

/** True for a change that has begun and whose outcome will still be recorded. */
export function isUnderWay({entry, records}: ChangePart, now: Date): boolean {
  return isRecent(entry, now) && records.some(({isComplete}) => !isComplete);
}
