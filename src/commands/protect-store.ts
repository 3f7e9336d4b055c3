import {Args, Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, journalFlags} from '../cli/oclif/flags.js';
import {changeKnown} from '../lib/change/apply.js';
import {checkName} from '../lib/contexts/config.js';
import {STORE_ID} from '../lib/gateway/keys.js';
import {protectChange} from '../lib/operations/store.js';
import {TokengateError} from '../lib/values/errors.js';

interface StoreJson {
  store: string | null;
  previous_store: string | null;
  /** Null when nothing was changed, or without a journal. */
  change_id: string | null;
}

export default class ProtectStore extends BaseCommand<typeof ProtectStore> {
  static override summary = 'Make every change ask for the name of this Redis';
  static override description = `Writes a name into Redis (tokengate:store). From then on every change asks you to type that name, on every machine, whatever URL or context you use. In a script, only --confirm with the name answers the question.

The commands for cron ask nothing: renew-budgets, record-spending and check-sessions.

This prevents mistakes, not attacks: anyone who may write to Redis can remove the protection, and other programs ignore it.`;
  static group = 'Set-up';
  static override examples = [
    {
      description: 'Protect production',
      command: '<%= config.bin %> --redis-url redis://prod-redis:6379 <%= command.id %> prod',
    },
    {description: 'Remove the protection', command: '<%= config.bin %> <%= command.id %> --remove --confirm prod'},
  ];
  static related = ['add-context', 'health', 'list-changes'];

  static override args = {
    name: Args.string({description: 'Name of this Redis, to type before every change', ignoreStdin: true}),
  };
  static override flags = {
    remove: Flags.boolean({description: 'Remove the protection'}),
    ...journalFlags,
    format: answerFormatFlag(),
  };

  async run(): Promise<StoreJson> {
    const name = this.readName();
    const redis = await this.connectToChange({verb: name === null ? 'Unprotect' : 'Protect', ids: [STORE_ID]});
    const journal = this.journal();
    const what = 'the protection of the store was changed';
    const {before, after} = await changeKnown(redis, STORE_ID, protectChange(name), {journal, what});
    const isChanged = before !== after;
    if (!isChanged)
      this.print(after === null ? 'The store is not protected' : `The store is protected as '${after}' already`);
    else if (after === null) this.print(`✓ The store is no longer protected; it was '${before ?? ''}'`);
    else this.print(`✓ The store is protected as '${after}'`);
    if (isChanged) this.afterChange(journal);
    return {store: after, previous_store: before, change_id: isChanged ? (journal?.change ?? null) : null};
  }

  private readName(): string | null {
    const {name} = this.args as {name?: string};
    if ((name === undefined) !== this.flags.remove) {
      throw new TokengateError('INVALID_USAGE', 'Give either a name or --remove.');
    }
    if (name === undefined) return null;
    checkName(name);
    return name;
  }
}
