import type {Terms} from '../periods/terms.js';
import {matchesGlob} from '../values/glob.js';
import type {TypedAmount} from '../values/money.js';
import type {RawId} from '../values/session-id.js';

/** What a file says of one session. */
export interface Wanted {
  /** What it may spend now, without grants and what a renewal carried over; undefined when that stays. */
  budget: TypedAmount | undefined;
  /** How the budget renews; null for not at all, undefined when that stays. */
  period: Terms | null | undefined;
  /** Untrusted text; empty without one. */
  note: string;
}

export interface Rule {
  match: Buffer;
  /** Which sessions its file speaks for; undefined for all. */
  scope: readonly Buffer[] | undefined;
  wanted: Wanted;
}

/** What some files say together. */
export interface Budgets {
  named: ReadonlyMap<RawId, Wanted>;
  rules: readonly Rule[];
  /** What each file speaks for; undefined for one that does not say. */
  scopes: readonly (readonly Buffer[] | undefined)[];
}

/** What is wanted of a session that exists; undefined when no file says anything of it. */
export function findWanted({named, rules}: Budgets, id: RawId): Wanted | undefined {
  const own = named.get(id);
  if (own !== undefined || rules.length === 0) return own;
  const bytes = Buffer.from(id, 'latin1');
  return rules.find(({match, scope}) => matchesGlob(match, bytes) && (scope === undefined || matchesOne(scope, bytes)))
    ?.wanted;
}

/** True when a file speaks for a session; one that has no scope does for all. */
export function isInScope({scopes}: Budgets, id: RawId): boolean {
  const bytes = Buffer.from(id, 'latin1');
  return scopes.some((scope) => scope === undefined || matchesOne(scope, bytes));
}

export function matchesOne(globs: readonly Buffer[], bytes: Buffer): boolean {
  return globs.some((glob) => matchesGlob(glob, bytes));
}
