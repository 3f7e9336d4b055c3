import {BUDGET_KEYS, spentDayKey, unaccountedKey} from '../gateway/keys.js';
import {readMoney} from '../gateway/read-money.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {idMatcher} from '../values/glob.js';
import {type Money, ZERO} from '../values/money.js';
import {isAscii, rawId, type RawId} from '../values/session-id.js';
import {type Coverage, coverageOf} from './coverage.js';
import {type DayCalendar, type Days, listDays, periodBefore} from './days.js';
import {type Ledger, toLedgerAmount} from './ledger.js';

export interface ReportOptions extends Days {
  /** The row that a session's spending on a day belongs to. */
  rowOf: (id: RawId, day: string) => string;
  /** A Redis glob over IDs. */
  match?: string | undefined;
  /** Maximum number of rows; the rest becomes one row. */
  top?: number | undefined;
  /** Also read the period before. */
  compare: boolean;
  /**
   * The rows for days, weeks or months: present from the start, in this order. Without it, the highest spending comes
   * first.
   */
  times?: readonly string[] | undefined;
  now: Date;
}

export interface ReportRow {
  /** Untrusted text. */
  name: string;
  spent: Money;
  /** Percent of the total; null when the total is 0. */
  share: Money | null;
  /** The present budgets of its sessions; null if none has one, and for a row of time. */
  budget: Money | null;
  sessions: number;
  /** Spending in the period before; null when it is not compared, or was not recorded. */
  previous: Money | null;
  /** Spending by day, as the nearest binary numbers, for drawing. */
  days: Float64Array;
}

export interface Report {
  period: Days;
  timezone: string;
  days: readonly string[];
  rows: ReportRow[];
  /** The sum of the rows that `top` leaves out. */
  others: ReportRow | null;
  total: ReportRow;
  /** The period to compare with. */
  before: Days | null;
  coverage: Coverage;
}

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
  const {from, to, match, top = Infinity, compare, times} = options;
  const coverage = await readCoverage(redis, ledger, calendar, options);
  const days = listDays({from, to});
  const rows = new Rows(days.length, options);
  for (const time of times ?? []) rows.open(time);
  for (const [index, day] of days.entries()) {
    if (!ledger.days.has(day)) continue;
    for (const {id, amount, text} of await readDay(redis, spentDayKey(day), match)) {
      const row = rows.of(id, day);
      row.spent = row.spent.plus(amount);
      row.days[index] = (row.days[index] ?? 0) + Number(text);
    }
  }
  const before = compare ? periodBefore({from, to}) : null;
  const isKnownBefore = before !== null && isRecorded(ledger, before, calendar);
  if (before !== null && isKnownBefore) {
    for (const day of listDays(before).filter((one) => ledger.days.has(one))) {
      for (const {id, amount} of await readDay(redis, spentDayKey(day), match)) {
        const row = rows.of(id, day);
        row.previous = row.previous.plus(amount);
      }
    }
  }
  const sorted = [...rows.byName.values()];
  if (times === undefined) sorted.sort((a, b) => b.spent.cmp(a.spent) || (a.name < b.name ? -1 : 1));
  const withBudgets = times === undefined ? new Set(sorted.flatMap(({ids}) => [...ids])) : undefined;
  const budgets = withBudgets && (await readMoney(redis, BUDGET_KEYS, [...withBudgets]));
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
    coverage,
  };
}

/**
 * How completely a period is recorded.
 *
 * @throws TokengateError NOT_RECORDED
 */
export async function readCoverage(
  redis: Redis,
  ledger: Ledger,
  calendar: DayCalendar,
  {from, to, match, now}: Days & Pick<ReportOptions, 'match' | 'now'>,
): Promise<Coverage> {
  const coverage = coverageOf(ledger, {from, to}, calendar, now);
  let unaccounted = ZERO;
  for (const day of listDays({from, to}).filter((one) => ledger.days.has(one))) {
    for (const {amount} of await readDay(redis, unaccountedKey(day), match)) unaccounted = unaccounted.plus(amount);
  }
  return {...coverage, unaccounted};
}

interface OpenRow {
  name: string;
  spent: Money;
  previous: Money;
  ids: Set<RawId>;
  days: Float64Array;
}

function newRow(name: string, count: number): OpenRow {
  return {name, spent: ZERO, previous: ZERO, ids: new Set(), days: new Float64Array(count)};
}

/** The rows of a report, while days are added up. */
class Rows {
  readonly byName = new Map<string, OpenRow>();
  /** A row that does not depend on the day is looked up once. */
  private readonly bySession = new Map<RawId, OpenRow>();

  constructor(
    private readonly count: number,
    private readonly options: Pick<ReportOptions, 'rowOf' | 'times'>,
  ) {}

  open(name: string): OpenRow {
    const row = this.byName.get(name) ?? newRow(name, this.count);
    this.byName.set(name, row);
    return row;
  }

  of(id: RawId, day: string): OpenRow {
    const known = this.bySession.get(id);
    if (known !== undefined) return known;
    const row = this.open(this.options.rowOf(id, day));
    row.ids.add(id);
    if (this.options.times === undefined) this.bySession.set(id, row);
    return row;
  }
}

function sum(name: string, rows: readonly OpenRow[], count: number): OpenRow {
  const total = newRow(name, count);
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

/** Each session's spending on a day: the amount and its text. */
export async function readDay(
  redis: Redis,
  key: string,
  match?: string,
): Promise<{id: RawId; amount: Money; text: string}[]> {
  let [reply] = await redis.pipeline([['HGETALL', key]]);
  if (reply instanceof ErrorReply) throw redis.explain(reply);
  // Names that are not UTF-8 have to be read as bytes, which takes longer.
  const isText = !(reply as string[]).some((text) => text.includes('\ufffd'));
  if (!isText) [reply] = await redis.pipelineBytes([['HGETALL', key]]);
  const matches = idMatcher(match);
  const list = reply as (string | Buffer)[];
  const spending: {id: RawId; amount: Money; text: string}[] = [];
  for (let index = 0; index < list.length; index += 2) {
    const [field = '', text = ''] = [list[index], list[index + 1]];
    const id = rawId(typeof field === 'string' ? toLatin1(field) : field.toString('latin1'));
    if (!matches(id)) continue;
    const digits = String(text);
    spending.push({id, amount: toLedgerAmount(digits), text: digits});
  }
  return spending;
}

function toLatin1(text: string): string {
  return isAscii(text) ? text : Buffer.from(text).toString('latin1');
}
