import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {amountFlag, sessionIdArg} from '../cli/oclif/flags.js';
import {type DecisionJson, describeDecision, toDecisionJson} from '../cli/views/next-request.js';
import {DEFAULT_BUDGET} from '../lib/gateway/budget-judgement.js';
import {explainSession} from '../lib/gateway/next-request.js';

export default class ExplainSession extends BaseCommand<typeof ExplainSession> {
  static override summary = 'Explain whether the next request of a session passes, and why not';
  static override description = `Goes through the gateway's own rules, in its order, on what stands in Redis now: freeze, request rate, loop, velocity, budget. Each passes, refuses, or is close to it (from 80 percent on), with its numbers and until when. Changes nothing.

Then it says what the gateway answers, and which command would let the request pass. HTTP 429 is a refusal; 500 and 503 mean that the gateway fails on what it finds.

The gateway estimates what a request costs from its model and its text, so that is not known here: without --cost, a request passes when anything is left.

Exit code 0 when the next request passes, 2 when it does not.`;
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
    cost: amountFlag({description: 'What the gateway estimates that the request costs, in US dollars'}),
    identical: Flags.boolean({description: 'The request is the same as the last one'}),
    'default-budget': amountFlag({
      description: "The gateway's DEFAULT_BUDGET, for a session without a budget; 10 if not given",
    }),
  };

  async run(): Promise<DecisionJson> {
    const {cost = null, identical, 'default-budget': defaultBudget = DEFAULT_BUDGET} = this.flags;
    const request = {cost, isRepeated: identical, defaultBudget};
    const redis = await this.connect();
    const decision = await explainSession(redis, this.args.session_id, request);
    if (!decision.isKnown) this.warnAll([`Nothing is known of session '${decision.id}'. Is the ID right?`]);
    const server = this.sameServer(redis);
    this.print(...describeDecision(decision, server));
    if (!decision.passes) this.answerNo();
    return toDecisionJson(decision, server);
  }
}
