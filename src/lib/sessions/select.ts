import type {KeyShape} from '../gateway/keys.js';
import type {Redis} from '../redis/contract.js';
import {idMatcher} from '../values/glob.js';
import type {RawId} from '../values/session-id.js';
import {type Filter, passes} from './filter.js';
import {readSessions} from './read.js';
import {scanIds} from './scan-ids.js';
import {sortedOnce} from './sorted-ids.js';

/** The selected sessions: the named ones, or all, or both, filtered by `match` and `where`. */
export interface Selection {
  ids: readonly RawId[];
  /** True for every session. `match` or `where` without any ID means the same. */
  all: boolean;
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** True for an empty list of IDs: nothing is selected, although something was asked for. */
  none?: boolean;
}

export interface Selected {
  /** Sorted by their bytes, each once. */
  ids: RawId[];
  /** Named IDs that `where` could not be applied to, since they have no budget. */
  missing: RawId[];
}

/** True when nothing is selected. Never treat that as "all". */
export function isEmpty({ids, all, match, where, none}: Selection): boolean {
  return none !== true && ids.length === 0 && !all && match === undefined && where === undefined;
}

/** Finds the selected IDs. `universe` is the kind of key that makes a session count among all. */
export async function selectIds(redis: Redis, selection: Selection, universe: KeyShape, now: Date): Promise<Selected> {
  const {ids, all, match, where, none} = selection;
  if (none) return {ids: [], missing: []};
  const named = match === undefined ? ids : ids.filter(idMatcher(match));
  const scanned = all || ids.length === 0 ? await scanIds(redis, universe, match) : [];
  const candidates = named.length === 0 ? scanned : sortedOnce(scanned.concat(named));
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
