import {LEDGER_KEY, spentDayKey, unaccountedKey} from '../gateway/keys.js';
import {compareEntries} from '../journal/after.js';
import type {Redis} from '../redis/contract.js';
import {compareAndSet, type FieldWrite} from './fields.js';
import {type DayRecord, formatDayRecord, type Ledger, readLedger} from './ledger.js';
import {contended} from './page.js';

/** What a recording writes to the ledger apart from the spending itself. */
export interface Closing extends Pick<Ledger, 'timezone' | 'match' | 'position'> {
  now: Date;
  day: string;
  isTrimmed: boolean;
  /** Days before this one are dropped. */
  oldest: string;
}

const MAX_TRIES = 100;

/** Notes that all sessions are recorded, and drops old days. Returns the dropped days. */
export async function closeRecording(redis: Redis, closing: Closing): Promise<string[]> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const ledger = await readLedger(redis);
    const [isWritten] = await compareAndSet(redis, [toWrites(ledger, closing)]);
    if (isWritten === true) return dropDays(redis, ledger, closing.oldest);
  }
  throw contended();
}

/** Another host may have finished its recording meanwhile. What it noted stays. */
function toWrites(ledger: Ledger | undefined, closing: Closing): FieldWrite[] {
  const {now, day, timezone, match, isTrimmed} = closing;
  const at = String(now.getTime());
  const set = (field: string, next: string): FieldWrite => ({
    key: LEDGER_KEY,
    field,
    expected: ledger?.fields.get(field) ?? null,
    next,
  });
  const isFurther = ledger === undefined || compareEntries(closing.position, ledger.position) > 0;
  const isLater = ledger === undefined || now > ledger.recorded;
  const gapMs = ledger === undefined ? 0 : Math.max(0, now.getTime() - ledger.recorded.getTime());
  const record = addToDay(ledger?.days.get(day), {first: now, last: now, gapMs, trimmed: isTrimmed ? 1 : 0});
  return [
    set('position', isFurther ? closing.position : ledger.position),
    // Warned about once.
    ...(isTrimmed && !isFurther ? [set('gone', ledger.position)] : []),
    set(`day:${day}`, formatDayRecord(record)),
    ...(isLater ? [set('recorded', at)] : []),
    ...(ledger === undefined ? [set('began', at), set('timezone', timezone)] : []),
    ...(ledger === undefined && match !== undefined ? [set('match', match)] : []),
  ];
}

function addToDay(before: DayRecord | undefined, record: DayRecord): DayRecord {
  if (before === undefined) return record;
  return {
    first: before.first < record.first ? before.first : record.first,
    last: before.last > record.last ? before.last : record.last,
    gapMs: Math.max(before.gapMs, record.gapMs),
    trimmed: before.trimmed + record.trimmed,
  };
}

async function dropDays(redis: Redis, ledger: Ledger | undefined, oldest: string): Promise<string[]> {
  const dropped = [...(ledger?.days.keys() ?? [])].filter((day) => day < oldest);
  for (const day of dropped) {
    await redis.send(['DEL', spentDayKey(day), unaccountedKey(day)]);
    await redis.send(['HDEL', LEDGER_KEY, `day:${day}`]);
  }
  return dropped;
}
