import {BaseCommand} from '../cli/oclif/base-command.js';
import {countFlag, formatFlag, pagerFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {renderRequests, REQUEST_FORMATS} from '../cli/views/requests.js';
import {HISTORY_LENGTH, readHistory} from '../lib/gateway/request-history.js';
import {nameOf} from '../lib/values/session-id.js';

export default class ListRequests extends BaseCommand<typeof ListRequests> {
  static override summary = 'List the latest requests of a session';
  static override description = `The gateway keeps the time and model of the last ${HISTORY_LENGTH} requests of a session, for an hour after the latest. The newest comes first.

The gateway does not record costs: the table shows "not recorded", JSON shows null. An entry that the gateway cannot have written is shown as "malformed".`;
  static group = 'Look';
  static override examples = [
    {description: 'What has a session been doing?', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {
      description: 'Get the last ten in a script',
      command: '<%= config.bin %> <%= command.id %> my-workflow --limit 10 --format ndjson',
    },
  ];
  static related = ['explain-session', 'anomaly-stats'];

  static override args = {session_id: sessionIdArg};
  static override flags = {
    limit: countFlag({description: 'Maximum number of requests', default: HISTORY_LENGTH}),
    format: formatFlag(REQUEST_FORMATS),
    ...pagerFlag,
  };

  async run(): Promise<void> {
    const {limit, json, format = json ? 'json' : 'table'} = this.flags;
    const id = this.args.session_id;
    const redis = await this.connect();
    const {requests, isKnown} = await readHistory(redis, id, {limit});
    if (!isKnown) await this.warnUnknown(redis, id, `Nothing is known of session '${nameOf(id)}'.`);
    const none = limit === 0 ? '' : 'No requests recorded in the last hour.\n';
    await this.writeList(renderRequests(requests, {format, none, isTerminal: this.isTerminal}));
    const count = requests.filter(({malformed}) => malformed !== null).length;
    if (count > 0) this.warnAll([`${count} of ${requests.length} entries are malformed.`]);
  }
}
