import {BaseCommand} from '../cli/oclif/base-command.js';
import {amountArg, answerFormatFlag, journalFlags, sessionIdArg} from '../cli/oclif/flags.js';
import type {SecondLookJson} from '../cli/views/second-look.js';
import {type BudgetChangeJson, toBudgetChangeJson} from '../cli/views/sessions.js';
import {ONLY_A_FREEZE_BLOCKS} from '../lib/gateway/budget-judgement.js';
import {explainUsedUp} from '../lib/gateway/session.js';
import {type BudgetChange, budgetLook, setBudget} from '../lib/operations/budget.js';
import {formatExactMoney, ZERO} from '../lib/values/money.js';

interface SetBudgetJson extends BudgetChangeJson {
  /** Null when the session had a budget: then the gateway does not write one. */
  second_look: SecondLookJson | null;
}

export default class SetBudget extends BaseCommand<typeof SetBudget> {
  static override summary = 'Set the budget of a session';
  static override description = `The amount is in US dollars and is kept exactly as typed. What the session has spent stays.

If the session had no budget, a request that is under way can replace the new one with the gateway's default. The command therefore looks again; if that has happened, it warns and exits with 1.

A budget of 0, or one that is already spent, blocks the session; only a freeze blocks it for certain.`;
  static group = 'Budgets';
  static override examples = [
    {description: 'Set a budget of $25.50', command: '<%= config.bin %> <%= command.id %> my-workflow 25.50'},
    {
      description: 'Use another Redis',
      command: '<%= config.bin %> --redis-url redis://prod-redis:6379 <%= command.id %> prod-session 100.00',
    },
  ];
  static related = ['add-budget', 'get-budget', 'list-changes'];

  static override args = {
    session_id: sessionIdArg,
    amount: amountArg,
  };

  static override flags = {...journalFlags, format: answerFormatFlag()};

  async run(): Promise<SetBudgetJson> {
    const {session_id: id, amount} = this.args;
    const redis = await this.connectToChange({verb: 'Set the budget of', ids: [id]});
    const journal = this.journal();
    const change = await setBudget(redis, id, amount, journal);
    this.render(change);
    this.afterChange(journal);
    if (change.isNew) await this.warnUnknown(redis, id, `New session '${change.session.id}'.`, '');
    const {change_id, ...facts} = toBudgetChangeJson(change, journal);
    return {...facts, second_look: await this.lookAgain(redis, budgetLook, {result: change}), change_id};
  }

  private render({session, previousBudget, problems}: BudgetChange): void {
    const {id, budget, spent} = session;
    this.warnAll([...problems, ...session.problems]);
    if (budget === null) return;
    this.print(`✓ Budget set for '${id}': ${formatExactMoney(budget)}`);
    if (previousBudget !== null) this.print(`Previous budget: ${formatExactMoney(previousBudget)}`);
    if (budget.eq(ZERO)) this.warnAll([ONLY_A_FREEZE_BLOCKS]);
    if (spent?.gte(budget)) {
      this.warnAll([`${explainUsedUp(id, spent)}.`]);
    }
  }
}
