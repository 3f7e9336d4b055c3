import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {
  DEFAULT_SAMPLE,
  countFlag,
  formatFlag,
  idleFlag,
  matchFlag,
  nullFlag,
  pagerFlag,
  sampleFlag,
  whereFlag,
} from '../cli/oclif/flags.js';
import {groupFlags, readGroups} from '../cli/oclif/group-flags.js';
import type {GroupView} from '../cli/views/groups.js';
import {
  type ColumnName,
  canBePlain,
  defaultColumns,
  LIST_FORMATS,
  type ListedSession,
  type ListView,
  needsForecast,
  needsFreeze,
  needsRenewal,
  parseColumns,
  renderPrinted,
  renderSessions,
} from '../cli/views/sessions.js';
import type {Session} from '../lib/gateway/session.js';
import type {Redis} from '../lib/redis/contract.js';
import {serverTime} from '../lib/redis/server-time.js';
import {type Filter, parseFilter} from '../lib/sessions/filter.js';
import {type GroupOf, makeGroups} from '../lib/sessions/groups.js';
import {listPrinted, listSessions, SORT_FIELDS} from '../lib/sessions/list.js';
import {describePartial, type Totals} from '../lib/sessions/totals.js';
import {TokengateError} from '../lib/values/errors.js';
import type {RawId} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';
import {sortWatched} from '../lib/watch/row.js';
import {sampleSessions} from '../lib/watch/sample.js';

export default class ListSessions extends BaseCommand<typeof ListSessions> {
  static override summary = 'List sessions with their budgets and spending';
  static override description = `Lists every session that has a budget, sorted by ID. Reading uses SCAN, which does not block a busy server.

A value in Redis that is not an amount is shown as "invalid" (null in JSON, empty in CSV), with a warning.

Columns: id, budget, spent, remaining, used, frozen, until (the end of the freeze), reason, status (ok, low from 80 percent on, empty, frozen, invalid), period, resets (when it renews), grants, and with --sort rate also rate (US dollars a minute). From the ledger of record-spending: hourly and daily (US dollars an hour, over the last hour and the last day; rate stands for both) and empties (when the budget is empty at the higher of the two rates, or lasts). JSON and NDJSON include the freeze by default, a table on a terminal the status. --format ids prints only IDs, for --stdin of other commands; an ID that does not fit on a line is printed as a line of JSON, which --stdin understands.

--group-by lists the sums of groups instead of sessions: by the first parts of the ID (--group-by 1), or by globs (--group-by bots=*-bot).`;
  static group = 'Look';
  static override examples = [
    {description: 'List all sessions', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'The ten that have used the most, above 90 percent',
      command: `<%= config.bin %> <%= command.id %> --where 'used > 90' --sort used --reverse --limit 10`,
    },
    {
      description: 'What each team has spent, by the first part of the ID',
      command: '<%= config.bin %> <%= command.id %> --group-by 1 --sort spent --reverse',
    },
    {
      description: 'Which sessions are frozen, and why?',
      command: '<%= config.bin %> <%= command.id %> --frozen --columns id,until,reason',
    },
  ];
  static related = ['get-budget', 'watch-sessions', 'check-sessions'];

  static override flags = {
    format: formatFlag(LIST_FORMATS, {helpGroup: 'OUTPUT'}),
    match: matchFlag,
    where: whereFlag,
    frozen: Flags.boolean({description: 'Only frozen sessions', helpGroup: 'SELECTION'}),
    idle: idleFlag,
    sort: Flags.option({
      options: [...SORT_FIELDS, 'rate'] as const,
      description: 'Column to sort by; rate is the present rate of spending, the fastest first',
      helpGroup: 'OUTPUT',
      default: 'id' as const,
    })(),
    sample: {...sampleFlag, helpGroup: 'OUTPUT'},
    reverse: Flags.boolean({description: 'Reverse the order', helpGroup: 'OUTPUT'}),
    limit: countFlag({description: 'Maximum number of sessions to list', helpGroup: 'SELECTION'}),
    columns: Flags.string({
      description: 'Columns to print, separated by commas',
      helpGroup: 'OUTPUT',
      helpValue: 'NAMES',
    }),
    totals: Flags.boolean({description: 'Add totals (table and JSON)', helpGroup: 'OUTPUT'}),
    null: {...nullFlag, helpGroup: 'OUTPUT'},
    ...groupFlags,
    ...pagerFlag,
  };

