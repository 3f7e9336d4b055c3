import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {type AnomalyStats, findAnomalyStats, IDENTICAL_LIMIT, REQUEST_LIMIT} from '../lib/gateway/anomaly-stats.js';
import {serverTime} from '../lib/redis/server-time.js';
import {formatUtc} from '../lib/values/time.js';

interface AnomalyStatsJson {
  session_id: string;
  /** Null when the end of the freeze cannot be read. */
  is_frozen: boolean | null;
  freeze_reason: string | null;
  frozen_until: Date | null;
  requests_last_minute: number | null;
  requests_limit: number;
  identical_consecutive: number | null;
  identical_limit: number;
}

export default class AnomalyStatsCommand extends BaseCommand<typeof AnomalyStatsCommand> {
  static override summary = 'Show how close a session is to an automatic freeze';
  static override description = `The gateway freezes a session for five minutes when it makes more than ${REQUEST_LIMIT} requests without a minute's pause, or ${IDENTICAL_LIMIT} identical requests in a row after the first.`;
  static group = 'Look';
  static override examples = [
    {description: 'Show one session', command: '<%= config.bin %> <%= command.id %> my-session'},
    {description: 'Get the numbers in a script', command: '<%= config.bin %> <%= command.id %> my-session --json'},
  ];
  static related = ['explain-session', 'freeze-session', 'unfreeze-session'];

  static override args = {session_id: sessionIdArg};

  static override flags = {format: answerFormatFlag()};

  async run(): Promise<AnomalyStatsJson> {
    const redis = await this.connect();
    const stats = await findAnomalyStats(redis, this.args.session_id, {now: await serverTime(redis)});
    if (!stats.isKnown)
      await this.warnUnknown(redis, this.args.session_id, `Nothing is known of session '${stats.id}'.`);
    this.render(stats);
    const {isFrozen, reason, until} = stats.freeze;
    return {
      session_id: stats.id,
      is_frozen: isFrozen,
      freeze_reason: isFrozen === false ? null : reason,
      frozen_until: isFrozen === false ? null : until,
      requests_last_minute: stats.requestsLastMinute,
      requests_limit: REQUEST_LIMIT,
      identical_consecutive: stats.identicalConsecutive,
      identical_limit: IDENTICAL_LIMIT,
    };
  }

  private render({id, freeze, requestsLastMinute, identicalConsecutive, problems}: AnomalyStats): void {
    this.warnAll(problems);
    this.print(
      `Anomaly Stats for: ${this.cut(id)}`,
      `Frozen: ${freeze.isFrozen === null ? 'invalid' : freeze.isFrozen ? 'Yes' : 'No'}`,
    );
    if (freeze.isFrozen !== false) {
      this.print(`Reason: ${this.cut(freeze.reason ?? 'none')}`);
      if (freeze.until !== null) this.print(`Frozen until: ${formatUtc(freeze.until)}`);
    }
    this.print(
      `Requests (last minute): ${requestsLastMinute ?? 'invalid'}`,
      `Identical in a row: ${identicalConsecutive ?? 'invalid'}`,
      `Limits: more than ${REQUEST_LIMIT} requests, or ${IDENTICAL_LIMIT} identical in a row`,
    );
  }
}
