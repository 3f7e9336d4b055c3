import {BaseCommand} from '../cli/base-command.js';
import {sessionIdArg} from '../cli/flags.js';
import {type Money, parseStoredMoney} from '../lib/money.js';
import {describeRemoved, type Reset, resetSession} from '../lib/sessions.js';

interface ResetJson {
  session_id: string;
  /** Null when there was none. A text when it was not money. */
  removed_budget: Money | string | null;
  removed_spent: Money | string | null;
}

export default class ResetSession extends BaseCommand<typeof ResetSession> {
  static override summary = 'Remove the budget and the spending of a session';
  static override description = `Asks first; --yes skips the question. Both are removed in one atomic step, and what was removed is shown.

The session's next request gives it the gateway's default budget.`;
  static override examples = [
    {description: 'Reset, after a question', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {description: 'In a script or from cron', command: '<%= config.bin %> <%= command.id %> test-session --yes'},
  ];

  static override args = {session_id: sessionIdArg};

  async run(): Promise<ResetJson> {
    const id = this.args.session_id;
    await this.confirm(`Are you sure you want to reset this session ('${id}')?`);
    const reset = await resetSession(await this.connectToChange(), id);
    this.render(reset);
    return {session_id: id, removed_budget: toJson(reset.budget), removed_spent: toJson(reset.spent)};
  }

  private render(reset: Reset): void {
    this.print(`✓ Session '${reset.id}' reset`, `Removed: ${describeRemoved(reset)}`);
  }
}

function toJson(removed: string | null): Money | string | null {
  return removed === null ? null : (parseStoredMoney(removed) ?? removed);
}
