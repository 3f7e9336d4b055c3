import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {money, type SessionJson, toSessionJson} from '../cli/views/sessions.js';
import {findSession, type Session} from '../lib/gateway/session.js';
import {formatPercentage} from '../lib/values/money.js';

export default class GetBudget extends BaseCommand<typeof GetBudget> {
  static override summary = 'Show the budget of a session and what it has spent';
  static override description = `Amounts are rounded to four decimals; --json prints every digit.`;
  static group = 'Look';
  static override examples = [
    {description: 'Show one session', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {description: 'Get exact amounts in a script', command: '<%= config.bin %> <%= command.id %> my-workflow --json'},
  ];
  static related = ['set-budget', 'add-budget', 'list-sessions', 'explain-session'];

  static override args = {session_id: sessionIdArg};

  static override flags = {format: answerFormatFlag()};

  async run(): Promise<SessionJson> {
    const session = await findSession(await this.connect(), this.args.session_id);
    this.render(session);
    return toSessionJson(session);
  }

  private render({id, budget, spent, remaining, percentageUsed, problems}: Session): void {
    this.warnAll(problems);
    this.print(
      `Session: ${this.cut(id)}`,
      `Budget:    ${money(budget)}`,
      `Spent:     ${money(spent)}`,
      `Remaining: ${money(remaining)}`,
      `Used:      ${percentageUsed === null ? 'invalid' : formatPercentage(percentageUsed)}`,
    );
  }
}