  async run(): Promise<void> {
    const {match, where, frozen, idle, sort, reverse, limit, totals, null: nul} = this.flags;
    const format = this.format();
    const filter = where === undefined ? undefined : parseFilter(where);
    const {isTerminal} = this;
    const defaults = defaultColumns(format, isTerminal);
    const usual = sort === 'rate' ? [...defaults, 'rate' as const] : defaults;
    const columns = this.flags.columns === undefined ? usual : this.columns(this.flags.columns);
    const groupOf = this.groups(format);
    const redis = await this.connect();
    const isAboutFreezes = frozen || filter?.needsFrozen === true || needsFreeze(columns);
    const freezes = isAboutFreezes ? {now: serverTime(redis), only: frozen} : ('skip' as const);
    // Sessions that are left out or grouped afterwards are not counted.
    const isCut = idle === undefined && groupOf === undefined;
    const listing = {match, where: filter, freezes, reverse, limit: isCut ? limit : undefined};
    const amongIdle = <T extends {key: RawId}>(pages: AsyncGenerator<T[]>): AsyncGenerator<T[]> =>
      idle === undefined
        ? pages
        : onlyIdle(redis, pages, {seconds: parseDuration(idle), limit: groupOf === undefined ? limit : undefined});
    const problems: string[] = [];
    const leftOut: string[] = [];
    const onTotals = ({partial}: Totals): void => {
      problems.push(...describePartial(partial));
    };
    const listed = {count: 0};
    // Some sessions were not asked for, so this does not prove that there are none.
    const isPicked = where !== undefined || frozen || idle !== undefined;
    const none = limit === 0 ? '' : `No active sessions found${isPicked ? ' that match' : ''}.\n`;
    const view = {format, columns, totals, none, nul, isTerminal, onTotals, leftOut};
    if (sort !== 'rate' && groupOf === undefined && canBePlain(view)) {
      const pages = amongIdle(listPrinted(redis, {...listing, sort}));
      await this.writeList(renderPrinted(collectProblems(pages, problems, listed), view));
    } else {
      const pages = amongIdle(
        sort === 'rate' ? this.listByRate(redis, filter) : listSessions(redis, {...listing, sort}),
      );
      const hasForecast = needsForecast(columns);
      const renewed = needsRenewal(columns) || hasForecast ? addRenewals(redis, pages, match) : pages;
      const complete = hasForecast ? addForecasts(redis, renewed) : renewed;
      const watched = collectProblems(complete, problems, listed);
      await this.writeList(
        groupOf === undefined ? renderSessions(watched, view) : await this.sumUp(watched, groupOf, view),
      );
    }
    this.warnAll(problems);
    const isAllOfGlob = !isPicked && limit !== 0;
    if (listed.count === 0 && isAllOfGlob && format === 'table') await this.adviseGlob();
    if (groupOf !== undefined) return;
    if (leftOut.length > 0) {
      const message = `Left out, since NUL cannot end their IDs: '${leftOut.join("', '")}'.`;
      throw new TokengateError('LIST_INCOMPLETE', message, {hint: 'Without -0 every ID can be listed.'});
    }
  }

  private async sumUp(
    pages: AsyncIterable<Session[]>,
    groupOf: GroupOf,
    view: ListView,
  ): Promise<AsyncIterable<string>> {
    const {sort, reverse, limit} = this.flags;
    const {renderGroups} = await import('../cli/views/groups.js');
    return renderGroups(pages, {
      ...view,
      format: view.format as GroupView['format'],
      sort: sort as GroupView['sort'],
      ...{groupOf, reverse, limit},
    });
  }

  /** The highest spending first, unless reversed. */
  private async *listByRate(redis: Redis, where: Filter | undefined): AsyncGenerator<Session[]> {
    const {match, frozen, idle, reverse, limit, sample = DEFAULT_SAMPLE} = this.flags;
    const {sessions} = await sampleSessions(redis, {match, where}, parseDuration(sample));
    const wanted = frozen ? sessions.filter(({status}) => status === 'frozen') : sessions;
    yield sortWatched(wanted, 'rate', reverse)
      .slice(0, idle === undefined ? limit : undefined)
      .map(({session, rate}) => ({...session, rate}));
  }

