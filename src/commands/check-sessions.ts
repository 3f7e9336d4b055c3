import {Flags} from '@oclif/core';

import {renderCheck, toCheckJson} from '../cli/alerts/limits.js';
import {LEASE_MS, type NotificationJson, notificationError, notify} from '../cli/alerts/notify.js';
import {readWebhook} from '../cli/alerts/webhook.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, DEFAULT_SAMPLE, graceFlag, matchFlag, sampleFlag, whereFlag} from '../cli/oclif/flags.js';
import {stringifyJson} from '../cli/text/json.js';
import {
  type Check,
  type CheckOptions,
  checkSessions,
  type LimitFinding,
  parsePercentage,
  type LimitRule,
  toRules,
} from '../lib/monitoring/limits.js';
import {parseStateName, reportOnce} from '../lib/monitoring/report-once.js';
import {DEFAULT_GRACE} from '../lib/periods/schedule.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter} from '../lib/sessions/filter.js';
import {TokengateError} from '../lib/values/errors.js';
import {type Money, parseAmount} from '../lib/values/money.js';
import type {RawId} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';
import type {Wanted} from '../lib/watch/reader.js';
import {parseRate, sampleSessions} from '../lib/watch/sample.js';

export default class CheckSessions extends BaseCommand<typeof CheckSessions> {
  static override summary = 'Find sessions near their limits, for cron and monitoring';
  static override description = `Exits with 0 if no session is near a limit, 2 if one is, and 1 if the check failed. The first line begins with OK, WARNING or CRITICAL; the most pressing session comes first.

A session is reported when it has used --warn or --crit percent of its budget or more, when it has less than --min-left, when it is frozen (with --frozen), when its renewal is overdue (with --overdue), and always when Redis holds an amount that the gateway cannot read. A session with a budget of 0 counts as 0 percent used until it spends something, then as 100.

--new-only reports each crossing once. It reports a session again after it has fallen back, after its budget has been renewed, or when the crossing has a new cause: a freeze with another end or reason, or a reset session that has spent as much again. Reported crossings are kept in Redis, so that checks on several hosts do not repeat each other. Without --new-only nothing is written, posted or run.

A webhook receives JSON with a "text" field, as Slack expects. Put its URL in a file that others cannot read, or in TOKENGATE_WEBHOOK_URL. --exec runs a shell command for each new crossing, for at most 30 seconds, with the facts in TOKENGATE_ALERT_SESSION_ID, _SEVERITY, _CHECK, _THRESHOLD, _BUDGET, _SPENT, _REMAINING, _PERCENTAGE_USED, _FROZEN_UNTIL, _FREEZE_REASON, _MESSAGE, _REDIS and _JSON. If a notification fails, the command exits with 1 and the next check tries again.`;
  static group = 'Monitoring';
  static override examples = [
    {description: 'Is any session above 80 percent?', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'From cron: report only what is new, freezes included',
      command: '<%= config.bin %> <%= command.id %> --frozen --new-only --quiet',
    },
    {
      description: 'Check only production, by the amount left',
      command: `<%= config.bin %> <%= command.id %> --warn off --crit off --min-left 5 --match 'prod*'`,
    },
  ];
  static related = ['list-sessions', 'print-metrics', 'watch-sessions'];
  static exitCodes = {2: 'A session is near a limit'};
  static environment = {TOKENGATE_WEBHOOK_URL: 'Webhook URL to use without --webhook-file'};

  static override flags = {
    warn: Flags.string({
      description: 'Warn at this percentage of the budget, or off',
      default: '80',
      helpValue: 'PERCENT',
    }),
    crit: Flags.string({
      description: 'Critical at this percentage of the budget, or off',
      default: '95',
      helpValue: 'PERCENT',
    }),
    'min-left': Flags.string({description: 'Warn when less than this is left, in US dollars', helpValue: 'AMOUNT'}),
    'max-rate': Flags.string({
      description:
        'Warn when a session spends faster: 5/m, 0.10/s or 120/h; by the ledger of record-spending, or else from two readings',
      helpValue: 'RATE',
    }),
    'empty-within': Flags.string({
      description: 'Warn when the budget will be empty within this time, by the ledger of record-spending',
      helpValue: 'TIME',
    }),
    sample: sampleFlag,
    frozen: Flags.boolean({description: 'Critical when a session is frozen, even one without a budget'}),
    overdue: Flags.boolean({
      description: 'Critical when a renewal, or the end of a grant, is overdue because renew-budgets does not run',
    }),
    grace: graceFlag,
    match: matchFlag,
    where: whereFlag,
    quiet: Flags.boolean({char: 'q', description: 'Print nothing if no session is near a limit'}),
    'new-only': Flags.boolean({description: 'Report each crossing only once'}),
    state: Flags.string({
      description: 'Keep reported crossings under this name, apart from those of other checks',
      helpValue: 'NAME',
    }),
    'webhook-file': Flags.string({
      description: 'Post new crossings to the URL in this file',
      helpValue: 'FILE',
    }),
    exec: Flags.string({
      description: 'Shell command to run for each new crossing',
      helpValue: 'COMMAND',
    }),
    format: answerFormatFlag(),
  };

