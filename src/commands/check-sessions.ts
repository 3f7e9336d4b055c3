import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/base-command.js';
import {renderCheck, toCheckJson} from '../cli/check-views.js';
import {matchFlag, whereFlag} from '../cli/flags.js';
import {stringifyJson} from '../cli/json.js';
import {LEASE_MS, type NotificationJson, notificationError, notify} from '../cli/notify.js';
import {readWebhook} from '../cli/webhook.js';
import {parseStateName, reportOnce} from '../lib/alerts.js';
import {type Check, checkSessions, type Finding, parsePercentage, toRules} from '../lib/checks.js';
import {serverTime} from '../lib/clock.js';
import {parseFilter} from '../lib/filter.js';
import {parseAmount} from '../lib/money.js';

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
    'new-only': Flags.boolean({description: 'Report only what has not been reported yet'}),
    state: Flags.string({
      description: 'Keep what has been reported under this name, apart from other checks',
      dependsOn: ['new-only'],
      helpValue: 'NAME',
    }),
    'webhook-file': Flags.string({
      description: 'Post what is new to the URL in this file',
      dependsOn: ['new-only'],
      helpValue: 'FILE',
    }),
    quiet: Flags.boolean({char: 'q', description: 'Print nothing when nothing is found'}),
    exec: Flags.string({
      description: 'Run this for each new crossing',
      dependsOn: ['new-only'],
      helpValue: 'COMMAND',
    }),
  };

  async run(): Promise<void> {
    const {warn, crit, 'min-left': minLeft, 'new-only': newOnly, frozen, match, where, state, exec} = this.flags;
    const rules = toRules({
      warn: parsePercentage(warn),
      crit: parsePercentage(crit),
      minLeft: minLeft === undefined ? null : parseAmount(minLeft).value,
      frozen,
    });
    const filter = where === undefined ? undefined : parseFilter(where);
    const name = state === undefined ? undefined : parseStateName(state);
    if (!newOnly) {
      const redis = await this.connect();
      const check = await checkSessions(redis, {rules, match, where: filter, now: await serverTime(redis)});
      await this.report(check, check.findings, null, []);
      if (check.findings.length > 0) this.exitWithFindings();
      return;
    }
    const webhook = await readWebhook(this.flags['webhook-file']);
    const redis = await this.connectToChange();
    const now = await serverTime(redis);
    const told = await reportOnce(redis, {
      name,
      now,
      leaseMs: LEASE_MS,
      check: (onSubject) => checkSessions(redis, {rules, match, where: filter, now, onSubject}),
      report: async (check, fresh) => {
        const {address} = redis.server;
        const notified = await notify(fresh, {webhook, exec}, {address, redisUrl: this.flags['redis-url']});
        await this.report(check, fresh, check.findings.length - fresh.length, notified.ways);
        return {...notified, count: fresh.length};
      },
    });
    if (told.failed.size > 0) throw notificationError(told);
    if (told.count > 0) this.exitWithFindings();
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
