import {Flags} from '@oclif/core';

import {LEASE_MS, type NotificationJson, notificationError, notify} from '../cli/alerts/notify.js';
import {readWebhook} from '../cli/alerts/webhook.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {matchFlag, whereFlag} from '../cli/oclif/flags.js';
import {stringifyJson} from '../cli/terminal/json.js';
import {renderCheck, toCheckJson} from '../cli/views/limits.js';
import {
  type Check,
  type CheckOptions,
  checkSessions,
  type Finding,
  parsePercentage,
  type Rule,
  toRules,
} from '../lib/monitoring/limits.js';
import {parseStateName, reportOnce} from '../lib/monitoring/report-once.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter} from '../lib/sessions/filter.js';
import {TokengateError} from '../lib/values/errors.js';
import {parseAmount} from '../lib/values/money.js';

export default class CheckSessions extends BaseCommand<typeof CheckSessions> {
  static override summary = 'Find sessions that are near their limits, for cron and monitoring';
  static override description = `Exit code 0 when nothing is found, 2 when something is, 1 when it could not be checked. The first line begins with OK, WARNING or CRITICAL; the worst comes first.

A session is found at --warn and --crit percent of its budget or above, compared exactly; with less than --min-left; with --frozen while it is frozen; and always when what Redis holds is no amount, since the gateway then refuses it or lets it spend without limit. Of a budget of 0, which blocks a session, 0 percent are used until something is spent, then 100.

--new-only reports each crossing once, and again after the session has fallen back. What has been reported is kept in Redis, so that several hosts that check do not repeat each other. Only with --new-only is anything written, posted or run.

A webhook gets JSON with a "text", as Slack takes it, of what is new. Its URL stands in a file that others cannot read, or in TOKENGATE_WEBHOOK_URL. The command of --exec runs in a shell for each new crossing, with the facts in TOKENGATE_ALERT_SESSION_ID, _SEVERITY, _CHECK, _THRESHOLD, _BUDGET, _SPENT, _REMAINING, _PERCENTAGE_USED, _FROZEN_UNTIL, _FREEZE_REASON, _MESSAGE, _REDIS and _JSON, for at most 30 seconds. What could not be told in every way is an error, and is reported again by the next check.`;
  static override examples = [
    {description: 'Is anybody above 80 percent?', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: 'From cron: only what is new, freezes too, and nothing when there is nothing',
      command: '<%= config.bin %> <%= command.id %> --frozen --new-only --quiet',
    },
    {
      description: 'Production alone, by what is left',
      command: `<%= config.bin %> <%= command.id %> --warn off --crit off --min-left 5 --match 'prod*'`,
    },
  ];
  static related = ['list-sessions', 'print-metrics', 'watch-sessions'];
  static exitCodes = {2: 'A session is near a limit'};
  static environment = {TOKENGATE_WEBHOOK_URL: 'Where to post what is new, where --webhook-file is not given'};

  static override flags = {
    warn: Flags.string({
      description: 'Warning at this share of the budget, or off',
      default: '80',
      helpValue: 'PERCENT',
    }),
    crit: Flags.string({
      description: 'Critical at this share of the budget, or off',
      default: '95',
      helpValue: 'PERCENT',
    }),
    'min-left': Flags.string({description: 'Warning when less than this is left, in US dollars', helpValue: 'AMOUNT'}),
    frozen: Flags.boolean({description: 'Critical when a session is frozen, one without a budget too'}),
    match: matchFlag,
    where: whereFlag,
    quiet: Flags.boolean({char: 'q', description: 'Print nothing when nothing is found'}),
    'new-only': Flags.boolean({description: 'Report only what has not been reported yet'}),
    state: Flags.string({
      description: 'Keep what has been reported under this name, apart from other checks',
      helpValue: 'NAME',
    }),
    'webhook-file': Flags.string({
      description: 'Post what is new to the URL in this file',
      helpValue: 'FILE',
    }),
    exec: Flags.string({
      description: 'Run this for each new crossing',
      helpValue: 'COMMAND',
    }),
  };

  async run(): Promise<void> {
    this.refuseOddUse();
    const rules = this.rules();
    const {match, where: typed, state} = this.flags;
    const where = typed === undefined ? undefined : parseFilter(typed);
    const name = state === undefined ? undefined : parseStateName(state);
    const isFound = this.flags['new-only']
      ? await this.checkNew({rules, match, where}, name)
      : await this.checkAll({rules, match, where});
    if (isFound) this.endWithFinding();
  }

  private refuseOddUse(): void {
    const refuse = (why: string): never => {
      throw new TokengateError('INVALID_USAGE', why);
    };
    for (const name of ['state', 'webhook-file', 'exec'] as const) {
      if (this.flags[name] !== undefined && !this.flags['new-only']) refuse(`--${name} goes with --new-only.`);
    }
    // What is left of a variable that was never set would tell nobody, without a word.
    if (this.flags.exec?.trim() === '') refuse('--exec is empty.');
  }

  private rules(): Rule[] {
    const {warn, crit, 'min-left': minLeft, frozen} = this.flags;
    return toRules({
      warn: parsePercentage(warn),
      crit: parsePercentage(crit),
      minLeft: minLeft === undefined ? null : parseAmount(minLeft).value,
      frozen,
    });
  }

  private async checkAll(options: Omit<CheckOptions, 'now'>): Promise<boolean> {
    const redis = await this.connect();
    const check = await checkSessions(redis, {...options, now: await serverTime(redis)});
    await this.report(check, check.findings, null, []);
    return check.findings.length > 0;
  }

  private async checkNew(options: Omit<CheckOptions, 'now'>, name: string | undefined): Promise<boolean> {
    const {'webhook-file': file, exec, 'redis-url': redisUrl} = this.flags;
    const webhook = await readWebhook(file);
    const redis = await this.connectToChange();
    const now = await serverTime(redis);
    const told = await reportOnce(redis, {
      name,
      now,
      leaseMs: LEASE_MS,
      check: (onSubject) => checkSessions(redis, {...options, now, onSubject}),
      report: async (check, fresh) => {
        const notified = await notify(fresh, {webhook, exec}, {address: redis.server.address, redisUrl});
        await this.report(check, fresh, check.findings.length - fresh.length, notified.ways);
        return {...notified, count: fresh.length};
      },
    });
    if (told.failed.size > 0) throw notificationError(told);
    return told.count > 0;
  }

  private async report(
    check: Check,
    findings: readonly Finding[],
    known: number | null,
    notifications: readonly NotificationJson[],
  ): Promise<void> {
    if (this.flags.quiet && findings.length === 0 && !this.jsonEnabled()) return;
    const text = this.jsonEnabled()
      ? `${stringifyJson({...toCheckJson(check, findings, known), notifications}, '  ')}\n`
      : renderCheck(check, findings, known);
    await this.write([text]);
  }
}
