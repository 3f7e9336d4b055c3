import {Flags} from '@oclif/core';

import {BatchCommand} from '../cli/oclif/batch-command.js';
import {batchFlags, secondLookFlag, sessionIdsArg} from '../cli/oclif/flags.js';
import type {SecondLookJson} from '../cli/views/second-look.js';
import {previewBatch} from '../lib/change/batch.js';
import {BUDGET_KEYS} from '../lib/gateway/keys.js';
import {
  describeRemoved,
  type Reset,
  resetChange,
  resetLook,
  resetSession,
  sumOfGrants,
} from '../lib/operations/reset.js';
import {describeServer} from '../lib/redis/describe-server.js';
import {type Money, parseStoredMoney} from '../lib/values/money.js';
import {nameOf, type RawId, sessionNotFound} from '../lib/values/session-id.js';

/** Null when there was none. A string when it was not money. */
type Removed = Money | string | null;

interface ResetJson {
  session_id: string;
  removed_budget: Removed;
  removed_spent: Removed;
  /** The sum of its grants in USD, null if they cannot be read; missing where there were none. */
  removed_grants?: Money | null;
  /** Null when there was nothing to look for, or with --no-second-look. */
  second_look: SecondLookJson | null;
  /** Null when nothing was changed, or without a journal. */
  change_id: string | null;
}

export default class ResetSession extends BatchCommand<typeof ResetSession> {
  static override summary = 'Remove the budget and spending of sessions';
  static override description = `Asks first. Budget and spending are removed in one atomic step, and what was removed is shown. Grants go with the budget that they added to; a period stays.

A request that is under way can write the old spending back. The command therefore looks again after 0.1 and 0.5 seconds. If the spending has jumped by at least the removed amount, it takes exactly that amount off again, and warns. If less than half of the budget was removed, new requests may have cost as much: then it only warns.

A session without a budget gets the gateway's default at its next request; --keep-budget keeps the present budget.

Named IDs, IDs on stdin and --all are merged and deduplicated, then filtered by --match and --where. With --match or --where alone, all sessions are filtered.`;
  static group = 'Budgets';
  static override examples = [
    {description: 'Reset a session after a question', command: '<%= config.bin %> <%= command.id %> my-workflow'},
    {description: 'Reset from a script or cron', command: '<%= config.bin %> <%= command.id %> test-session --yes'},
    {
      description: 'Start a new period with the same budgets',
      command: '<%= config.bin %> <%= command.id %> --all --keep-budget',
    },
    {
      description: 'Preview a batch',
      command: `<%= config.bin %> <%= command.id %> --match 'test-*' --dry-run`,
    },
  ];
  static related = ['list-sessions', 'add-budget', 'undo-change'];

  static override args = {session_id: sessionIdsArg};
  static override flags = {
    'keep-budget': Flags.boolean({description: 'Remove only the spending'}),
    'no-second-look': secondLookFlag,
    ...batchFlags,
  };

  async run(): Promise<ResetJson | undefined> {
    if (this.single !== undefined) return this.resetOne(this.single);
    const keepBudget = this.flags['keep-budget'];
    await this.changeMany<Reset>({
      verb: 'reset',
      done: 'reset',
      universe: BUDGET_KEYS,
      change: () => resetChange({keepBudget}),
      describe: describeRemoved,
      toJson: toRemovedJson,
      secondLook: this.flags['no-second-look'] ? null : resetLook,
    });
    return undefined;
  }

  private async resetOne(id: RawId): Promise<ResetJson> {
    if (!this.isAnswered) await this.ask(id);
    const redis = await this.connectToChange({verb: 'Reset', ids: [id]});
    const journal = this.journal();
    const reset = await resetSession(redis, id, {keepBudget: this.flags['keep-budget']}, journal);
    this.render(reset);
    if (!isNothing(reset)) this.afterChange(journal);
    const isWanted = reset.spent !== null && !this.flags['no-second-look'];
    const secondLook = await this.lookAgain(redis, resetLook, {result: reset, journal, isWanted});
    const change = isNothing(reset) ? undefined : journal?.change;
    return {session_id: reset.id, ...toRemovedJson(reset), second_look: secondLook, change_id: change ?? null};
  }

  /** Asks with everything that the answer depends on; an unknown session was refused before. */
  private async ask(id: RawId): Promise<void> {
    this.beginChange();
    this.refuseWithoutAnswer();
    const redis = await this.connect();
    const keepBudget = this.flags['keep-budget'];
    for await (const [preview] of previewBatch(redis, [id], resetChange({keepBudget}))) {
      if (preview?.state === 'not_found') throw sessionNotFound(id);
      const next = keepBudget ? 'Its budget stays' : "Its next request gets the gateway's default budget";
      // The server would close a connection that waits for a person.
      redis.close();
      const facts = `Session '${nameOf(id)}' on ${describeServer(redis.server)}: ${preview?.now ?? ''}.`;
      await this.confirm(`${facts} ${next}. Reset it?`, redis.server);
    }
  }

  private render(reset: Reset): void {
    if (isNothing(reset)) this.print(`Session '${reset.id}' unchanged: it has no spending`);
    else this.print(`✓ Session '${reset.id}' reset`, `Removed: ${describeRemoved(reset)}`);
  }
}

/** Only when the budget was kept: a session without both is not found. */
function isNothing({budget, spent}: Reset): boolean {
  return budget === null && spent === null;
}

function toRemovedJson({
  budget,
  spent,
  grants,
}: Reset): Pick<ResetJson, 'removed_budget' | 'removed_spent' | 'removed_grants'> {
  const toJson = (removed: string | null): Removed =>
    removed === null ? null : (parseStoredMoney(removed) ?? removed);
  const sum = sumOfGrants(grants);
  return {
    removed_budget: toJson(budget),
    removed_spent: toJson(spent),
    ...(sum === undefined ? {} : {removed_grants: sum}),
  };
}
