import {isDeepStrictEqual} from 'node:util';

import {parseCount} from '../gateway/anomaly-stats.js';
import {type FreezeState, NOT_FROZEN} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  keyOf,
  type KeyShape,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {toSession} from '../gateway/session.js';
import {ABSENT, type StoredAmount} from '../gateway/stored-amount.js';
import {readMangled} from '../gateway/stored-value.js';
import {type RedisText, type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {serverTime, toServerTime} from '../redis/server-time.js';
import {type Filter, passes} from '../sessions/filter.js';
import {hidesSome, toListed, toListedFreeze, valuesOf} from '../sessions/read.js';
import {scanIds} from '../sessions/scan-ids.js';
import {inGroups} from '../values/chunks.js';
import {idMatcher} from '../values/glob.js';
import {type Money, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {statusOf, type Watched} from './row.js';
import {addReading, rateOf, type Spending, startSpending} from './spend-rate.js';

/** What stood in Redis at one moment. */
export interface Reading {
  /** By the server's clock. */
  at: Date;
  /** In the order of their IDs. */
  sessions: Watched[];
}

export interface Wanted {
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  /** Looks with each scan for budgets that renew, too. */
  withRenewals?: boolean;
  /** Tells what sessions spend, in USD a minute, for as long as there are no two readings. Asked once. */
  readFirstRates?: (redis: Redis, match?: string) => Promise<ReadonlyMap<RawId, Money | null> | undefined>;
}

export interface Watch {
  /**
   * Reads every session: budgets, spending and freezes in one flight, with the counts of requests of those in `closely`
   * (or of all). Looks for new sessions only every few readings.
   */
  read(redis: Redis, closely: readonly RawId[] | 'all'): Promise<void>;
  /** Reads the counts of requests that have not been read yet, of few sessions. True when there were any. */
  readClosely(redis: Redis, ids: readonly RawId[]): Promise<boolean>;
  /** What was read last. */
  reading(): Reading;
}

/** A new session is seen after at most so many milliseconds. */
const SCAN_MS = 10_000;
/** A scan takes at most this part of the time. */
const SCAN_SHARE = 0.1;
/** Keys in one MGET, which holds up the server for as long as it takes. */
const PAGE = 1000;

const FIELDS = ['budget', 'spent'] as const;
/** Read of every session at every reading. */
const EACH_READING = [BUDGET_KEYS, SPENT_KEYS, FROZEN_UNTIL_KEYS];
const KEYS = {budget: BUDGET_KEYS, spent: SPENT_KEYS, until: FROZEN_UNTIL_KEYS};

type Field = (typeof FIELDS)[number];

/** What is kept of one session. */
interface Known {
  id: RawId;
  name: string;
  amounts: Record<Field, StoredAmount>;
  /** As they stood in Redis; null when there was nothing, undefined when they were not read yet. */
  texts: Record<Field, string | null | undefined>;
  /** The end of the freeze as it stood in Redis, or the error of its GET; null when there was none. */
  until: string | ErrorReply | null;
  reasonText: string | null;
  freeze: FreezeState;
  spending: Spending | undefined;
  /** By the ledger; null when that is not known. */
  firstRate: Money | null;
  /** When the budget renews; null when it does not, or when that is overdue. */
  renewsAt: Date | null;
  /** An amount is another than that of which `watched` was made. */
  isStale: boolean;
  /** Undefined while there is no budget. */
  watched: Watched | undefined;
}

/** Keeps what was read of the sessions that have a budget, and what follows from several readings. */
export function openWatch({match, where, withRenewals = false, readFirstRates}: Wanted): Watch {
  let hasFirstRates = readFirstRates === undefined;
  let known = new Map<RawId, Known>();
  let list: Known[] = [];
  let pages: {page: Known[]; commands: Command[]}[] = [];
  let counted: Known[] = [];
  let at = new Date(0);
  let nextScan = -Infinity;
  /** The list is of a scan that was not read to its end since. */
  let isNew = true;

  /** Periods change as rarely as sessions come. A user who may not read them sees none. */
  const readRenewals = async (redis: Redis): Promise<void> => {
    const {readRenewingIfAllowed} = await import('../sessions/periods.js');
    const now = await serverTime(redis);
    const periods = await readRenewingIfAllowed(redis, {match, now});
    for (const one of list) {
      const renewing = periods?.get(one.id);
      one.renewsAt = renewing == null || renewing.isOverdue ? null : renewing.next;
    }
  };

  const scan = async (redis: Redis): Promise<void> => {
    const start = performance.now();
    const ids = await scanIds(redis, BUDGET_KEYS, match);
    list = ids.map((id) => known.get(id) ?? toKnown(id));
    known = new Map(list.map((one) => [one.id, one]));
    if (withRenewals) await readRenewals(redis);
    if (!hasFirstRates) {
      hasFirstRates = true;
      const rates = await readFirstRates?.(redis, match);
      for (const one of list) one.firstRate = rates?.get(one.id) ?? null;
    }
    // Made once for many readings.
    pages = pagesOf(list).map((page) => ({page, commands: EACH_READING.map((shape) => ask('MGET', shape, page))}));
    const end = performance.now();
    nextScan = end + Math.max(SCAN_MS, (end - start) / SCAN_SHARE);
    isNew = true;
  };

  return {
    async read(redis, closely) {
      if (performance.now() >= nextScan) await scan(redis);
      const isScan = isNew;
      const before = counted;
      counted = closely === 'all' ? list : closely.flatMap((id) => known.get(id) ?? []);
      const countPages = pagesOf(counted);
      const frozenPages = pagesOf(list.filter(({until}) => typeof until === 'string'));
      const replies = (
        await redis.pipeline([
          ['TIME'],
          ...pages.flatMap(({page, commands}) =>
            isScan ? [...commands, ask('EXISTS', FROZEN_UNTIL_KEYS, page)] : commands,
          ),
          ...frozenPages.map((page) => ask('MGET', FREEZE_REASON_KEYS, page)),
          ...countPages.map((page) => ask('MGET', REQUEST_COUNT_KEYS, page)),
        ])
      ).values();
      const take = ({length}: readonly Known[]): {texts: (string | null)[]; isRefused: boolean} => {
        const reply: unknown = replies.next().value;
        return {texts: valuesOf(redis, reply, length), isRefused: reply instanceof ErrorReply};
      };
      const time = toServerTime(redis, replies.next().value);
      const unclear: Unclear[] = [];
      const reasons: Known[] = [];
      for (const {page} of pages) {
        const answers = {budget: take(page), spent: take(page)};
        const untils = take(page);
        // At other readings a key of a wrong type is seen where there was something before.
        const isHidden = isScan && hidesSome(redis, untils.texts, replies.next().value);
        for (const [index, one] of page.entries()) {
          for (const field of FIELDS) {
            const {texts, isRefused} = answers[field];
            const [text, old] = [texts[index] ?? null, one.texts[field]];
            // MGET gives nothing too for what is of a wrong type or may not be read.
            const isOpen = old !== null || isRefused || (isScan && one.amounts[field].state === 'invalid');
            if (text === null ? isOpen : text !== old && isMangled(text)) unclear.push({one, field});
            else if (text !== old) setAmount(one, field, text, toListed(redis, text));
          }
          const until = untils.texts[index] ?? null;
          if (until === null ? isHidden || untils.isRefused || one.until !== null : isMangled(until)) {
            unclear.push({one, field: 'until'});
            if (until !== null) reasons.push(one);
          } else {
            if (until !== null && typeof one.until !== 'string') reasons.push(one);
            one.until = until;
          }
        }
      }
      const frozen = frozenPages.map((page) => ({page, texts: take(page).texts}));
      const counts = countPages.map((page) => take(page).texts);
      for (const {page, texts} of frozen) await setReasons(redis, page, texts);
      await readRest(redis, unclear, reasons);
      isNew = false;
      at = time;
      for (const one of list) refresh(redis, one, at);
      // What is not read any more would grow old.
      for (const {watched} of before) if (watched !== undefined) watched.requests = undefined;
      for (const [index, page] of countPages.entries()) setCounts(page, counts[index] ?? []);
    },

    async readClosely(redis, ids) {
      const page = ids
        .flatMap((id) => known.get(id) ?? [])
        .filter(({watched}) => watched !== undefined && watched.requests === undefined);
      if (page.length === 0) return false;
      const [reply] = await redis.pipeline([ask('MGET', REQUEST_COUNT_KEYS, page)]);
      setCounts(page, valuesOf(redis, reply, page.length));
      counted = [...counted, ...page];
      return true;
    },

    reading() {
      const isMeant = where === undefined ? undefined : wantedBy({where});
      const sessions = list.flatMap(({watched}) => watched ?? []);
      return {at, sessions: isMeant === undefined ? sessions : sessions.filter(isMeant)};
    },
  };
}

/** Tells which sessions are wanted. */
export function wantedBy({match, where}: Wanted): (one: Watched) => boolean {
  const matches = idMatcher(match);
  return ({id, session}) => matches(id) && (where === undefined || passes(where, session));
}

function toKnown(id: RawId): Known {
  return {
    id,
    name: nameOf(id),
    amounts: {budget: ABSENT, spent: ABSENT},
    texts: {budget: undefined, spent: undefined},
    until: null,
    reasonText: null,
    freeze: NOT_FROZEN,
    spending: undefined,
    firstRate: null,
    renewsAt: null,
    isStale: true,
    watched: undefined,
  };
}

interface Unclear {
  one: Known;
  field: Field | 'until';
}

/** Reads what the flight has left open: few values, and none in most readings. */
async function readRest(redis: Redis, unclear: readonly Unclear[], reasons: readonly Known[]): Promise<void> {
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

function setAmount(one: Known, field: Field, text: string | null, amount: StoredAmount): void {
  one.texts[field] = text;
  if (isDeepStrictEqual(one.amounts[field], amount)) return;
  one.amounts[field] = amount;
  one.isStale = true;
}

/** What is no UTF-8, or U+FFFD itself. */
function isMangled(text: string): boolean {
  return text.includes('\ufffd');
}

async function setReasons(redis: Redis, page: readonly Known[], texts: (string | null)[]): Promise<void> {
  const keys = page.map(({id}) => keyOf(FREEZE_REASON_KEYS, id));
  await readMangled(redis, keys, texts);
  for (const [index, one] of page.entries()) one.reasonText = texts[index] ?? null;
}

function setCounts(page: readonly Known[], texts: readonly (string | null)[]): void {
  for (const [index, {watched}] of page.entries()) {
    const text = texts[index] ?? null;
    if (watched !== undefined) watched.requests = text === null ? 0 : parseCount(text);
  }
}

/** Brings what is said of a session up to what was read. */
function refresh(redis: Redis, one: Known, at: Date): void {
  const {id, name, until, reasonText, watched} = one;
  const {budget, spent} = one.amounts;
  if (budget.state === 'absent') {
    // Removed. Should it come back, it is seen at the next reading.
    one.watched = undefined;
    one.spending = undefined;
    return;
  }
  const amount = spent.state === 'money' ? spent.amount : spent.state === 'absent' ? ZERO : undefined;
  if (amount === undefined) one.spending = undefined;
  else if (one.spending === undefined) one.spending = startSpending(at.getTime(), amount);
  else addReading(one.spending, at.getTime(), amount);
  const rate = one.spending === undefined ? null : (rateOf(one.spending) ?? one.firstRate);

  const freeze = until === null ? NOT_FROZEN : toListedFreeze(redis, name, until, reasonText, at);
  const isChanged = watched === undefined || one.isStale || !isSameFreeze(freeze, one.freeze);
  one.freeze = freeze;
  one.isStale = false;
  const {renewsAt} = one;
  const renewsIn = renewsAt === null || renewsAt <= at ? null : Math.ceil((renewsAt.getTime() - at.getTime()) / 1000);
  if (watched !== undefined && !isChanged) {
    watched.rate = rate;
    watched.renewsAt = renewsAt;
    watched.renewsIn = renewsIn;
    return;
  }
  const session = toSession(id, {budget, spent}, freeze);
  const facts = {session, status: statusOf(session), rate, renewsAt, renewsIn};
  if (watched === undefined) one.watched = {id, requests: undefined, ...facts};
  else Object.assign(watched, facts);
}

function isSameFreeze(a: FreezeState, b: FreezeState): boolean {
  return a.isFrozen === b.isFrozen && a.until?.getTime() === b.until?.getTime() && a.reason === b.reason;
}

function ask(command: 'MGET' | 'EXISTS', shape: KeyShape, page: readonly Known[]): Command {
  return [command, ...page.map(({id}): RedisText => keyOf(shape, id))];
}

function pagesOf<T>(list: readonly T[]): T[][] {
  return inGroups(list, PAGE);
}
