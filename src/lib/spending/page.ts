import {LEDGER_KEY, SEEN_KEY, spentDayKey, spentHourKey, unaccountedKey, fieldOf} from '../gateway/keys.js';
import {compareEntries} from '../journal/after.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {type Money, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {compareAndSet, type FieldWrite} from './fields.js';
import type {JournaledSpending} from './journaled.js';
import {hourOf, type Ledger, readLedger, toLedgerAmount} from './ledger.js';
import {reckon, type Reckoning} from './reckon.js';
import {formatSeen, parseSeen, type Reading, readSeen, toPresent} from './seen.js';

/** The result of a recording. */
export interface Recording {
  at: Date;
  /** The time of the recording before; null for the first, which only notes what has been spent already. */
  since: Date | null;
  timezone: string;
  match: string | undefined;
  /** The number of sessions read. */
  sessions: number;
  /** The number of sessions that have spent something since. */
  active: number;
  spent: Money;
  /** Spending that fell without an entry in the journal; `left` is the amount after the fall. */
  unaccounted: {id: string; amount: Money; left: Money}[];
  /** True when the journal no longer holds all changes since. */
  isTrimmed: boolean;
  droppedDays: string[];
  /** One sentence for each session whose spending is not money. May hold untrusted text. */
  problems: string[];
}

/** One recording under way. */
export interface Run {
  redis: Redis;
  ledger: Ledger | undefined;
  journaled: JournaledSpending;
  day: string;
  recording: Recording;
  /** The number of sessions with a row in the ledger. */
  rows: number;
}

/** What to write for one session. */
interface Entry extends Reckoning {
  id: RawId;
  row: string | null;
  /** Null to remove the row. */
  next: string | null;
}

/** How often to read a session again that somebody else has recorded or changed meanwhile. */
const MAX_TRIES = 100;
/** Reports ask for hours up to two days back. */
const HOUR_LIFE_SECONDS = 50 * 3600;

export function contended(): TokengateError {
  return new TokengateError('CONTENDED', 'Other hosts keep recording at the same time. What was recorded is exact.');
}

/**
 * Records some sessions.
 *
 * @returns false when another host has finished a recording meanwhile: what is known of the journal is then out of date
 */
export async function recordPage(run: Run, page: readonly RawId[]): Promise<boolean> {
  const {redis, journaled, ledger, recording} = run;
  let open = page;
  for (let tries = 0; open.length > 0; tries++) {
    if (tries === MAX_TRIES) throw contended();
    const {readings, isJournalNewer} = await readSeen(redis, open, {end: journaled.end, isEach: tries > 0});
    // These sessions may have been read before the change, or after it.
    const unsure = new Set(isJournalNewer ? await journaled.readOn(redis) : []);
    const again: RawId[] = [];
    const entries: Entry[] = [];
    for (const reading of readings) {
      if (tries === 0 && reading.row !== null) run.rows++;
      if (unsure.has(reading.id) || reading.spent === undefined) again.push(reading.id);
      else entries.push(...toEntry(run, reading));
    }
    const written = await write(run, entries);
    for (const [index, entry] of entries.entries()) {
      if (written[index] === true) note(recording, entry);
      else again.push(entry.id);
    }
    if (again.length > 0 && (await readLedger(redis))?.position !== ledger?.position) return false;
    open = again;
  }
  return true;
}

/** What to write for a session, if anything. */
function toEntry({redis, ledger, journaled, recording}: Run, {id, row, spent}: Reading): Entry[] {
  // The fast path for most sessions: nothing has changed.
  if (row !== null && typeof spent === 'string' && row.startsWith(`${spent} `) && !journaled.has(id)) return [];
  const seen = parseSeen(row);
  const present = toPresent(redis, spent);
  if (present === null) {
    recording.problems.push(
      `The spent of session '${nameOf(id)}' is not an amount. It will be recorded when it is one again.`,
    );
  }
  const isCovered = ledger !== undefined && compareEntries(seen.position, ledger.position) <= 0;
  const changes = journaled.of(id, isCovered ? ledger.position : seen.position);
  // A change is under way; the next recording knows its outcome.
  if (changes === undefined) return [];
  const first = {spent: ZERO, unaccounted: ZERO, value: present ?? seen.amount};
  const reckoning = ledger === undefined ? first : reckon(seen.amount, changes, present);
  const {value} = reckoning;
  if (changes.length > 0 || !value.eq(seen.amount)) {
    return [{...reckoning, id, row, next: formatSeen({amount: value, position: journaled.end})}];
  }
  // No row means the same.
  return row !== null && isCovered && value.eq(ZERO) ? [{...reckoning, id, row, next: null}] : [];
}

async function write(run: Run, entries: readonly Entry[]): Promise<boolean[]> {
  const {redis, day, ledger, recording} = run;
  const [dayKey, hourKey, lostKey] = [spentDayKey(day), spentHourKey(hourOf(recording.at)), unaccountedKey(day)];
  const spending = entries.filter(({spent}) => !spent.eq(ZERO));
  const falling = entries.filter(({unaccounted}) => !unaccounted.eq(ZERO));
  const amounts = await readAmounts(redis, [
    [dayKey, spending],
    [hourKey, spending],
    [lostKey, falling],
  ]);
  const groups = entries.map(({id, row, next, spent, unaccounted}): FieldWrite[] => {
    const add = (key: string, amount: Money): FieldWrite[] => {
      const expected = amounts.get(`${key} ${id}`) ?? null;
      if (amount.eq(ZERO)) return [];
      return [
        {
          key,
          field: id,
          expected,
          next: toLedgerAmount(expected ?? '0')
            .plus(amount)
            .toString(),
        },
      ];
    };
    return [
      {key: LEDGER_KEY, field: 'position', expected: ledger?.position ?? null},
      {key: SEEN_KEY, field: id, expected: row, next},
      ...add(dayKey, spent),
      ...add(hourKey, spent),
      ...add(lostKey, unaccounted),
    ];
  });
  return compareAndSet(redis, groups, new Map([[hourKey, HOUR_LIFE_SECONDS]]));
}

/** The values of fields of hashes, by key and session. */
async function readAmounts(
  redis: Redis,
  wanted: readonly (readonly [key: string, entries: readonly Entry[]])[],
): Promise<Map<string, string>> {
  const asked = wanted.filter(([, entries]) => entries.length > 0);
  if (asked.length === 0) return new Map();
  const replies = await redis.pipeline(
    asked.map(([key, entries]) => ['HMGET', key, ...entries.map(({id}) => fieldOf(id))]),
  );
  const amounts = new Map<string, string>();
  for (const [nth, [key, entries]] of asked.entries()) {
    const reply = replies[nth];
    if (reply instanceof ErrorReply) throw redis.explain(reply);
    for (const [index, {id}] of entries.entries()) {
      const amount = (reply as (string | null)[])[index];
      if (typeof amount === 'string') amounts.set(`${key} ${id}`, amount);
    }
  }
  return amounts;
}

function note(recording: Recording, {id, spent, unaccounted, value}: Entry): void {
  recording.spent = recording.spent.plus(spent);
  if (spent.gt(ZERO)) recording.active++;
  if (unaccounted.gt(ZERO)) recording.unaccounted.push({id: nameOf(id), amount: unaccounted, left: value});
}
