import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {amountArg, journalFlags, sessionIdArg} from '../cli/oclif/flags.js';
import {parseTypedTime} from '../cli/text/time-zone.js';
import {type GrantJson, toGrantJson} from '../cli/views/periods.js';
import {changeKnown} from '../lib/change/apply.js';
import {moneyOf} from '../lib/gateway/stored-amount.js';
import {newChangeId} from '../lib/journal/entry.js';
import {grantChange} from '../lib/operations/period.js';
import {describeGrant} from '../lib/periods/describe.js';
import type {Grant} from '../lib/periods/grants.js';
import {serverTime} from '../lib/redis/server-time.js';
import {TokengateError} from '../lib/values/errors.js';
import {formatExactMoney, type Money, ZERO} from '../lib/values/money.js';
import {nameOf} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';

interface Granted extends GrantJson {
  session_id: string;
  budget: Money | null;
  previous_budget: Money | null;
  change_id: string | null;
}

export default class GrantBudget extends BaseCommand<typeof GrantBudget> {
  static override summary = 'Give a session more budget for a while';
  static override description = `Adds the amount to the budget at once. When the grant ends, the next renew-budgets takes exactly that amount away again, but never leaves less than 0.

A renewal keeps a grant that goes on, on top of the new budget. A grant with --this-period ends with the next renewal.`;
  static group = 'Periods';
  static override examples = [
    {
      description: 'Give $20 more for three days',
      command: '<%= config.bin %> <%= command.id %> my-workflow 20 --for 3d',
    },
    {
      description: 'Give $20 more until a date, and say why',
      command: '<%= config.bin %> <%= command.id %> my-workflow 20 --until 2099-12-24 --note "Black Friday"',
    },
  ];
  static related = ['list-grants', 'revoke-grant', 'add-budget'];

  static override args = {session_id: sessionIdArg, amount: amountArg};
  static override flags = {
    for: Flags.string({
      description: 'Length of the grant, such as 12h or 3d',
      exactlyOne: ['for', 'until', 'this-period'],
      helpValue: 'TIME',
    }),
    until: Flags.string({
      description: 'End of the grant in ISO 8601; local time unless it ends in Z or an offset',
      exactlyOne: ['for', 'until', 'this-period'],
      helpValue: 'TIME',
    }),
    'this-period': Flags.boolean({
      description: 'End the grant with the next renewal',
      exactlyOne: ['for', 'until', 'this-period'],
    }),
    ...journalFlags,
  };

  async run(): Promise<Granted> {
    const {session_id: id, amount} = this.args;
    const untilAt = this.readEnd();
    if (amount.value.lte(ZERO)) {
      throw new TokengateError('INVALID_AMOUNT', `Invalid amount '${amount.text}': a grant gives something.`);
    }
    const redis = await this.connectToChange({verb: 'Grant more budget to', ids: [id]});
    const journal = this.journal();
    const until = untilAt(await serverTime(redis));
    const grant: Grant = {id: newChangeId(), amount, until, note: this.flags.note ?? ''};
    const what = `the budget of session '${nameOf(id)}' was changed`;
    const {before, after} = await changeKnown(redis, id, grantChange(grant), {journal, what});
    const [previous, budget] = [before.budget, after.budget].map(moneyOf);
    this.print(
      `✓ Session '${nameOf(id)}' granted ${describeGrant(grant)}`,
      `Budget: ${formatExactMoney(budget ?? ZERO)}`,
    );
    this.afterChange(journal);
    return {
      session_id: nameOf(id),
      ...toGrantJson(grant),
      budget: budget ?? null,
      previous_budget: previous ?? null,
      change_id: journal?.change ?? null,
    };
  }

  /** Reads the flags before connecting. */
  private readEnd(): (now: Date) => Date | null {
    const {for: length, until} = this.flags;
    if (length !== undefined) {
      const seconds = parseDuration(length);
      return (now) => new Date(now.getTime() + seconds * 1000);
    }
    if (until === undefined) return () => null;
    const end = parseTypedTime(until);
    return (now) => {
      if (end > now) return end;
      throw new TokengateError('INVALID_TIME', `The end of the grant, ${end.toISOString()}, is in the past.`);
    };
  }
}
