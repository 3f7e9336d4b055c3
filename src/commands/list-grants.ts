import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag, matchFlag, pagerFlag} from '../cli/oclif/flags.js';
import {describeUnreadable, PERIOD_FORMATS, renderGrants} from '../cli/views/periods.js';
import {readPeriods, scanPeriods} from '../lib/sessions/periods.js';
import {nameOf} from '../lib/values/session-id.js';

export default class ListGrants extends BaseCommand<typeof ListGrants> {
  static override summary = 'List grants: temporary additions to budgets';
  static override description = `A grant whose end has passed stays until the next renew-budgets takes it off the budget.`;
  static group = 'Periods';
  static override examples = [
    {description: 'Who has been given more, and until when?', command: '<%= config.bin %> <%= command.id %>'},
    {description: 'The grants of a team', command: `<%= config.bin %> <%= command.id %> --match 'team:*'`},
  ];
  static related = ['grant-budget', 'revoke-grant', 'list-periods'];

  static override flags = {
    match: matchFlag,
    format: formatFlag(PERIOD_FORMATS, {helpGroup: 'OUTPUT'}),
    ...pagerFlag,
  };

  async run(): Promise<void> {
    const {match, json, format = json ? 'json' : 'table'} = this.flags;
    const redis = await this.connect();
    const rows = [];
    const unreadable: string[] = [];
    for await (const page of readPeriods(redis, await scanPeriods(redis, match), {withAmounts: false})) {
      for (const {key, state} of page) {
        const id = nameOf(key);
        if (state === undefined) unreadable.push(describeUnreadable(key));
        else rows.push(...state.grants.map((grant) => ({id, grant})));
      }
    }
    const none = match === undefined ? 'There are no grants.\n' : 'No grant matches.\n';
    await this.writeList(renderGrants(rows, {format, none, isTerminal: this.isTerminal}));
    this.warnAll(unreadable);
    if (rows.length === 0) await this.adviseGlob();
  }
}
