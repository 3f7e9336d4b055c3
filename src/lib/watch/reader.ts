import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  keyOf,
  type KeyShape,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {readMangled} from '../gateway/stored-value.js';
import {type Command, ErrorReply, ifPermitted, type Redis, type RedisText} from '../redis/contract.js';
import {serverTime, toServerTime} from '../redis/server-time.js';
import {type Filter, passes} from '../sessions/filter.js';
import {hidesSome, toListed, valuesOf} from '../sessions/read.js';
import {scanIds} from '../sessions/scan-ids.js';
import {inGroups} from '../values/chunks.js';
import {idMatcher} from '../values/glob.js';
import type {Money} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {type Field, FIELDS, type Known, refresh, setAmount, setCounts, toKnown} from './known.js';
import type {Watched} from './row.js';

/** The values in Redis at one moment. */
export interface Reading {
  /** By the server's clock. */
  at: Date;
  /** Sorted by ID. */
  sessions: Watched[];
}

export interface Wanted {
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** Also looks for budgets that renew, with each scan. */
  withRenewals?: boolean;
  /** Returns what sessions spend, in USD a minute, until there are two readings. Called once. */
  readFirstRates?: (redis: Redis, match?: string) => Promise<ReadonlyMap<RawId, Money | null> | undefined>;
}

/** A new session appears within this many milliseconds. */
const SCAN_MS = 10_000;
/** Maximum share of the time that scans may take. */
const SCAN_SHARE = 0.1;
/** Keys in one MGET, which holds up the server while it runs. */
const PAGE = 1000;

/** Read from every session at every reading. */
const EACH_READING = [BUDGET_KEYS, SPENT_KEYS, FROZEN_UNTIL_KEYS];
const KEYS = {budget: BUDGET_KEYS, spent: SPENT_KEYS, until: FROZEN_UNTIL_KEYS};

