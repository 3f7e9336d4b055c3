import {BUDGET_KEYS, keysOf, spentDayKey, unaccountedKey} from '../gateway/keys.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {Decimal} from '../values/decimal.js';
import {matchesGlob} from '../values/glob.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import {isAscii, rawId, type RawId} from '../values/session-id.js';
import {type Coverage, coverageOf} from './coverage.js';
import {type DayCalendar, type Days, listDays, periodBefore} from './days.js';
import type {Ledger} from './ledger.js';

export interface ReportOptions extends Days {
  /** The row that what a session spent on a day belongs to. */
  rowOf: (id: RawId, day: string) => string;
  /** A Redis glob over IDs. */
  match?: string | undefined;
  /** Rows of their own, at most; the rest is one row. */
  top?: number | undefined;
  /** Also reads the period before. */
  compare: boolean;
  /** Rows of days, weeks or months: there from the start, and in this order. Else what has spent the most comes first. */
  times?: readonly string[] | undefined;
  now: Date;
}

export interface ReportRow {
  /** Untrusted text. */
  name: string;
  spent: Money;
  /** In percent of all; null when that is nothing. */
  share: Money | null;
  /** Of its sessions now, as far as they have one; null for none, and for a row of time. */
  budget: Money | null;
  sessions: number;
  /** Spent in the period before; null where that is not compared, or was not recorded. */
  previous: Money | null;
  /** By day, the binary number next to it, for a drawing. */
  days: readonly number[];
}

export interface Report {
  period: Days;
  timezone: string;
  days: readonly string[];
  rows: ReportRow[];
  /** What `top` leaves out. */
  others: ReportRow | null;
  total: ReportRow;
  /** The period that it is compared with. */
  before: Days | null;
  coverage: Coverage;
}

/** Budgets in one flight. */
const CHUNK = 1000;

/**
 * Reports what was spent in a period.
 *
 * @throws TokengateError NOT_RECORDED
 */
export async function reportSpending(
  redis: Redis,
  ledger: Ledger,
  calendar: DayCalendar,
  options: ReportOptions,
): Promise<Report> {
  const {from, to, rowOf, match, top = Infinity, compare, times, now} = options;
  const coverage = coverageOf(ledger, {from, to}, calendar, now);
  const days = listDays({from, to});
  const rows = new Map<string, OpenRow>();
  const openRow = (name: string): OpenRow => {
    const row = rows.get(name) ?? {name, spent: ZERO, previous: ZERO, ids: new Set(), days: days.map(() => 0)};
    rows.set(name, row);
    return row;
  };
  for (const time of times ?? []) openRow(time);
  for (const [index, day] of days.entries()) {
    if (!ledger.days.has(day)) continue;
    for (const {id, amount} of await readDay(redis, spentDayKey(day), match)) {
      const row = openRow(rowOf(id, day));
      row.spent = row.spent.plus(amount);
      row.ids.add(id);
      row.days[index] = (row.days[index] ?? 0) + amount.toNumber();
    }
  }
  const before = compare ? periodBefore({from, to}) : null;
  const isKnownBefore = before !== null && isRecorded(ledger, before, calendar);
  if (before !== null && isKnownBefore) {
    for (const day of listDays(before).filter((one) => ledger.days.has(one))) {
      for (const {id, amount} of await readDay(redis, spentDayKey(day), match)) {
        const row = openRow(rowOf(id, day));
        row.previous = row.previous.plus(amount);
        row.ids.add(id);
      }
    }
  }
  const sorted = [...rows.values()];
  if (times === undefined) sorted.sort((a, b) => b.spent.cmp(a.spent) || (a.name < b.name ? -1 : 1));
  const budgets = times === undefined ? await readBudgets(redis, sorted) : undefined;
  const all = sum('Total', sorted, days.length);
  const close = (row: OpenRow): ReportRow => toRow(row, all.spent, budgets, isKnownBefore);
  const [shown, rest] = [sorted.slice(0, top), sorted.slice(top)];
  return {
    period: {from, to},
    timezone: ledger.timezone,
    days,
    rows: shown.map(close),
    others: rest.length === 0 ? null : close(sum(`${rest.length} others`, rest, days.length)),
    total: close(all),
    before,
    coverage: {...coverage, unaccounted: await readUnaccounted(redis, ledger, days, match)},
  };
}

