import {Args} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {journalFlags, sessionIdArg} from '../cli/oclif/flags.js';
import {type GrantJson, toGrantJson} from '../cli/views/periods.js';
import {changeKnown} from '../lib/change/apply.js';
import {moneyOf} from '../lib/gateway/stored-amount.js';
import {revokeChange} from '../lib/operations/period.js';
import {sumOf} from '../lib/periods/grants.js';
import {formatExactMoney, type Money} from '../lib/values/money.js';
import {nameOf} from '../lib/values/session-id.js';

interface Revoked {
  session_id: string;
  revoked_grants: GrantJson[];
  budget: Money | null;
  previous_budget: Money | null;
  change_id: string | null;
}

export default class RevokeGrant extends BaseCommand<typeof RevokeGrant> {
  static override summary = 'End a grant before its time';
  static override description = `Takes the granted amount off the budget, which never falls below 0. Without a GRANT_ID, all grants of the session end.`;
  static group = 'Periods';
  static override examples = [
    {description: 'End all grants of a session', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {
      description: 'End one, whose ID list-grants shows',
      command: '<%= config.bin %> <%= command.id %> my-workflow 4k7m2xq9hb',
    },
  ];
  static related = ['list-grants', 'grant-budget'];

  static override args = {
    session_id: sessionIdArg,
    grant_id: Args.string({description: 'ID of the grant, from list-grants', ignoreStdin: true}),
  };
  static override flags = journalFlags;

  async run(): Promise<Revoked> {
    const {session_id: id, grant_id: grantId} = this.args;
    const redis = await this.connectToChange({verb: 'Revoke grants of', ids: [id]});
    const journal = this.journal();
    const what = `the budget of session '${nameOf(id)}' was changed`;
    const {before, after, grants} = await changeKnown(redis, id, revokeChange(grantId), {journal, what});
    const [previous, budget] = [before.budget, after.budget].map(moneyOf);
    this.print(`✓ Session '${nameOf(id)}': ${formatExactMoney(sumOf(grants))} revoked`);
    if (budget) this.print(`Budget: ${formatExactMoney(budget)}`);
    this.afterChange(journal);
    return {
      session_id: nameOf(id),
      revoked_grants: grants.map(toGrantJson),
      budget: budget ?? null,
      previous_budget: previous ?? null,
      change_id: journal?.change ?? null,
    };
  }
}
