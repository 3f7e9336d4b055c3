import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {amountFlag, answerFormatFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {toForecast} from '../cli/views/forecast.js';
import {type DecisionJson, describeDecision, toDecisionJson} from '../cli/views/next-request.js';
import {readRenewal} from '../cli/views/renewal.js';
import {DEFAULT_BUDGET} from '../lib/gateway/budget-judgement.js';
import {explainSession} from '../lib/gateway/next-request.js';
import {readRatesOf} from '../lib/spending/rates.js';

export default class ExplainSession extends BaseCommand<typeof ExplainSession> {
  static override summary = 'Explain whether the next request passes, and why not';
  static override description = `Applies the rules of the gateway, in its order, to what Redis holds now: freeze, request rate, loop, velocity, budget. Each rule passes, refuses, or is close to refusing (80 percent or more); its numbers are shown, and when it would change by itself. Nothing is changed.

Then it shows the gateway's answer, a command that lets the request pass, and when the budget renews, if it does. HTTP 429 is a refusal; 500 and 503 mean that the gateway fails on the data in Redis.

The gateway estimates the cost of a request from its model and text. Without --cost, a request passes if any budget is left.

Embeddings and legacy completions count as identical when their model and max_tokens are the same, whatever their input. With a budget of 0, a request still passes if its estimate is 0 or less, as with a negative max_tokens: only a freeze blocks a session for certain.

Exits with 0 if the next request passes and 2 if it does not.`;
  static group = 'Look';
  static override examples = [
    {description: 'Why is this session refused?', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {
      description: 'Would a request of 12 cents pass?',
      command: '<%= config.bin %> <%= command.id %> my-workflow --cost 0.12',
    },
  ];
  static related = ['anomaly-stats', 'list-requests', 'get-budget'];
  static exitCodes = {2: 'The next request does not pass'};

  static override args = {session_id: sessionIdArg};
  static override flags = {
    cost: amountFlag({description: 'Estimated cost of the request in US dollars'}),
    identical: Flags.boolean({description: 'Assume the same request as the last one'}),
    'default-budget': amountFlag({
      description: "The gateway's DEFAULT_BUDGET, for a session without a budget (default: 10)",
    }),
    format: answerFormatFlag(),
  };

  async run(): Promise<DecisionJson> {
    const {cost = null, identical, 'default-budget': defaultBudget = DEFAULT_BUDGET} = this.flags;
    const request = {cost, isRepeated: identical, defaultBudget};
    const redis = await this.connect();
    const {session_id: id} = this.args;
    const [decision, renewal, recorded] = await Promise.all([
      explainSession(redis, id, request),
      readRenewal(redis, id),
      readRatesOf(redis, id),
    ]);
    if (!decision.isKnown) {
      await this.warnUnknown(redis, id, `Nothing is known of session '${decision.id}'.`);
    }
    const server = this.sameServer(redis);
    const remaining = decision.rules.find((rule) => rule.rule === 'budget')?.remaining ?? null;
    const forecast =
      recorded && toForecast(remaining, recorded.rates, recorded.source, renewal?.json.next_renewal ?? null);
    this.print(...describeDecision(decision, server, renewal, forecast));
    this.warnAll(renewal?.problems ?? []);
    if (!decision.passes) this.endWithFinding();
    return toDecisionJson(decision, server, renewal, forecast);
  }
}
