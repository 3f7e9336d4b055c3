import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, journalFlags, sessionIdArg, signedAmountArg} from '../cli/oclif/flags.js';
import {toBudgetChangeJson, type BudgetChangeJson} from '../cli/views/sessions.js';
import {explainUsedUp} from '../lib/gateway/session.js';
import {addBudget, type BudgetChange} from '../lib/operations/budget.js';
import {formatExactMoney} from '../lib/values/money.js';

export default class AddBudget extends BaseCommand<typeof AddBudget> {
  static override summary = 'Raise or lower the budget of a session';
  static override description = `The amount is in US dollars and is added exactly, even if someone else changes the budget at the same time. A negative amount, after --, lowers the budget, but never below 0.`;
  static group = 'Budgets';
  static override examples = [
    {description: 'Add $5 to a budget', command: '<%= config.bin %> <%= command.id %> my-workflow 5'},
    {description: 'Take $2.50 away', command: '<%= config.bin %> <%= command.id %> my-workflow -- -2.50'},
  ];
  static related = ['set-budget', 'get-budget', 'list-changes'];

  static override args = {session_id: sessionIdArg, amount: signedAmountArg};

  static override flags = {...journalFlags, format: answerFormatFlag()};

  async run(): Promise<BudgetChangeJson> {
    const {session_id: id, amount} = this.args;
    const journal = this.journal();
    const change = await addBudget(
      await this.connectToChange({verb: 'Add to the budget of', ids: [id]}),
      id,
      amount,
      journal,
    );
    this.render(change);
    this.afterChange(journal);
    return toBudgetChangeJson(change, journal);
  }

  private render({session: {id, budget, spent}, previousBudget}: BudgetChange): void {
    if (budget === null || previousBudget === null) return;
    this.print(
      `✓ Budget of '${id}': ${formatExactMoney(budget)}`,
      `Previous budget: ${formatExactMoney(previousBudget)}`,
    );
    if (spent?.gte(budget)) {
      this.warnAll([`${explainUsedUp(id, spent)}.`]);
    }
  }
}
