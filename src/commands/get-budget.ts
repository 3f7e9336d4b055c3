import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {type Forecast, type ForecastJson, toForecast} from '../cli/views/forecast.js';
import type {RenewalJson, ShownRenewal} from '../cli/views/periods.js';
import {readRenewal} from '../cli/views/renewal.js';
import {money, type SessionJson, toSessionJson} from '../cli/views/sessions.js';
import {findSession, type Session} from '../lib/gateway/session.js';
import {readRatesOf} from '../lib/spending/rates.js';
import {formatPercentage} from '../lib/values/money.js';

export default class GetBudget extends BaseCommand<typeof GetBudget> {
  static override summary = 'Show the budget of a session and what it has spent';
  static override description = `Amounts are rounded to four decimals; --json prints every digit.

If record-spending runs, it also shows what the session spends an hour, and when its budget will be empty at that rate.

For a budget that renews it shows how and when, and for grants when they end.`;
  static group = 'Look';
  static override examples = [
    {description: 'Show one session', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {description: 'Get exact amounts in a script', command: '<%= config.bin %> <%= command.id %> my-workflow --json'},
  ];
  static related = ['set-budget', 'add-budget', 'list-sessions', 'explain-session'];

  static override args = {session_id: sessionIdArg};

  static override flags = {format: answerFormatFlag()};

  async run(): Promise<SessionJson & Partial<RenewalJson & ForecastJson>> {
    const {session_id: id} = this.args;
    const redis = await this.connect();
    const [session, renewal, recorded] = await Promise.all([
      findSession(redis, id),
      readRenewal(redis, id),
      readRatesOf(redis, id),
    ]);
    const forecast =
      recorded && toForecast(session.remaining, recorded.rates, recorded.source, renewal?.json.next_renewal ?? null);
    this.render(session, renewal, forecast);
    return {...toSessionJson(session), ...renewal?.json, ...forecast?.json};
  }

  private render(
    {id, budget, spent, remaining, percentageUsed, problems}: Session,
    renewal: ShownRenewal | undefined,
    forecast: Forecast | undefined,
  ): void {
    this.warnAll([...problems, ...(renewal?.problems ?? [])]);
    this.print(
      `Session: ${this.cut(id)}`,
      `Budget:    ${money(budget)}`,
      `Spent:     ${money(spent)}`,
      `Remaining: ${money(remaining)}`,
      `Used:      ${percentageUsed === null ? 'invalid' : formatPercentage(percentageUsed)}`,
      ...(forecast === undefined ? [] : [`Rate:      ${forecast.sentence}`]),
      ...(renewal?.lines ?? []),
    );
  }
}
