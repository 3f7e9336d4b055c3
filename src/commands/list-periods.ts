import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag, graceFlag, matchFlag, pagerFlag, whereFlag} from '../cli/oclif/flags.js';
import {describeUnreadable, type ListedPeriod, PERIOD_FORMATS, renderPeriods} from '../cli/views/periods.js';
import {toSession} from '../lib/gateway/session.js';
import {makeCalendar} from '../lib/periods/calendar.js';
import {isOverdue} from '../lib/periods/renewal.js';
import {DEFAULT_GRACE} from '../lib/periods/schedule.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter, passes} from '../lib/sessions/filter.js';
import {readPeriods, scanPeriods} from '../lib/sessions/periods.js';
import {nameOf} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';

export default class ListPeriods extends BaseCommand<typeof ListPeriods> {
  static override summary = 'List the budgets that renew, and when';
  static override description = `Times are on the clock of each period's time zone.

With --overdue, lists only budgets that should have been renewed more than --grace ago, and exits with 2 when there are any: the alarm for a cron line that has died.`;
  static group = 'Periods';
  static override examples = [
    {description: 'When does each budget renew?', command: '<%= config.bin %> <%= command.id %>'},
    {description: 'Has the cron line died?', command: '<%= config.bin %> <%= command.id %> --overdue'},
  ];
  static related = ['set-period', 'renew-budgets', 'list-grants'];
  static exitCodes = {2: 'with --overdue: a renewal is overdue'};

  static override flags = {
    overdue: Flags.boolean({description: 'Only budgets whose renewal is overdue', helpGroup: 'SELECTION'}),
    grace: {...graceFlag, helpGroup: 'SELECTION'},
    match: matchFlag,
    where: {...whereFlag, description: whereFlag.description?.replace(' and frozen', '') ?? ''},
    format: formatFlag(PERIOD_FORMATS, {helpGroup: 'OUTPUT'}),
    quiet: Flags.boolean({
      char: 'q',
      description: 'With --overdue: print nothing if nothing is overdue',
      helpGroup: 'OUTPUT',
      dependsOn: ['overdue'],
    }),
    ...pagerFlag,
  };

  async run(): Promise<void> {
    const {overdue, grace = DEFAULT_GRACE, match, where, quiet, json, format = json ? 'json' : 'table'} = this.flags;
    const filter = where === undefined ? undefined : parseFilter(where);
    const graceMs = parseDuration(grace) * 1000;
    const redis = await this.connect();
    const now = await serverTime(redis);
    const spanOf = makeCalendar();
    const rows: ListedPeriod[] = [];
    const unreadable: string[] = [];
    for await (const page of readPeriods(redis, await scanPeriods(redis, match), {withAmounts: true})) {
      for (const {key, state} of page) {
        const id = nameOf(key);
        if (state === undefined) unreadable.push(describeUnreadable(key));
        else if (filter !== undefined && !passes(filter, toSession(key, state))) continue;
        const isLate = state !== undefined && isOverdue(state, now, spanOf, graceMs);
        if (!overdue || isLate || state === undefined) rows.push({id, state, isOverdue: isLate});
      }
    }
    const none = quiet
      ? ''
      : overdue
        ? 'Nothing is overdue.\n'
        : describeNone(match !== undefined || where !== undefined);
    await this.writeList(renderPeriods(rows, {format, spanOf, now, none, isTerminal: this.isTerminal}));
    this.warnAll(unreadable);
    if (rows.length === 0) await this.adviseGlob();
    if (overdue && rows.length > 0) this.endWithFinding();
  }
}

function describeNone(isFiltered: boolean): string {
  return isFiltered ? 'No period and no grant matches.\n' : 'No budget renews, and there are no grants.\n';
}