/** Keeps what was read of the sessions that have a budget, and what several readings show together. */
export class Watch {
  readonly #wanted: Wanted;
  #known = new Map<RawId, Known>();
  #list: Known[] = [];
  #pages: {page: Known[]; commands: Command[]}[] = [];
  /** Those whose requests were counted at the last reading. */
  #counted: Known[] = [];
  #at = new Date(0);
  #nextScan = -Infinity;
  /** True when the list comes from a scan that no reading has followed to its end. */
  #isNew = true;
  #hasFirstRates = false;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /**
   * Reads every session: budgets, spending and freezes in one flight, with the request counts of those in `closely` (or
   * of all). A scan for new sessions runs only every few readings: reading 10,000 sessions every 2 s leaves no time for
   * more.
   */
  async read(redis: Redis, closely: readonly RawId[] | 'all'): Promise<void> {
    if (performance.now() >= this.#nextScan) await this.#scan(redis);
    const before = this.#counted;
    this.#counted = closely === 'all' ? this.#list : this.#find(closely);
    const countPages = pagesOf(this.#counted);
    const frozenPages = pagesOf(this.#list.filter(({until}) => typeof until === 'string'));
    const replies = new Replies(
      redis,
      await redis.pipeline([
        ['TIME'],
        ...this.#pages.flatMap(({page, commands}) =>
          this.#isNew ? [...commands, ask('EXISTS', FROZEN_UNTIL_KEYS, page)] : commands,
        ),
        ...frozenPages.map((page) => ask('MGET', FREEZE_REASON_KEYS, page)),
        ...countPages.map((page) => ask('MGET', REQUEST_COUNT_KEYS, page)),
      ]),
    );
    const at = toServerTime(redis, replies.next());
    const open: Open = {unclear: [], reasons: []};
    for (const {page} of this.#pages) takePage(page, replies, {isScan: this.#isNew, open});
    const frozen = frozenPages.map((page) => ({page, texts: replies.take(page).texts}));
    const counts = countPages.map((page) => replies.take(page).texts);
    for (const {page, texts} of frozen) await setReasons(redis, page, texts);
    await readRest(redis, open);
    this.#isNew = false;
    this.#at = at;
    for (const one of this.#list) refresh(redis, one, at);
    // A count that is no longer read would grow stale.
    for (const {watched} of before) if (watched !== undefined) watched.requests = undefined;
    for (const [index, page] of countPages.entries()) setCounts(page, counts[index] ?? []);
  }

  /** Reads the missing request counts of a few sessions. True if any were missing. */
  async readClosely(redis: Redis, ids: readonly RawId[]): Promise<boolean> {
    const page = this.#find(ids).filter(({watched}) => watched !== undefined && watched.requests === undefined);
    if (page.length === 0) return false;
    const [reply] = await redis.pipeline([ask('MGET', REQUEST_COUNT_KEYS, page)]);
    setCounts(page, valuesOf(redis, reply, page.length));
    this.#counted = [...this.#counted, ...page];
    return true;
  }

  /** What was read last. */
  reading(): Reading {
    const {where} = this.#wanted;
    const sessions = this.#list.flatMap(({watched}) => watched ?? []);
    return {at: this.#at, sessions: where === undefined ? sessions : sessions.filter(wantedBy({where}))};
  }

  #find(ids: readonly RawId[]): Known[] {
    return ids.flatMap((id) => this.#known.get(id) ?? []);
  }

  /** Looks which sessions there are, and what changes as rarely. */
  async #scan(redis: Redis): Promise<void> {
    const start = performance.now();
    const ids = await scanIds(redis, BUDGET_KEYS, this.#wanted.match);
    this.#list = ids.map((id) => this.#known.get(id) ?? toKnown(id));
    this.#known = new Map(this.#list.map((one) => [one.id, one]));
    if (this.#wanted.withRenewals === true) await this.#readRenewals(redis);
    await this.#readFirstRates(redis);
    // Made once for many readings.
    this.#pages = pagesOf(this.#list).map((page) => ({
      page,
      commands: EACH_READING.map((shape) => ask('MGET', shape, page)),
    }));
    const end = performance.now();
    this.#nextScan = end + Math.max(SCAN_MS, (end - start) / SCAN_SHARE);
    this.#isNew = true;
  }

  /** Periods change as rarely as sessions appear. A user who may not read them sees none. */
  async #readRenewals(redis: Redis): Promise<void> {
    const {readRenewing} = await import('../sessions/periods.js');
    const now = await serverTime(redis);
    const periods = await ifPermitted(readRenewing(redis, {match: this.#wanted.match, now}));
    for (const one of this.#list) {
      const renewing = periods?.get(one.id);
      one.renewsAt = renewing == null || renewing.isOverdue ? null : renewing.next;
    }
  }

  async #readFirstRates(redis: Redis): Promise<void> {
    const {readFirstRates, match} = this.#wanted;
    if (this.#hasFirstRates || readFirstRates === undefined) return;
    this.#hasFirstRates = true;
    const rates = await readFirstRates(redis, match);
    for (const one of this.#list) one.firstRate = rates?.get(one.id) ?? null;
  }
}

/** The replies of a flight, in their order. */
class Replies {
  readonly redis: Redis;
  readonly #replies: Iterator<unknown>;

  constructor(redis: Redis, replies: readonly unknown[]) {
    this.redis = redis;
    this.#replies = replies.values();
  }

  next(): unknown {
    return this.#replies.next().value;
  }

  /** The reply to an MGET of the page. */
  take({length}: readonly Known[]): {texts: (string | null)[]; isRefused: boolean} {
    const reply = this.next();
    return {texts: valuesOf(this.redis, reply, length), isRefused: reply instanceof ErrorReply};
  }
}

/** What a flight has left open. */
interface Open {
  unclear: Unclear[];
  /** Sessions whose reason was not asked for yet. */
  reasons: Known[];
}

interface Unclear {
  one: Known;
  field: Field | 'until';
}

/** Takes the amounts and freezes of a page, of whose sessions most are as they were. */
function takePage(page: readonly Known[], replies: Replies, {isScan, open}: {isScan: boolean; open: Open}): void {
  const {redis} = replies;
  const answers = {budget: replies.take(page), spent: replies.take(page)};
  const untils = replies.take(page);
  // At other readings a key of a wrong type is noticed where there was a value before.
  const isHidden = isScan && hidesSome(redis, untils.texts, replies.next());
  for (const [index, one] of page.entries()) {
    for (const field of FIELDS) {
      const {texts, isRefused} = answers[field];
      const [text, old] = [texts[index] ?? null, one.texts[field]];
      // MGET also answers null for a key of a wrong type, and for one that may not be read.
      const isOpen = old !== null || isRefused || (isScan && one.amounts[field].state === 'invalid');
      if (text === null ? isOpen : text !== old && isMangled(text)) open.unclear.push({one, field});
      else if (text !== old) setAmount(one, field, text, toListed(redis, text));
    }
    const until = untils.texts[index] ?? null;
    if (until === null ? isHidden || untils.isRefused || one.until !== null : isMangled(until)) {
      open.unclear.push({one, field: 'until'});
      if (until !== null) open.reasons.push(one);
    } else {
      if (until !== null && typeof one.until !== 'string') open.reasons.push(one);
      one.until = until;
    }
  }
}

/** Returns which sessions are wanted. */
export function wantedBy({match, where}: Wanted): (one: Watched) => boolean {
  const matches = idMatcher(match);
  return ({id, session}) => matches(id) && (where === undefined || passes(where, session));
}

/** Reads what the flight has left open: few values, and none in most readings. */
async function readRest(redis: Redis, {unclear, reasons}: Open): Promise<void> {
  if (unclear.length + reasons.length === 0) return;
  const pages = pagesOf(reasons);
  const gets = unclear.map(({one, field}): Command => ['GET', keyOf(KEYS[field], one.id)]);
  const all = await redis.pipeline([...gets, ...pages.map((page) => ask('MGET', FREEZE_REASON_KEYS, page))]);
  await readMangled(
    redis,
    gets.map(([, key = '']) => key),
    all,
  );
  const replies = all.values();
  for (const {one, field} of unclear) {
    const reply: unknown = replies.next().value;
    if (field === 'until') one.until = reply as Known['until'];
    else setAmount(one, field, null, toListed(redis, reply));
  }
  for (const page of pages) await setReasons(redis, page, valuesOf(redis, replies.next().value, page.length));
}

/** True for text that was not UTF-8, or that holds U+FFFD itself. */
function isMangled(text: string): boolean {
  return text.includes('\ufffd');
}

async function setReasons(redis: Redis, page: readonly Known[], texts: (string | null)[]): Promise<void> {
  const keys = page.map(({id}) => keyOf(FREEZE_REASON_KEYS, id));
  await readMangled(redis, keys, texts);
  for (const [index, one] of page.entries()) one.reasonText = texts[index] ?? null;
}

function ask(command: 'MGET' | 'EXISTS', shape: KeyShape, page: readonly Known[]): Command {
  return [command, ...page.map(({id}): RedisText => keyOf(shape, id))];
}

function pagesOf<T>(list: readonly T[]): T[][] {
  return inGroups(list, PAGE);
}