interface OpenRow {
  name: string;
  spent: Money;
  previous: Money;
  ids: Set<RawId>;
  days: number[];
}

function sum(name: string, rows: readonly OpenRow[], count: number): OpenRow {
  const total: OpenRow = {
    name,
    spent: ZERO,
    previous: ZERO,
    ids: new Set(),
    days: Array.from({length: count}, () => 0),
  };
  for (const row of rows) {
    total.spent = total.spent.plus(row.spent);
    total.previous = total.previous.plus(row.previous);
    for (const id of row.ids) total.ids.add(id);
    for (const [index, amount] of row.days.entries()) total.days[index] = (total.days[index] ?? 0) + amount;
  }
  return total;
}

function toRow(
  {name, spent, previous, ids, days}: OpenRow,
  all: Money,
  budgets: ReadonlyMap<RawId, Money> | undefined,
  isKnownBefore: boolean,
): ReportRow {
  const known = [...ids].flatMap((id) => budgets?.get(id) ?? []);
  return {
    name,
    spent,
    share: all.eq(ZERO) ? null : spent.times(100).div(all),
    budget: known.length === 0 ? null : known.reduce((one, other) => one.plus(other), ZERO),
    sessions: ids.size,
    previous: isKnownBefore ? previous : null,
    days,
  };
}

function isRecorded({began, days}: Ledger, {from}: Days, {dayOf}: DayCalendar): boolean {
  const [kept = from] = days.keys();
  return dayOf(began) <= from && kept <= from;
}

/** What each session spent on a day. */
export async function readDay(redis: Redis, key: string, match?: string): Promise<{id: RawId; amount: Money}[]> {
  let [reply] = await redis.pipeline([['HGETALL', key]]);
  if (reply instanceof ErrorReply) throw redis.explain(reply);
  // What is not UTF-8 has to be read as bytes; that takes longer.
  const isExact = !(reply as string[]).some((text) => text.includes('\ufffd'));
  if (!isExact) [reply] = await redis.pipelineBytes([['HGETALL', key]]);
  const glob = match === undefined ? undefined : Buffer.from(match);
  const toId = (field: string | Buffer): RawId =>
    rawId(Buffer.isBuffer(field) ? field.toString('latin1') : toLatin1(field));
  return inGroups(reply as (string | Buffer)[], 2).flatMap(([field = '', text = '']) => {
    const id = toId(field);
    if (glob !== undefined && !matchesGlob(glob, Buffer.from(id, 'latin1'))) return [];
    return {id, amount: Decimal.of(String(text))};
  });
}

function toLatin1(text: string): string {
  return isAscii(text) ? text : Buffer.from(text).toString('latin1');
}

async function readUnaccounted(
  redis: Redis,
  ledger: Ledger,
  days: readonly string[],
  match: string | undefined,
): Promise<Money> {
  let unaccounted = ZERO;
  for (const day of days.filter((one) => ledger.days.has(one))) {
    for (const {amount} of await readDay(redis, unaccountedKey(day), match)) unaccounted = unaccounted.plus(amount);
  }
  return unaccounted;
}

async function readBudgets(redis: Redis, rows: readonly OpenRow[]): Promise<Map<RawId, Money>> {
  const budgets = new Map<RawId, Money>();
  for (const ids of inGroups([...new Set(rows.flatMap(({ids}) => [...ids]))], CHUNK)) {
    const [reply] = await redis.pipeline([['MGET', ...keysOf([BUDGET_KEYS], ids)]]);
    if (reply instanceof ErrorReply) throw redis.explain(reply);
    for (const [index, id] of ids.entries()) {
      const amount = parseStoredMoney((reply as (string | null)[])[index] ?? '');
      if (amount !== undefined) budgets.set(id, amount);
    }
  }
  return budgets;
}
