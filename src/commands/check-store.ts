import {Flags} from '@oclif/core';

import {StoreReport} from '../cli/batches/audit-report.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag, journalFlags, matchFlag, yesFlag} from '../cli/oclif/flags.js';
import {onInterrupt} from '../cli/terminal/interrupts.js';
import {isSafeText} from '../cli/text/escape.js';
import {countOf} from '../cli/text/words.js';
import {checkStore} from '../lib/audit/audit.js';
import {type Fixable, isFixable} from '../lib/audit/finding.js';
import {makeRepairs, MAX_REPAIRS} from '../lib/audit/repairs.js';
import type {Journal} from '../lib/journal/entry.js';
import {refuseReplica} from '../lib/redis/connect.js';
import type {Redis} from '../lib/redis/contract.js';
import {describeServer} from '../lib/redis/describe-server.js';
import {serverTime} from '../lib/redis/server-time.js';
import {TokengateError} from '../lib/values/errors.js';

export default class CheckStore extends BaseCommand<typeof CheckStore> {
  static override summary = 'Find and repair data that makes the gateway fail';
  static override description = `Scans every key of the gateway for data that it would never have written: amounts and times that it cannot read (it then answers every request of that session with HTTP 503 or 500), budgets without a limit, keys of the wrong type, counters and freezes that never end, and leftovers. It also finds periods and grants that cannot be read, or that nothing ends or renews.

If a finding has an HTTP status, the gateway now answers every request of that session with it. It has none if another rule answers first, or if the answer depends on the request. A single unreadable amount makes the gateway's own dashboard answer HTTP 500 for all sessions.

--fix asks, then makes the repairs that need no decision, each in one atomic step and only if the data has not changed since. For the rest it prints a command to run.

Exits with 0 if nothing was found or everything was repaired, 2 if something is left, and 1 if the check or a repair failed.`;
  static group = 'Monitoring';
  static override examples = [
    {description: 'Check everything', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'Repair from cron',
      command: '<%= config.bin %> <%= command.id %> --fix --yes',
    },
  ];
  static related = ['health', 'list-sessions'];
  static exitCodes = {2: 'Something was found and is not repaired'};

  static override flags = {
    match: matchFlag,
    fix: Flags.boolean({description: 'Make the repairs that need no decision'}),
    'dry-run': Flags.boolean({description: 'With --fix, show what would be repaired and change nothing'}),
    yes: yesFlag,
    format: formatFlag(['text', 'json', 'ndjson']),
    ...journalFlags,
  };

  async run(): Promise<void> {
    const {match, fix, json, 'dry-run': dryRun, format = json ? 'json' : 'text'} = this.flags;
    if (dryRun && !fix) throw new TokengateError('INVALID_USAGE', '--dry-run goes with --fix.');
    const willRepair = fix && !dryRun;
    if (willRepair) {
      this.beginChange();
      this.refuseWithoutAnswer();
    }
    const fixable: Fixable[] = [];
    const redis = await this.connect();
    if (willRepair) {
      refuseReplica(redis);
      this.mustAsk(redis.server);
    }
    const report = new StoreReport({format, willRepair, server: this.sameServer(redis)});
    await report.open();
    for await (const page of checkStore(redis, {match, isPrintable: isSafeText})) {
      await report.addPage(page);
      fixable.push(...page.findings.filter(isFixable).slice(0, MAX_REPAIRS - fixable.length));
    }
    if (report.counts.keys === 0) await this.adviseGlob();
    await report.beginRepairs();
    if (dryRun) for (const finding of fixable) await report.addPlan(finding);
    const journal = willRepair && fixable.length > 0 ? await this.repair(redis, fixable, report) : undefined;
    const sum = await report.close();
    if (format === 'text') this.print(...sum);
    this.afterChange(...(journal === undefined ? [] : [journal]));
    await report.finish();
    if (!report.isClean) this.endWithFinding();
  }

  private async repair(redis: Redis, fixable: readonly Fixable[], report: StoreReport): Promise<Journal | undefined> {
    let connection = redis;
    if (this.mustAsk(redis.server)) {
      // The server would close a connection that waits for a person.
      redis.close();
      const what = countOf(fixable.length, 'finding');
      await this.confirm(`Repair ${what} on ${describeServer(redis.server)}?`, redis.server);
      connection = await this.connect();
      refuseReplica(connection);
    }
    const stop = new AbortController();
    onInterrupt(() => {
      stop.abort();
    });
    const now = await serverTime(connection);
    const journal = this.journal();
    const options = {now, journal: journal && {...journal, began: now}, stop: stop.signal};
    for await (const {finding, outcome} of makeRepairs(connection, fixable, options)) {
      await report.addRepair(finding, outcome, journal?.change ?? null);
      if (report.isClosed) stop.abort();
    }
    return report.counts.fixed === 0 ? undefined : journal;
  }
}
