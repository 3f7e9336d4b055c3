import type {KeyShape} from '../gateway/keys.js';
import type {Redis} from '../redis/contract.js';
import {idMatcher} from '../values/glob.js';
import type {RawId} from '../values/session-id.js';
import {type Filter, passes} from './filter.js';
import {readSessions} from './read.js';
import {scanIds} from './scan-ids.js';
import {sortedOnce} from './sorted-ids.js';

/** Which sessions are meant: those named, or all, or both; of these, those that `match` and `where` let through. */
export interface Selection {
  ids: readonly RawId[];
  /** Every session that there is. `match` or `where` without any ID stands for all too. */
  all: boolean;
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** Nothing at all, though something was asked for: a list of IDs that turned out to be empty. */
  none?: boolean;
}

export interface Selected {
  /** In the order of their bytes, each once. */
  ids: RawId[];
  /** Named, but `where` could not be asked of them, since they have no budget. */
  missing: RawId[];
}

/** True when nothing is meant: never taken for all. */
export function isEmpty({ids, all, match, where, none}: Selection): boolean {
  return none !== true && ids.length === 0 && !all && match === undefined && where === undefined;
}

/** Finds the IDs that are meant. `universe` is the kind of key that a session has to have to be one of all. */
export async function selectIds(redis: Redis, selection: Selection, universe: KeyShape, now: Date): Promise<Selected> {
  const {ids, all, match, where, none} = selection;
  if (none) return {ids: [], missing: []};
  const named = ids.filter(idMatcher(match));
  const scanned = all || ids.length === 0 ? await scanIds(redis, universe, match) : [];
  const candidates = named.length === 0 ? scanned : sortedOnce([...scanned, ...named]);
  if (where === undefined) return {ids: candidates, missing: []};

  const selected: RawId[] = [];
  const missing = new Set(named);
  for await (const page of readSessions(redis, candidates, where.needsFrozen ? {now} : 'skip')) {
    for (const session of page) {
      missing.delete(session.key);
      if (passes(where, session)) selected.push(session.key);
    }
  }
  return {ids: selected, missing: [...missing]};
}
