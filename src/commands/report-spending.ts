import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {countFlag, formatFlag, matchFlag} from '../cli/oclif/flags.js';
import {groupFlags, readGroups} from '../cli/oclif/group-flags.js';
import {describeCoverage} from '../cli/reports/coverage.js';
import {renderCsv, renderNdjson, type ReportJson, toReportJson} from '../cli/reports/documents.js';
import {replaceWithPieces} from '../cli/terminal/replace-file.js';
import {stringifyJson} from '../cli/text/json.js';
import type {Redis} from '../lib/redis/contract.js';
import {serverTime} from '../lib/redis/server-time.js';
import {type GroupOf, makeGroups} from '../lib/sessions/groups.js';
import type {Coverage} from '../lib/spending/coverage.js';
import {
  type DayCalendar,
  type Days,
  listDays,
  loadDays,
  parseDay,
  parsePeriodName,
  PERIODS,
  type Unit,
  unitOf,
  UNITS,
} from '../lib/spending/days.js';
import {findLedger, type Ledger} from '../lib/spending/ledger.js';
import {readCoverage, type Report, reportSpending} from '../lib/spending/report.js';
import {TokengateError} from '../lib/values/errors.js';
import {nameOf} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';

const FORMATS = ['table', 'chart', 'csv', 'json', 'ndjson', 'html', 'focus'] as const;
type Format = (typeof FORMATS)[number];
const TITLES = {session: 'Session ID', group: 'Group', day: 'Day', week: 'Week of', month: 'Month'} as const;
type By = keyof typeof TITLES;

export default class ReportSpending extends BaseCommand<typeof ReportSpending> {
  static override summary = 'Report who spent what, from the ledger of record-spending';
  static override description = `Adds up what record-spending has recorded: by session, by group, or by day, week or month. Amounts are exact, across resets and renewals.

Periods: ${PERIODS}. Days are those of the ledger's time zone. Each report ends with its coverage: what was recorded, the longest time without a recording, and how far spending fell without an entry in the journal. A period before the first recording is an error, NOT_RECORDED.

Groups are named by globs (--group bots=*-bot, the first that matches) or by the first parts of the ID (--group-depth 1).

Formats: table; chart, a bar a day; csv; json; ndjson; html, one file without scripts that can be mailed and printed; and focus, CSV with the mandatory columns of FOCUS 1.2, a row for each session and day.`;
  static group = 'History';
  static override examples = [
    {description: 'This month, by session', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'Last month by team, compared with the month before, as a page',
      command:
        '<%= config.bin %> <%= command.id %> --period last-month --group-depth 1 --compare --format html --out report.html',
    },
    {
      description: 'The last week as bars',
      command: '<%= config.bin %> <%= command.id %> --period 7d --format chart',
    },
  ];
  static related = ['record-spending', 'list-sessions'];
  static exitCodes = {2: 'There was no recording for longer than --max-gap'};

  static override flags = {
    period: Flags.string({
      description: `Period: ${PERIODS} (default: this-month)`,
      exclusive: ['since', 'until'],
      helpValue: 'PERIOD',
    }),
    since: Flags.string({description: 'First day, such as 2026-11-22 or yesterday', helpValue: 'DAY'}),
    until: Flags.string({description: 'Last day (default: today)', dependsOn: ['since'], helpValue: 'DAY'}),
    by: Flags.option({
      options: ['session', 'group', ...UNITS] as const,
      description: 'What each row stands for (default: session, or group with a flag that groups)',
    })(),
    ...groupFlags,
    match: matchFlag,
    top: countFlag({description: 'Maximum number of rows; the rest is one row', min: 1}),
    compare: Flags.boolean({description: 'Compare with the period before'}),
    'max-gap': Flags.string({
      description: 'Exit with 2 if there was no recording for longer than this',
      helpValue: 'TIME',
    }),
    out: Flags.string({description: 'Replace this file in one step and print nothing', helpValue: 'FILE'}),
    format: formatFlag(FORMATS),
  };