  async run(): Promise<void> {
    this.refuseOddUse();
    const rules = this.rules();
    const {match, where: typed, state} = this.flags;
    const where = typed === undefined ? undefined : parseFilter(typed);
    const name = state === undefined ? undefined : parseStateName(state);
    const {rates, recordedRates} = await this.rates({match});
    const options = {
      rules,
      match,
      where,
      rates,
      recordedRates,
      graceMs: parseDuration(this.flags.grace ?? DEFAULT_GRACE) * 1000,
    };
    const isFound = this.flags['new-only'] ? await this.checkNew(options, name) : await this.checkAll(options);
    if (isFound) this.endWithFinding();
  }

  private refuseOddUse(): void {
    const refuse = (why: string): never => {
      throw new TokengateError('INVALID_USAGE', why);
    };
    for (const name of ['state', 'webhook-file', 'exec'] as const) {
      if (this.flags[name] !== undefined && !this.flags['new-only']) refuse(`--${name} goes with --new-only.`);
    }
    if (this.flags.sample !== undefined && this.flags['max-rate'] === undefined)
      refuse('--sample goes with --max-rate.');
    // A variable that expands to nothing would notify nobody, silently.
    if (this.flags.exec?.trim() === '') refuse('--exec is empty.');
  }

  private rules(): LimitRule[] {
    const {warn, crit, 'min-left': minLeft, 'max-rate': maxRate, 'empty-within': emptyWithin} = this.flags;
    const {frozen, overdue} = this.flags;
    return toRules({
      warn: parsePercentage(warn),
      crit: parsePercentage(crit),
      minLeft: minLeft === undefined ? null : parseAmount(minLeft).value,
      maxRate: maxRate === undefined ? null : parseRate(maxRate),
      emptyWithin: emptyWithin === undefined ? null : parseDuration(emptyWithin),
      frozen,
      overdue,
    });
  }

  /**
   * What each session spends a minute; undefined if no rule asks for it. Without --sample the recorded rate comes
   * first.
   */
  private async rates({match}: Wanted): Promise<Pick<CheckOptions, 'rates' | 'recordedRates'>> {
    const {'max-rate': maxRate, 'empty-within': emptyWithin, sample} = this.flags;
    const isAsked = emptyWithin !== undefined || (maxRate !== undefined && sample === undefined);
    const recorded = isAsked ? await this.readRecorded(match) : undefined;
    if (emptyWithin !== undefined && recorded === undefined) {
      throw new TokengateError(
        'NOT_RECORDED',
        'It is not known when budgets will be empty: there are no two recordings a minute apart.',
        {
          hint: 'Record it every few minutes, from cron, with: tokengate record-spending --quiet',
        },
      );
    }
    return {
      rates:
        maxRate !== undefined && sample === undefined && recorded !== undefined ? recorded : await this.sample({match}),
      recordedRates: emptyWithin === undefined ? undefined : recorded,
    };
  }

  /** From the ledger; undefined if it says nothing about the last hour. */
  private async readRecorded(match: string | undefined): Promise<Map<RawId, Money | null> | undefined> {
    const {readAllRates} = await import('../lib/spending/all-rates.js');
    const redis = await this.connect();
    const rates = await readAllRates(redis, match);
    redis.close();
    return rates;
  }

  /** The same from two readings. */
  private async sample(options: Wanted): Promise<Map<RawId, Money | null> | undefined> {
    const {'max-rate': maxRate, sample = DEFAULT_SAMPLE} = this.flags;
    if (maxRate === undefined) return undefined;
    const seconds = parseDuration(sample);
    const redis = await this.connect();
    const {sessions} = await sampleSessions(redis, options, seconds);
    redis.close();
    return new Map(sessions.map(({id, rate}) => [id, rate]));
  }

  private async checkAll(options: Omit<CheckOptions, 'now'>): Promise<boolean> {
    const redis = await this.connect();
    const check = await checkSessions(redis, {...options, now: await serverTime(redis)});
    await this.report(check, check.findings, null, []);
    return check.findings.length > 0;
  }

  private async checkNew(options: Omit<CheckOptions, 'now'>, name: string | undefined): Promise<boolean> {
    const {'webhook-file': file, exec} = this.flags;
    const webhook = readWebhook(file);
    const redis = await this.connectToChange('decided before');
    const now = await serverTime(redis);
    const told = await reportOnce(redis, {
      name,
      now,
      leaseMs: LEASE_MS,
      check: (onSubject) => checkSessions(redis, {...options, now, onSubject, withPeriods: true}),
      report: async (check, fresh) => {
        const notified = await notify(
          fresh,
          {webhook, exec},
          {address: redis.server.address, server: this.serverVariables},
        );
        await this.report(check, fresh, check.findings.length - fresh.length, notified.ways);
        return {...notified, count: fresh.length};
      },
    });
    if (told.failed.size > 0) throw notificationError(told);
    return told.count > 0;
  }

  private async report(
    check: Check,
    findings: readonly LimitFinding[],
    known: number | null,
    notifications: readonly NotificationJson[],
  ): Promise<void> {
    if (check.checked === 0) await this.adviseGlob();
    if (this.flags.quiet && findings.length === 0 && !this.jsonEnabled()) return;
    const text = this.jsonEnabled()
      ? `${stringifyJson({...toCheckJson(check, findings, known), notifications}, '  ')}\n`
      : renderCheck(check, findings, known);
    await this.write([text]);
  }
}
