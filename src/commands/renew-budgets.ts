import {BatchCommand} from '../cli/oclif/batch-command.js';
import {recordFlags, matchFlag, reportFlags, secondLookFlag} from '../cli/oclif/flags.js';
import {toRenewedJson} from '../cli/views/periods.js';
import {RENEWAL_LOOKS} from '../lib/operations/lasting.js';
import {periodLook} from '../lib/operations/period.js';
import {describeRenewal, findDueSessions, type PeriodRenewal, renewChange} from '../lib/operations/renewal.js';
import {makeCalendar} from '../lib/periods/calendar.js';

export default class RenewBudgets extends BatchCommand<typeof RenewBudgets> {
  static override summary = 'Renew the budgets whose period is over, from cron';
  static override description = `Finds the sessions for which a new period (see set-period) has begun, by the clock of Redis. In one atomic step for each, it clears the spending and sets the budget to the amount, plus what is carried over, plus the grants that go on. It also ends grants that are over. Freezes stay.

A request that is under way can write the old spending back, which would block the session for a whole period. The command therefore looks again after 0.1 and 1 second. If the spending has jumped by at least the removed amount, it takes exactly that amount off again, and warns. If less than half of the budget was removed, new requests may have cost as much: then it only warns.

Run it every few minutes, on as many hosts as you like: each period is renewed once. After an outage, several missed periods are one renewal. It asks nothing, and with --quiet prints nothing when nothing is due. One run is one change, so undo-change undoes it as a whole; the next run then renews again, unless you end the period first.`;
  static group = 'Periods';
  static override examples = [
    {description: 'From cron, every five minutes', command: '<%= config.bin %> <%= command.id %> --quiet'},
    {description: 'See what is due', command: '<%= config.bin %> <%= command.id %> --dry-run'},
  ];
  static related = ['set-period', 'list-periods', 'undo-change'];

  static override flags = {
    match: matchFlag,
    max: reportFlags.max,
    'dry-run': reportFlags['dry-run'],
    quiet: reportFlags.quiet,
    format: reportFlags.format,
    'no-second-look': secondLookFlag,
    ...recordFlags,
  };

  async run(): Promise<void> {
    const spanOf = makeCalendar();
    const journal = this.journal();
    await this.runSteps<PeriodRenewal>(
      {
        verb: 'renew',
        done: 'renewed',
        asks: false,
        secondLook: this.flags['no-second-look'] ? null : periodLook(RENEWAL_LOOKS),
        isSilentWhenNone: true,
        describe: describeRenewal,
        toJson: (renewal) => toRenewedJson(renewal, spanOf),
      },
      async (redis, now) => {
        const {ids, shared} = await findDueSessions(redis, now, spanOf, this.flags.match);
        const change = (at: Date) => renewChange(at, spanOf, shared);
        return [{selected: {ids, missing: []}, change, journal: journal && {...journal, began: now}}];
      },
    );
  }
}
