import {SEEN_KEY, SPENT_KEYS} from '../gateway/keys.js';
import {BEGINNING, findEnd, hasEntry} from '../journal/after.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {serverTime} from '../redis/server-time.js';
import {scanPages} from '../sessions/scan-ids.js';
import {SortedIds} from '../sessions/sorted-ids.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {idMatcher} from '../values/glob.js';
import {ZERO} from '../values/money.js';
import {rawId, type RawId} from '../values/session-id.js';
import {closeRecording} from './close.js';
import {loadDays} from './days.js';
import {JournaledSpending} from './journaled.js';
import {type Ledger, readLedger} from './ledger.js';
import {contended, type Recording, recordPage, type Run} from './page.js';

export interface RecordOptions {
  /** A Redis glob over IDs. */
  match?: string | undefined;
  /** Undefined for the ledger's own, or else UTC. */
  timezone?: string | undefined;
  /** How long days are kept, in seconds. */
  keepSeconds: number;
}

/** How often to begin again after another host has finished a recording meanwhile. */
const MAX_TRIES = 100;
const PAGE = 1000;

/**
 * Adds to the ledger what sessions have spent since the last recording. Any number of hosts may do so at once: the
 * amount counted for a session and what was seen of it are written in one atomic step, and only if nobody else has
 * written them since.
 *
 * @throws TokengateError LEDGER_MISMATCH, CONTENDED, JOURNAL_UNREADABLE
 */
export async function recordSpending(redis: Redis, options: RecordOptions): Promise<Recording> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const recording = await tryToRecord(redis, options);
    if (recording !== undefined) return recording;
  }
  throw contended();
}

/** Undefined when another host has finished a recording meanwhile. */
async function tryToRecord(redis: Redis, options: RecordOptions): Promise<Recording | undefined> {
  const now = await serverTime(redis);
  const ledger = await readLedger(redis);
  const {timezone, match} = settle(ledger, options);
  const {dayOf} = await loadDays(timezone);
  const journaled = new JournaledSpending(ledger?.position ?? (await findEnd(redis)), now);
  const isTrimmed = ledger !== undefined && !(await isKept(redis, ledger));
  if (ledger !== undefined) await journaled.readOn(redis);
  const start = journaled.settled;
  const recording: Recording = {
    ...{at: now, since: ledger?.recorded ?? null, timezone, match, sessions: 0, active: 0, spent: ZERO},
    ...{unaccounted: [], isTrimmed, droppedDays: [], problems: []},
  };
  const run: Run = {redis, ledger, journaled, day: dayOf(now), recording, rows: 0};
  const count = await countRows(redis);

  const ids = await findIds(run, match);
  for (let page = takePage(ids); page.length > 0; page = takePage(ids)) {
    if (!(await recordPage(run, page))) return undefined;
    recording.sessions += page.length;
  }
  // Sessions in the ledger without spending in Redis: nothing else finds them.
  if (run.rows < count) {
    for await (const page of scanRows(redis)) if (!(await recordPage(run, page))) return undefined;
  }
  recording.droppedDays = await closeRecording(redis, {
    ...{timezone, match, now, day: run.day, position: start, isTrimmed},
    oldest: dayOf(new Date(Math.max(0, now.getTime() - options.keepSeconds * 1000))),
  });
  return recording;
}

/** The time zone and the glob of the ledger, which never change. */
function settle(ledger: Ledger | undefined, {timezone, match}: RecordOptions): Pick<Recording, 'timezone' | 'match'> {
  if (ledger === undefined) return {timezone: timezone ?? 'UTC', match};
  const refuse = (why: string): never => {
    throw new TokengateError('LEDGER_MISMATCH', why, {
      hint: 'To begin a new ledger, first export this one with report-spending, then remove its keys: see the guide "Spending reports".',
    });
  };
  if (timezone !== undefined && timezone !== ledger.timezone) {
    refuse(`The ledger has days of ${ledger.timezone}, not of ${timezone}.`);
  }
  if (match !== ledger.match) {
    refuse(`The ledger records ${inWords(ledger.match)}, not ${inWords(match)}.`);
  }
  return {timezone: ledger.timezone, match};
}

function inWords(match: string | undefined): string {
  return match === undefined ? 'all sessions' : `sessions that match '${match}'`;
}

/** True if the journal still holds everything since the last recording. */
async function isKept(redis: Redis, {position, fields}: Ledger): Promise<boolean> {
  return [BEGINNING, fields.get('gone')].includes(position) || (await hasEntry(redis, position));
}

async function countRows(redis: Redis): Promise<number> {
  return Number(await redis.send(['HLEN', SEEN_KEY]));
}

/** The sessions that have spent something, and those whose spending was changed since the last recording. */
async function findIds({redis, journaled}: Run, match: string | undefined): Promise<Iterator<RawId>> {
  const sorted = new SortedIds();
  sorted.add(journaled.ids.filter(idMatcher(match)));
  for await (const [page] of scanPages(redis, [SPENT_KEYS], match)) sorted.add(page);
  return sorted.read({reverse: false});
}

function takePage(ids: Iterator<RawId>): RawId[] {
  const page: RawId[] = [];
  while (page.length < PAGE) {
    const next = ids.next();
    if (next.done === true) break;
    page.push(next.value);
  }
  return page;
}

async function* scanRows(redis: Redis): AsyncGenerator<RawId[]> {
  let cursor = '0';
  do {
    const [reply] = await redis.pipelineBytes([['HSCAN', SEEN_KEY, cursor, 'COUNT', String(PAGE)]]);
    if (reply instanceof ErrorReply) throw redis.explain(reply);
    const [next, fields] = reply as [Buffer, Buffer[]];
    cursor = String(next);
    for (const pairs of inGroups(fields, 2 * PAGE)) {
      yield pairs.filter((_, index) => index % 2 === 0).map((field) => rawId(field.toString('latin1')));
    }
  } while (cursor !== '0');
}
