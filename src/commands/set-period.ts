import {BatchCommand} from '../cli/oclif/batch-command.js';
import {batchFlags, sessionIdsArg} from '../cli/oclif/flags.js';
import {periodFlags, readSchedule} from '../cli/oclif/period-flags.js';
import {describeSetPeriod, type PeriodJson, toPeriodJson} from '../cli/views/periods.js';
import {changeKnown} from '../lib/change/apply.js';
import {BUDGET_KEYS, PERIOD_KEYS} from '../lib/gateway/keys.js';
import {explainUsedUp} from '../lib/gateway/session.js';
import {LOOKS} from '../lib/operations/lasting.js';
import {type PeriodChange, periodLook, setPeriodChange} from '../lib/operations/period.js';
import {formatInZone, makeCalendar} from '../lib/periods/calendar.js';
import {describePeriod} from '../lib/periods/describe.js';
import {sumOf} from '../lib/periods/grants.js';
import {typed} from '../lib/periods/renewal.js';
import type {Terms} from '../lib/periods/terms.js';
import {serverTime} from '../lib/redis/server-time.js';
import {TokengateError} from '../lib/values/errors.js';
import {formatExactMoney, ZERO} from '../lib/values/money.js';
import {nameOf, type RawId} from '../lib/values/session-id.js';

export default class SetPeriod extends BatchCommand<typeof SetPeriod> {
  static override summary = 'Make budgets renew every day, week, month or year';
  static override description = `Sets the budget to the amount at once and keeps what is spent; --start-fresh clears that too. From then on, renew-budgets, run from cron, gives each new period the amount and clears what was spent.

A period begins at 00:00 UTC unless --at and --timezone say otherwise. If daylight saving skips that time, the period begins at the first moment after the gap; if the time comes twice, at the first.

set-budget and add-budget change the budget of the current period only. --every none ends the renewals and leaves the budget as it is.`;
  static group = 'Periods';
  static override examples = [
    {
      description: 'Give a session $50 a month',
      command: '<%= config.bin %> <%= command.id %> my-workflow --every month --amount 50 --timezone Europe/Berlin',
    },
    {
      description: 'Give each session of a team $5 a day, and keep what they do not use, up to $20',
      command: `<%= config.bin %> <%= command.id %> --match 'team:*' --every day --amount 5 --rollover unused --max-rollover 20`,
    },
    {description: 'Stop renewing', command: '<%= config.bin %> <%= command.id %> my-workflow --every none'},
  ];
  static related = ['renew-budgets', 'list-periods', 'grant-budget'];

  static override args = {session_id: sessionIdsArg};
  static override flags = {...periodFlags, ...batchFlags};

  private readonly spanOf = makeCalendar();

  async run(): Promise<PeriodJson | undefined> {
    const terms = this.readTerms();
    const changeAt = (now: Date) => {
      const period = terms && {...terms, renewed: now, carried: typed(ZERO)};
      return setPeriodChange(period, now, this.flags['start-fresh']);
    };
    if (this.single !== undefined) return this.setOne(this.single, changeAt);
    await this.changeMany<PeriodChange>({
      verb: 'set the period of',
      done: 'set',
      universe: terms === null ? PERIOD_KEYS : BUDGET_KEYS,
      change: changeAt,
      describe: describeSetPeriod,
      problems: describeProblems,
      toJson: (change) => ({...toPeriodJson(change.after, this.spanOf)}),
      secondLook: periodLook(LOOKS),
    });
    return undefined;
  }

  private async setOne(id: RawId, changeAt: (now: Date) => ReturnType<typeof setPeriodChange>): Promise<PeriodJson> {
    const redis = await this.connectToChange({verb: 'Set the period of', ids: [id]});
    const journal = this.journal();
    const what = `the period of session '${nameOf(id)}' was set`;
    const change = await changeKnown(redis, id, changeAt(await serverTime(redis)), {journal, what});
    const {period} = change.after;
    if (period !== null) {
      const next = formatInZone(this.spanOf(period, period.renewed).end, period.timezone);
      this.print(`✓ Budget of '${change.id}' renews ${describePeriod(period)}`, `Next renewal: ${next}`);
    } else if (change.before === change.after) {
      this.print(`The budget of '${change.id}' does not renew`);
    } else {
      this.print(`✓ Budget of '${change.id}' no longer renews`);
    }
    this.warnAll(describeProblems(change));
    const {budget, spent} = change.before;
    const isNew = period !== null && budget.state === 'absent' && spent.state === 'absent';
    if (isNew) await this.warnUnknown(redis, id, `New session '${change.id}'.`, '');
    const isChanged = change.before !== change.after;
    if (isChanged) this.afterChange(journal);
    const secondLook = await this.lookAgain(redis, periodLook(LOOKS), {result: change, journal});
    const changeId = isChanged ? (journal?.change ?? null) : null;
    const terms = toPeriodJson(change.after, this.spanOf);
    return {session_id: change.id, ...terms, second_look: secondLook, change_id: changeId};
  }

  /** @throws TokengateError INVALID_USAGE */
  private readTerms(): Terms | null {
    const {every, amount, timezone, at, on, rollover = 'none', 'max-rollover': maxRollover} = this.flags;
    if (every === 'none') {
      const extra = (['amount', 'timezone', 'at', 'on', 'rollover', 'start-fresh'] as const).find(
        (name) => this.flags[name],
      );
      if (extra === undefined) return null;
      throw new TokengateError('INVALID_USAGE', `--${extra} and --every none contradict each other.`);
    }
    if (amount === undefined) {
      throw new TokengateError('INVALID_USAGE', '--every needs --amount.', {
        hint: 'For example: --every month --amount 50',
      });
    }
    if (maxRollover !== undefined && rollover === 'none') {
      throw new TokengateError('INVALID_USAGE', '--max-rollover goes with --rollover unused.');
    }
    return {...readSchedule(every, {timezone, at, on}), amount, rollover, maxRollover: maxRollover ?? null};
  }
}

/** A budget that is already spent blocks the session until it renews, and a grant may be left without an end. */
function describeProblems({id, before, after: {period, grants, budget, spent}}: PeriodChange): string[] {
  const endless = grants.filter(({until}) => until === null);
  if (period === null && endless.length > 0) {
    return [
      `Session '${id}' keeps ${formatExactMoney(sumOf(endless))} granted until the next renewal, which does not come now. revoke-grant takes it off.`,
    ];
  }
  if (period === null || budget.state !== 'money' || spent.state !== 'money') return [];
  const problems = before.budget.state === 'invalid' ? [`The budget of session '${id}' was ${before.budget.why}.`] : [];
  if (spent.amount.lt(budget.amount)) return problems;
  return [
    ...problems,
    `${explainUsedUp(id, spent.amount, budget.amount)} until the budget renews. --start-fresh clears what is spent.`,
  ];
}
