import {LEDGER_KEY} from '../gateway/keys.js';
import {quoteStart} from '../gateway/stored-text.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {Decimal} from '../values/decimal.js';
import {TokengateError} from '../values/errors.js';
import type {Money} from '../values/money.js';
import {isZoneName} from '../values/time.js';

/** The recordings of one day. */
export interface DayRecord {
  first: Date;
  last: Date;
  /** The largest gap before one of them, in milliseconds. */
  gapMs: number;
  /** The number of recordings that found the journal trimmed. */
  trimmed: number;
}

/** The ledger without the spending itself. */
export interface Ledger {
  /** The time zone in which its days begin. */
  timezone: string;
  /** The glob that its sessions match. */
  match: string | undefined;
  began: Date;
  recorded: Date;
  /** The journal entry up to which all sessions are accounted for. */
  position: string;
  /** By names such as `2026-11-28`, oldest first. */
  days: ReadonlyMap<string, DayRecord>;
  /** The fields as in Redis. */
  fields: ReadonlyMap<string, string>;
}

/**
 * Undefined before the first recording.
 *
 * @throws TokengateError LEDGER_UNREADABLE
 */
export async function readLedger(redis: Redis): Promise<Ledger | undefined> {
  const [reply] = await redis.pipeline([['HGETALL', LEDGER_KEY]]);
  if (reply instanceof ErrorReply) throw redis.explain(reply);
  const pairs = inGroups(reply as string[], 2);
  const fields = new Map(pairs.map(([name = '', text = '']) => [name, text]));
  if (fields.size === 0) return undefined;
  const moment = (name: string): Date => toMoment(name, fields.get(name));
  const days = [...fields].flatMap(([name, text]): [string, DayRecord][] => {
    if (!name.startsWith('day:')) return [];
    const [first, last, gapMs = '0', trimmed = '0'] = text.split(' ');
    const [from, to] = [toMoment(name, first), toMoment(name, last)];
    return [[name.slice('day:'.length), {first: from, last: to, gapMs: Number(gapMs), trimmed: Number(trimmed)}]];
  });
  const {timezone = 'UTC', position = ''} = Object.fromEntries(fields);
  if (!isZoneName(timezone)) throw unreadable('timezone', timezone);
  if (!/^\d+-\d+$/.test(position)) throw unreadable('position', position);
  return {
    timezone,
    match: fields.get('match'),
    began: moment('began'),
    recorded: moment('recorded'),
    position,
    days: new Map(days.sort(([a], [b]) => (a < b ? -1 : 1))),
    fields,
  };
}

function toMoment(name: string, text = ''): Date {
  const moment = new Date(/^\d+$/.test(text) ? Number(text) : NaN);
  if (Number.isNaN(moment.getTime())) throw unreadable(name, text);
  return moment;
}

/**
 * An amount of the ledger.
 *
 * @throws TokengateError LEDGER_UNREADABLE
 */
export function toLedgerAmount(text: string): Money {
  try {
    return Decimal.of(text);
  } catch {
    throw unreadable('an amount', text);
  }
}

function unreadable(what: string, text: string): TokengateError {
  return new TokengateError(
    'LEDGER_UNREADABLE',
    `The ledger of spending cannot be read: ${what} is ${quoteStart(text)}.`,
    {
      hint: 'To begin a new ledger, remove its keys: see the guide "Spending reports".',
    },
  );
}

export function formatDayRecord({first, last, gapMs, trimmed}: DayRecord): string {
  return [first.getTime(), last.getTime(), gapMs, trimmed].join(' ');
}

/** @throws TokengateError NOT_RECORDED */
export async function findLedger(redis: Redis): Promise<Ledger> {
  const ledger = await readLedger(redis);
  if (ledger !== undefined) return ledger;
  throw new TokengateError('NOT_RECORDED', 'No spending has been recorded yet.', {
    hint: 'Record it every few minutes, from cron, with: tokengate record-spending --quiet',
  });
}

/** The name of the hour that contains a moment, in UTC: `2026-11-28T17`. */
export function hourOf(at: Date): string {
  return at.toISOString().slice(0, 13);
}
