import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/base-command.js';
import {LIST_FORMATS, type ListFormat, renderSessions} from '../cli/session-views.js';
import {TokengateError} from '../lib/errors.js';
import {listSessions} from '../lib/sessions.js';

export default class ListSessions extends BaseCommand<typeof ListSessions> {
  static override summary = 'List the sessions that have a budget';
  static override description = `Every session once, in the order of their IDs. Reads with SCAN, so a busy server goes on serving.

A value in Redis that is not money is shown as "invalid", in JSON as null and in CSV as nothing, with a warning.`;
  static override examples = [
    {description: 'Look at all sessions', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'Those above 90 percent',
      command: `<%= config.bin %> <%= command.id %> --format json | jq -r '.[] | select(.percentage_used > 90).session_id'`,
    },
  ];

  static override flags = {
    format: Flags.custom<ListFormat>({
      description: 'How to print them; --json is the same as --format json',
      options: [...LIST_FORMATS],
    })(),
  };

  async run(): Promise<void> {
    const {format = 'table', json} = this.flags;
    if (json && this.flags.format !== undefined && format !== 'json') {
      throw new TokengateError('INVALID_USAGE', `--json and --format ${format} contradict each other.`);
    }
    const sessions = await listSessions(await this.connect());
    await this.write(await renderSessions(sessions, json ? 'json' : format));
    this.warnAll(sessions.flatMap(({problems}) => problems));
  }
}
