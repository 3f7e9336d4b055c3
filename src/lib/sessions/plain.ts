import {isPlainAmount} from '../gateway/amount-texts.js';
import type {Session} from '../gateway/session.js';
import type {Redis} from '../redis/contract.js';
import {isText, nameOf, type RawId} from '../values/session-id.js';
import {type Row, toListedSession} from './read.js';

/** A session without a freeze whose amounts are plain digits: the texts in Redis, for printing. */
export interface PlainSession {
  id: string;
  /** The same as bytes, which are UTF-8. */
  key: RawId;
  budgetText: string;
  /** Null for nothing spent. */
  spentText: string | null;
  problems: readonly never[];
}

/** A session of a list that is only printed. */
export type PrintedSession = Session | PlainSession;

const NO_PROBLEMS: readonly never[] = [];

/** Undefined for a session that needs judgement. */
export function toPlain({id, budget, spent, until, reason}: Row): PlainSession | undefined {
  if (until !== null || reason !== null || !isPlainAmount(budget) || !isText(id)) return undefined;
  if (spent !== null && !isPlainAmount(spent)) return undefined;
  return {id: nameOf(id), key: id, budgetText: budget, spentText: spent, problems: NO_PROBLEMS};
}

/** Like `toSessions`. */
export function toPrinted(redis: Redis, rows: readonly Row[], now: Date | 'skip'): PrintedSession[] {
  const sessions: PrintedSession[] = [];
  for (const row of rows) {
    const session = toPlain(row) ?? toListedSession(redis, row, now);
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}
