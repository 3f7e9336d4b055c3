import type {Terms} from '../periods/terms.js';
import {matchesGlob} from '../values/glob.js';
import type {TypedAmount} from '../values/money.js';
import type {RawId} from '../values/session-id.js';

/** What a file says about one session. */
export interface Wanted {
  /** The budget now, without grants and what a renewal carried over; undefined to leave it. */
  budget: TypedAmount | undefined;
  /** How the budget renews; null for not at all, undefined to leave it. */
  period: Terms | null | undefined;
  /** Untrusted text; empty without one. */
  note: string;
}

export interface Rule {
  match: Buffer;
  /** The sessions that its file is responsible for; undefined for all. */
  scope: readonly Buffer[] | undefined;
  wanted: Wanted;
}

/** What some files say together. */
export interface Budgets {
  named: ReadonlyMap<RawId, {readonly wanted: Wanted}>;
  rules: readonly Rule[];
  /** The sessions that each file is responsible for; undefined for a file that does not say. */
  scopes: readonly (readonly Buffer[] | undefined)[];
}

/** The wanted state of an existing session; undefined if no file says anything about it. */
export function findWanted({named, rules}: Budgets, id: RawId): Wanted | undefined {
  const own = named.get(id)?.wanted;
  if (own !== undefined || rules.length === 0) return own;
  const bytes = Buffer.from(id, 'latin1');
  return rules.find(({match, scope}) => matchesGlob(match, bytes) && (scope === undefined || matchesOne(scope, bytes)))
    ?.wanted;
}

/** True when a file is responsible for a session; a file without a scope is responsible for all. */
export function isInScope({scopes}: Budgets, id: RawId): boolean {
  const bytes = Buffer.from(id, 'latin1');
  return scopes.some((scope) => scope === undefined || matchesOne(scope, bytes));
}

export function matchesOne(globs: readonly Buffer[], bytes: Buffer): boolean {
  return globs.some((glob) => matchesGlob(glob, bytes));
}