  /** Undefined for single sessions. */
  private groups(format: string): GroupOf | undefined {
    const {columns, totals, sort} = this.flags;
    const groups = readGroups(this.flags);
    if (groups === undefined) return undefined;
    if (format === 'ids' || columns !== undefined || totals || sort === 'rate') {
      throw new TokengateError('INVALID_USAGE', 'Groups go without --columns, --totals, --sort rate and --format ids.');
    }
    return makeGroups(groups);
  }

  /** Without --sort rate, the recorded rates are shown. */
  private columns(typed: string): ColumnName[] {
    const columns = parseColumns(typed);
    if (this.flags.sort === 'rate') return columns;
    return [...new Set(columns.flatMap((name): ColumnName[] => (name === 'rate' ? ['hourly', 'daily'] : [name])))];
  }

  private format(): (typeof LIST_FORMATS)[number] {
    const {json, format = json ? 'json' : 'table', totals, null: nul, sort, sample} = this.flags;
    const refuse = (why: string): never => {
      throw new TokengateError('INVALID_USAGE', why);
    };
    if (totals && format !== 'table' && format !== 'json') refuse('--totals goes with the formats table and json.');
    if (nul && format !== 'ids') refuse('-0 goes with --format ids.');
    if (sort !== 'rate' && sample !== undefined) refuse('--sample goes with --sort rate.');
    if (sample !== undefined) parseDuration(sample);
    return format;
  }
}

/** Looks for periods and grants once, before the first page: few sessions have any. */
async function* addRenewals(
  redis: Redis,
  pages: AsyncIterable<Session[]>,
  match: string | undefined,
): AsyncGenerator<ListedSession[]> {
  const [{readRenewing}, {describeUnreadable, toRenewalCells}] = await Promise.all([
    import('../lib/sessions/periods.js'),
    import('../cli/views/periods.js'),
  ]);
  const periods = await readRenewing(redis, {match, now: await serverTime(redis)});
  for await (const page of pages) {
    yield page.map((session): ListedSession => {
      const renewing = periods.get(session.key);
      if (renewing === undefined) return session;
      const problems = renewing === null ? [...session.problems, describeUnreadable(session.key)] : session.problems;
      return {...session, renewal: toRenewalCells(renewing), problems};
    });
  }
}

async function* onlyIdle<T extends {key: RawId}>(
  redis: Redis,
  pages: AsyncIterable<T[]>,
  {seconds, limit = Infinity}: {seconds: number; limit: number | undefined},
): AsyncGenerator<T[]> {
  const {openIdle} = await import('../lib/spending/idle.js');
  const findIdle = await openIdle(redis, seconds, await serverTime(redis));
  let left = limit;
  for await (const page of pages) {
    if (left <= 0) return;
    const idle = new Set(await findIdle(page.map(({key}) => key)));
    const found = page.filter(({key}) => idle.has(key)).slice(0, left);
    left -= found.length;
    yield found;
  }
}

/** Reads the recorded rates of each page; without recordings they are unknown. */
async function* addForecasts(redis: Redis, pages: AsyncIterable<ListedSession[]>): AsyncGenerator<ListedSession[]> {
  const [{findRateSource, NO_RATES, readRates}, {toForecast}] = await Promise.all([
    import('../lib/spending/rates.js'),
    import('../cli/views/forecast.js'),
  ]);
  const source = await findRateSource(redis);
  for await (const page of pages) {
    if (source === undefined) {
      yield page;
      continue;
    }
    const rates = await readRates(
      redis,
      page.map(({key}) => key),
      source,
    );
    yield page.map((session) => ({
      ...session,
      forecast: toForecast(
        session.remaining,
        rates.get(session.key) ?? NO_RATES,
        source,
        session.renewal?.json.next_renewal ?? null,
      ),
    }));
  }
}

async function* collectProblems<T extends {problems: readonly string[]}>(
  pages: AsyncIterable<T[]>,
  problems: string[],
  listed: {count: number},
): AsyncGenerator<T[]> {
  for await (const page of pages) {
    listed.count += page.length;
    for (const session of page) problems.push(...session.problems);
    yield page;
  }
}
