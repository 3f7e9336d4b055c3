import {Flags} from '@oclif/core';

import {toCommandLine} from '../cli/copyable/shell-quote.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {countFlag, matchFlag, nullFlag, whereFlag} from '../cli/oclif/flags.js';
import {formatCount} from '../cli/views/batch-report.js';
import {DEFAULT_COLUMNS, LIST_FORMATS, needsFreeze, parseColumns, renderSessions} from '../cli/views/sessions.js';
import type {Redis} from '../lib/redis/contract.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter} from '../lib/sessions/filter.js';
import {describePartial, listSessions, SORT_FIELDS, type Totals} from '../lib/sessions/list.js';
import {countSessions} from '../lib/sessions/unknown-ids.js';
import {TokengateError} from '../lib/values/errors.js';

export default class ListSessions extends BaseCommand<typeof ListSessions> {
  static override summary = 'List sessions with their budgets and spending';
  static override description = `Lists every session that has a budget, sorted by ID. Reading uses SCAN, which does not block a busy server.

A value in Redis that is not an amount is shown as "invalid" (null in JSON, empty in CSV), with a warning.

Columns: id, budget, spent, remaining, used, frozen, until (the end of the freeze), reason. --format ids prints only IDs, for --stdin of other commands; an ID that does not fit on a line is printed as a line of JSON, which --stdin understands.`;
  static group = 'Look';
  static override examples = [
    {description: 'List all sessions', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'The ten that have used the most, above 90 percent',
      command: `<%= config.bin %> <%= command.id %> --where 'used > 90' --sort used --reverse --limit 10`,
    },
    {
      description: 'Which sessions are frozen, and why?',
      command: '<%= config.bin %> <%= command.id %> --frozen --columns id,until,reason',
    },
  ];
  static related = ['get-budget', 'watch-sessions', 'check-sessions'];

  static override flags = {
    format: Flags.option({
      char: 'o',
      options: LIST_FORMATS,
      description: 'Output format; --json is short for --format json',
      helpGroup: 'OUTPUT',
    })(),
    match: matchFlag,
    where: whereFlag,
    frozen: Flags.boolean({description: 'Only frozen sessions', helpGroup: 'SELECTION'}),
    sort: Flags.option({options: SORT_FIELDS, description: 'Field to sort by', helpGroup: 'OUTPUT', default: 'id'})(),
    reverse: Flags.boolean({description: 'Reverse the order', helpGroup: 'OUTPUT'}),
    limit: countFlag({description: 'Maximum number of sessions to list', helpGroup: 'SELECTION'}),
    columns: Flags.string({
      description: 'Columns to print, separated by commas',
      helpGroup: 'OUTPUT',
      helpValue: 'NAMES',
    }),
    totals: Flags.boolean({description: 'Add totals (table and JSON)', helpGroup: 'OUTPUT'}),
    null: {...nullFlag, helpGroup: 'OUTPUT'},
  };

  async run(): Promise<void> {
    const {match, where, frozen, sort, reverse, limit, totals, null: nul} = this.flags;
    const format = this.format();
    const filter = where === undefined ? undefined : parseFilter(where);
    const columns = this.flags.columns === undefined ? DEFAULT_COLUMNS : parseColumns(this.flags.columns);
    const redis = await this.connect();
    const now = frozen || filter?.needsFrozen || needsFreeze(columns) ? await serverTime(redis) : undefined;
    const pages = listSessions(redis, {match, where: filter, frozen, sort, reverse, limit, now});
    const problems: string[] = [];
    const leftOut: string[] = [];
    const onTotals = ({partial}: Totals): void => {
      problems.push(...describePartial(partial));
    };
    let isEmpty = true;
    const watched = collectProblems(pages, problems, () => {
      isEmpty = false;
    });
    const {isTerminal} = this;
    // Those that were not asked for are no proof that there are none.
    const none = limit === 0 ? '' : 'No active sessions found.\n';
    await this.write(renderSessions(watched, {format, columns, totals, none, nul, isTerminal, onTotals, leftOut}));
    this.warnAll(problems);
    const isAllOfGlob = where === undefined && !frozen && limit !== 0;
    if (isEmpty && isAllOfGlob && format === 'table' && match !== undefined) await this.adviseGlob(redis, match);
    if (leftOut.length > 0) {
      const message = `Left out, since NUL cannot end their IDs: '${leftOut.join("', '")}'.`;
      throw new TokengateError('LIST_INCOMPLETE', message, {hint: 'Without -0 every ID can be listed.'});
    }
  }

  /** Says how many sessions there are where a glob finds none, and which glob would find some. */
  private async adviseGlob(redis: Redis, match: string): Promise<void> {
    const {count, isComplete, glob} = await countSessions(redis, match);
    const total = `There ${count === 1 ? 'is' : 'are'} ${isComplete ? '' : 'more than '}${formatCount(count)}.`;
    const advice = glob === undefined ? '' : ` Did you mean --match ${toCommandLine([glob]) ?? ''}?`;
    this.warnAll([`No session was found for --match '${match}'. ${total}${advice}`]);
  }

  private format(): (typeof LIST_FORMATS)[number] {
    const {json, format = json ? 'json' : 'table', totals, null: nul} = this.flags;
    const refuse = (why: string): never => {
      throw new TokengateError('INVALID_USAGE', why);
    };
    if (totals && format !== 'table' && format !== 'json') refuse('--totals goes with the formats table and json.');
    if (nul && format !== 'ids') refuse('-0 goes with --format ids.');
    return format;
  }
}

async function* collectProblems<T extends {problems: string[]}>(
  pages: AsyncIterable<T[]>,
  problems: string[],
  onSession: () => void,
): AsyncGenerator<T[]> {
  for await (const page of pages) {
    if (page.length > 0) onSession();
    for (const session of page) problems.push(...session.problems);
    yield page;
  }
}
