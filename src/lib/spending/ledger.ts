import {LEDGER_KEY} from '../gateway/keys.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';

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

/** Undefined before the first recording. */
export async function readLedger(redis: Redis): Promise<Ledger | undefined> {
  const [reply] = await redis.pipeline([['HGETALL', LEDGER_KEY]]);
  if (reply instanceof ErrorReply) throw redis.explain(reply);
  const pairs = inGroups(reply as string[], 2);
  const fields = new Map(pairs.map(([name = '', text = '']) => [name, text]));
  if (fields.size === 0) return undefined;
  const moment = (name: string): Date => new Date(Number(fields.get(name) ?? NaN));
  const days = [...fields].flatMap(([name, text]): [string, DayRecord][] => {
    if (!name.startsWith('day:')) return [];
    const [first = NaN, last = NaN, gapMs = 0, trimmed = 0] = text.split(' ').map(Number);
    return [[name.slice('day:'.length), {first: new Date(first), last: new Date(last), gapMs, trimmed}]];
  });
  return {
    timezone: fields.get('timezone') ?? 'UTC',
    match: fields.get('match'),
    began: moment('began'),
    recorded: moment('recorded'),
    position: fields.get('position') ?? '',
    days: new Map(days.sort(([a], [b]) => (a < b ? -1 : 1))),
    fields,
  };
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