  async run(): Promise<void> {
    const {json, format = json ? 'json' : 'table', 'max-gap': maxGap, out} = this.flags;
    const groupOf = this.groups();
    const by = this.by(groupOf);
    const maxGapMs = maxGap === undefined ? Infinity : parseDuration(maxGap) * 1000;
    const redis = await this.connect();
    const now = await serverTime(redis);
    const ledger = await findLedger(redis);
    const calendar = await loadDays(ledger.timezone);
    const period = this.period(calendar.dayOf(now));
    const isTerminal = this.isTerminal && out === undefined;
    const source = {ledger, calendar, period, by, groupOf, now};
    const {pieces, coverage} =
      format === 'focus'
        ? await this.focus(redis, source, isTerminal)
        : await this.report(redis, source, format, isTerminal);
    if (out === undefined) await this.write(pieces);
    else await replaceWithPieces(out, pieces);
    const isTooLong = coverage.gapMs > maxGapMs;
    if (isTooLong) this.endWithFinding();
    const isShown = format !== 'csv' && format !== 'focus';
    const isDoubtful = isTooLong || coverage.trimmed > 0 || !coverage.isWhole;
    if (isDoubtful && (!isShown || (isTooLong && out !== undefined))) this.warnAll([`${describeCoverage(coverage)}.`]);
  }

  private async focus(
    redis: Redis,
    {ledger, calendar, period, groupOf, now}: Source,
    isTerminal: boolean,
  ): Promise<Rendered> {
    const {match} = this.flags;
    const {renderFocus} = await import('../cli/reports/focus.js');
    const coverage = await readCoverage(redis, ledger, calendar, {...period, match, now});
    return {pieces: renderFocus(redis, ledger, calendar, {...period, groupOf, match, isTerminal}), coverage};
  }

  private async report(
    redis: Redis,
    {ledger, calendar, period, by, groupOf, now}: Source,
    format: Exclude<Format, 'focus'>,
    isTerminal: boolean,
  ): Promise<Rendered> {
    const {match, top, compare} = this.flags;
    const unit = UNITS.find((one) => one === by);
    const report = await reportSpending(redis, ledger, calendar, {
      ...period,
      ...{match, top, compare, now},
      rowOf: unit !== undefined ? (_, day) => unitOf(day, unit) : by === 'group' && groupOf ? groupOf : nameOf,
      times: unit && [...new Set(listDays(period).map((day) => unitOf(day, unit)))],
    });
    return {pieces: await render(report, format, by, isTerminal), coverage: report.coverage};
  }

  private groups(): GroupOf | undefined {
    const groups = readGroups(this.flags);
    return groups && makeGroups(groups);
  }

  private by(groupOf: GroupOf | undefined): By {
    const {by = groupOf === undefined ? 'session' : 'group', compare} = this.flags;
    if (by === 'group' && groupOf === undefined) {
      throw new TokengateError('INVALID_USAGE', '--by group needs groups.', {
        hint: 'Name them with --group NAME=GLOB, or by the first parts of the ID with --group-depth 1.',
      });
    }
    if (compare && by !== 'session' && by !== 'group') {
      throw new TokengateError('INVALID_USAGE', '--compare goes with --by session and --by group.');
    }
    return by;
  }

  private period(today: string): Days {
    const {period = 'this-month', since, until = 'today'} = this.flags;
    if (since === undefined) return parsePeriodName(period, today);
    const days = {from: parseDay(since, today), to: parseDay(until, today)};
    if (days.from <= days.to) return days;
    throw new TokengateError('INVALID_USAGE', `The period from ${days.from} to ${days.to} has no day.`);
  }
}

interface Source {
  ledger: Ledger;
  calendar: DayCalendar;
  period: Days;
  by: By;
  groupOf: GroupOf | undefined;
  now: Date;
}

interface Rendered {
  pieces: Iterable<string> | AsyncIterable<string>;
  coverage: Coverage;
}

/** Each format is loaded only on demand. */
async function render(
  report: Report,
  format: Exclude<Format, 'focus'>,
  by: By,
  isTerminal: boolean,
): Promise<Iterable<string> | AsyncIterable<string>> {
  const unit: Unit = by === 'week' || by === 'month' ? by : 'day';
  if (format === 'table') return (await import('../cli/reports/table.js')).renderTable(report, TITLES[by], isTerminal);
  if (format === 'chart') return (await import('../cli/reports/chart.js')).renderChart(report, unit);
  if (format === 'html') return (await import('../cli/reports/html.js')).renderHtml(report, TITLES[by]);
  if (format === 'csv') return renderCsv(report, by, isTerminal);
  if (format === 'ndjson') return renderNdjson(report, by);
  const document: ReportJson = toReportJson(report, by);
  return [`${stringifyJson(document, '  ')}\n`];
}
