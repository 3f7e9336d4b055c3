import {SEEN_KEY, SPENT_KEYS, keyOf, keysOf, JOURNAL_KEY, fieldOf} from '../gateway/keys.js';
import {BEGINNING} from '../journal/after.js';
import {type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {toLedgerAmount} from './ledger.js';

/** What the last recording saw of a session. */
export interface Seen {
  /** The text in Redis; null without a row. */
  text: string | null;
  amount: Money;
  /** The journal entry up to which it is accounted for. */
  position: string;
}

const NEVER_SEEN: Seen = {text: null, amount: ZERO, position: BEGINNING};

export function parseSeen(text: string | null): Seen {
  if (text === null) return NEVER_SEEN;
  const [amount = '0', position = BEGINNING] = text.split(' ');
  return {text, amount: toLedgerAmount(amount), position};
}

export function formatSeen({amount, position}: Omit<Seen, 'text'>): string {
  return `${amount.toString()} ${position}`;
}

/** A session with its row and its spending. */
export interface Reading {
  id: RawId;
  row: string | null;
  /** A text, or null for none; an `ErrorReply` if it cannot be read, undefined if MGET does not tell. */
  spent: unknown;
}

/**
 * Reads sessions: first their rows, then their spending, then whether the journal has a new entry. In any other order
 * an older value could pass for a newer one.
 *
 * @param isEach reads each key alone, so that a key of a wrong type is not taken for an absent one
 */
export async function readSeen(
  redis: Redis,
  ids: readonly RawId[],
  {end, isEach}: {end: string; isEach: boolean},
): Promise<{readings: Reading[]; isJournalNewer: boolean}> {
  const flights: Command[][] = [
    [['HMGET', SEEN_KEY, ...ids.map(fieldOf)]],
    isEach ? ids.map((id) => ['GET', keyOf(SPENT_KEYS, id)]) : [['MGET', ...keysOf([SPENT_KEYS], ids)]],
    [['XRANGE', JOURNAL_KEY, `(${end}`, '+', 'COUNT', '1']],
  ];
  const replies: unknown[] = [];
  // On a cluster only an answer proves that a command came before the next.
  for (const flight of redis.cluster === undefined ? [flights.flat()] : flights)
    replies.push(...(await redis.pipeline(flight)));
  const [rows, newer] = [replies[0], replies.at(-1)];
  const values = isEach ? replies.slice(1, -1) : replies[1];
  for (const reply of [rows, newer, values]) if (reply instanceof ErrorReply) throw redis.explain(reply);
  const readings = ids.map((id, index): Reading => {
    const row = (rows as (string | null)[])[index] ?? null;
    const spent = (values as unknown[])[index];
    return {id, row, spent: spent === null && !isEach && row !== null && !row.startsWith('0 ') ? undefined : spent};
  });
  return {readings, isJournalNewer: (newer as unknown[]).length > 0};
}

/** Null if it is not money. */
export function toPresent(redis: Redis, spent: unknown): Money | null {
  if (spent instanceof ErrorReply) {
    if (spent.message.includes('WRONGTYPE')) return null;
    throw redis.explain(spent);
  }
  return typeof spent === 'string' ? (parseStoredMoney(spent) ?? null) : ZERO;
}
