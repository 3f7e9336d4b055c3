import {SEEN_KEY, SPENT_KEYS, keyOf, keysOf, JOURNAL_KEY, fieldOf} from '../gateway/keys.js';
import {BEGINNING} from '../journal/after.js';
import {type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {Decimal} from '../values/decimal.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';

/** What the last recording saw of a session. */
export interface Seen {
  /** As it stands in Redis; null for no row. */
  text: string | null;
  amount: Money;
  /** The entry of the journal up to which it is accounted for. */
  position: string;
}

const NEVER_SEEN: Seen = {text: null, amount: ZERO, position: BEGINNING};

export function parseSeen(text: string | null): Seen {
  if (text === null) return NEVER_SEEN;
  const [amount = '0', position = BEGINNING] = text.split(' ');
  return {text, amount: Decimal.of(amount), position};
}

export function formatSeen({amount, position}: Omit<Seen, 'text'>): string {
  return `${amount.toString()} ${position}`;
}

/** A session, with its row and what it has spent. */
export interface Reading {
  id: RawId;
  row: string | null;
  /** A text, null for none; an `ErrorReply` for what cannot be read, undefined for what MGET does not tell. */
  spent: unknown;
}

/**
 * Reads sessions: first what was seen of them, then what they have spent, then whether the journal has got a new entry. In
 * any other order what is older could be taken for newer.
 *
 * @param isEach reads each key alone, so that one of a wrong type is told from none
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
  // On a cluster only an answer says that a command came before the next.
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

/** Null for what is not money. */
export function toPresent(redis: Redis, spent: unknown): Money | null {
  if (spent instanceof ErrorReply) {
    if (spent.message.includes('WRONGTYPE')) return null;
    throw redis.explain(spent);
  }
  return typeof spent === 'string' ? (parseStoredMoney(spent) ?? null) : ZERO;
}
