import {Flags} from '@oclif/core';

import {describeRecorded, undoVerb} from '../cli/batches/questions.js';
import {BatchCommand, type BatchStep} from '../cli/oclif/batch-command.js';
import {changeIdsArg, reportFlags, secondLookFlag} from '../cli/oclif/flags.js';
import {keyName} from '../lib/gateway/keys.js';
import type {Held} from '../lib/gateway/stored-value.js';
import {describeKeys} from '../lib/journal/describe.js';
import {toText} from '../lib/journal/entry.js';
import {findChanges, findLast, type RecordedChange, type Undone, undoChange, undoLook} from '../lib/operations/undo.js';
import type {Redis} from '../lib/redis/contract.js';
import {TokengateError} from '../lib/values/errors.js';

export default class UndoChange extends BatchCommand<typeof UndoChange> {
  static override summary = 'Undo a change';
  static override description = `Restores what a change in the journal (see list-changes) replaced, each session in one atomic step. Asks first.

A session whose values have changed since is refused: the gateway may have spent more, or someone may have changed it. --merge adds what was spent since a reset to what the reset removed, and replaces the default budget that the gateway has set since. --force restores the old values regardless.

A freeze that would be over by now is not restored; any other freeze gets the time it has left. An undo is a change itself and can be undone.

A request that is under way can overwrite what was restored. The command therefore looks again after 0.1 and 0.5 seconds, adds overwritten spending again, and warns.`;
  static group = 'History';
  static override examples = [
    {description: 'Undo a change', command: '<%= config.bin %> <%= command.id %> k7m2q9x4tv'},
    {
      description: 'Undo your last change and keep what was spent since',
      command: '<%= config.bin %> <%= command.id %> --last --merge',
    },
  ];
  static related = ['list-changes'];

  static override args = {change_id: changeIdsArg};
  static override flags = {
    last: Flags.boolean({
      description: 'Your latest change that is not undone (by TOKENGATE_ACTOR, or user@host)',
    }),
    merge: Flags.boolean({description: 'Add what was spent since a reset to what it removed'}),
    force: Flags.boolean({description: 'Restore the old values even if they have changed since'}),
    'no-second-look': secondLookFlag,
    ...reportFlags,
  };

  async run(): Promise<void> {
    const {change_id: ids = []} = this.args as {change_id?: string[]};
    const {last} = this.flags;
    if (ids.length > 0 === last) {
      throw new TokengateError('INVALID_USAGE', 'Name either changes or --last.', {
        hint: 'See what was changed with: tokengate list-changes',
      });
    }
    const wording = {
      verb: 'undo',
      done: 'undone',
      question: 'Undo',
      describe: ({keys}: Undone) => (keys.length === 0 ? 'already as it was' : describeKeys(keys)),
      toJson: toUndoneJson,
      secondLook: this.flags['no-second-look'] ? null : undoLook,
    };
    await this.runSteps<Undone>(wording, async (redis, now) => {
      const changes = last ? [await this.findLast(redis, now)] : await findChanges(redis, ids);
      wording.question = undoVerb(changes);
      this.warnAll(changes.flatMap((change) => (change.isWhole ? [] : [describeCut(change)])));
      const previewed = new Map<string, Held>();
      return changes.map((change) => this.toStep(change, now, previewed));
    });
  }

  private async findLast(redis: Redis, now: Date): Promise<RecordedChange> {
    const {change, passed} = await findLast(redis, this.actor, now);
    this.warnAll(
      passed.map((one) => `Nothing is left to undo of ${describeRecorded(one)}; an older change is undone.`),
    );
    return change;
  }

  private toStep(change: RecordedChange, began: Date, previewed: Map<string, Held>): BatchStep<Undone> {
    const {merge, force} = this.flags;
    const journal = this.journal(undefined, change.change);
    const options = {merge, force, as: journal?.change};
    return {
      selected: {ids: [...change.sessions.keys()].sort(), missing: []},
      change: (now) => undoChange(change, {...options, now}, previewed),
      journal: journal && {...journal, began},
      facts: {change_id: change.change},
      changeField: 'undone_by',
    };
  }
}

function describeCut({change}: RecordedChange): string {
  return `The journal no longer has all of change ${change}: its oldest entries were dropped.`;
}

function toUndoneJson({keys}: Undone): Record<string, unknown> {
  const restored = keys.map(({shape, held}) => [keyName(shape), typeof held === 'string' ? toText(held) : null]);
  return {restored: Object.fromEntries(restored) as Record<string, string | null>};
}
