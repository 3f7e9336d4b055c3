import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, countFlag, matchFlag, whereFlag} from '../cli/oclif/flags.js';
import {replaceWithPieces} from '../cli/terminal/replace-file.js';
import {stringifyJson} from '../cli/text/json.js';
import {renderMetrics} from '../cli/views/prometheus.js';
import {measure, type Metrics} from '../lib/monitoring/metrics.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter} from '../lib/sessions/filter.js';

export default class PrintMetrics extends BaseCommand<typeof PrintMetrics> {
  static override summary = 'Print metrics for Prometheus';
  static override description = `Prints the budget, spending, freeze and requests of each session, the totals, and the state of Redis in Prometheus's text format. Amounts keep all their digits.

--out replaces a file in one step, for the textfile collector of node_exporter, and prints nothing. If anything fails, the old file stays and the command exits with 1; tokengate_last_success_timestamp_seconds shows how old the file is.

At most --max-series sessions get series of their own: first those with an unreadable value, then those that have used the largest share of their budget. The rest are summed in tokengate_other_sessions_*.`;
  static group = 'Monitoring';
  static override examples = [
    {description: 'Print all metrics', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'Write a file for node_exporter from cron',
      command: '<%= config.bin %> <%= command.id %> --out /var/lib/prometheus/node-exporter/tokengate.prom',
    },
    {
      description: 'Print only the totals of production',
      command: `<%= config.bin %> <%= command.id %> --match 'prod*' --max-series 0`,
    },
  ];
  static related = ['check-sessions', 'watch-sessions'];

  static override flags = {
    out: Flags.string({description: 'Replace this file in one step and print nothing', helpValue: 'FILE'}),
    'max-series': countFlag({
      description: 'Maximum number of sessions with series of their own',
      default: 1000,
    }),
    match: matchFlag,
    where: whereFlag,
    format: answerFormatFlag(),
  };

  async run(): Promise<void> {
    const {out, 'max-series': maxSeries, match, where} = this.flags;
    const filter = where === undefined ? undefined : parseFilter(where);
    const redis = await this.connect();
    const metrics = await measure(redis, {match, where: filter, maxSeries, now: await serverTime(redis)});
    if (out !== undefined) {
      await replaceWithPieces(out, renderMetrics(metrics, {maxSeries, isTerminal: false}));
    }
    if (this.jsonEnabled()) await this.write([`${stringifyJson(toJson(metrics, out), '  ')}\n`]);
    else if (out === undefined) await this.write(renderMetrics(metrics, {maxSeries, isTerminal: this.isTerminal}));
  }
}

function toJson({gauges, sessions, leftOut}: Metrics, out: string | undefined): object {
  const metrics = gauges.map(({name, help, samples}) => ({name, type: 'gauge', help, samples}));
  return {file: out ?? null, sessions, left_out: leftOut, metrics};
}
