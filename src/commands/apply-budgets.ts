import {Flags} from '@oclif/core';

import {describeWithNote, toChangeJson} from '../cli/batches/budget-differences.js';
import {BatchCommand, type BatchStep} from '../cli/oclif/batch-command.js';
import {FILE, readBudgetFiles, readFlagFile} from '../cli/oclif/budget-files.js';
import {reportFlags} from '../cli/oclif/flags.js';
import {countOf, formatCount} from '../cli/text/words.js';
import {compare} from '../lib/budget-files/compare.js';
import {decide, NOTHING} from '../lib/budget-files/decide.js';
import {isUsedUp} from '../lib/budget-files/describe.js';
import {readPlan, refuseOtherServer} from '../lib/budget-files/plan-file.js';
import type {Budgets} from '../lib/budget-files/wanted.js';
import {previewBatch} from '../lib/change/batch.js';
import type {Change} from '../lib/change/change.js';
import {describeEnd, FOREVER} from '../lib/gateway/freeze.js';
import {explainUsedUp} from '../lib/gateway/session.js';
import type {Journal} from '../lib/journal/entry.js';
import {type BudgetFileChange, budgetFileChange, type Planned} from '../lib/operations/budget-file.js';
import {type Freeze, freezeChange, freezeLook} from '../lib/operations/freeze.js';
import {type Left, leftOfBudget, LOOKS} from '../lib/operations/lasting.js';
import type {Redis} from '../lib/redis/contract.js';
import {TokengateError} from '../lib/values/errors.js';
import type {RawId} from '../lib/values/session-id.js';

const UNLISTED = ['keep', 'zero', 'freeze'] as const;
const FREEZE_REASON = 'Not in the budget file';

type Applied = BudgetFileChange | Freeze;

/** What will be done, as far as the question says it. */
interface Counts {
  listed: number;
  unlisted: number;
}

export default class ApplyBudgets extends BatchCommand<typeof ApplyBudgets> {
  static override summary = 'Apply a file of budgets to Redis';
  static override description = `Sets the budgets and renewals that a file lists (see export-budgets), each session in one atomic step, after one question. Whatever the file leaves out stays as it is. Applying a file again changes nothing. One run is one change, which undo-change undoes as a whole.

Mistakes in the file are reported with their lines; if there are any, nothing is changed.

Nothing is ever deleted: a session without a budget gets the gateway's default, so deleting one would give money away. For sessions that are in the scope of the file but not listed, --unlisted zero sets the budget to 0 and ends renewals and grants, and --unlisted freeze freezes them without end.

If a session had no budget, a request that is under way can write the gateway's default over its first one. The command therefore looks again: if that has happened, it warns and exits with 1.

--plan applies a plan of diff-budgets. A session that has changed since the plan was made is refused (CHANGED_SINCE); the others go on.`;
  static group = 'Files';
  static override examples = [
    {description: 'Apply a file', command: '<%= config.bin %> <%= command.id %> -f budgets.yaml'},
    {description: 'Apply a file from CI', command: '<%= config.bin %> <%= command.id %> -f budgets.yaml --yes --quiet'},
    {
      description: 'Freeze sessions that the file no longer lists',
      command: '<%= config.bin %> <%= command.id %> -f budgets.yaml --unlisted freeze',
    },
  ];
  static related = ['diff-budgets', 'export-budgets', 'undo-change'];

  static override flags = {
    file: Flags.string({...FILE, exactlyOne: ['file', 'plan']}),
    plan: Flags.string({
      description: 'Plan from diff-budgets --out; - for stdin',
      exactlyOne: ['file', 'plan'],
      helpValue: 'FILE',
    }),
    unlisted: Flags.option({
      options: UNLISTED,
      description: 'What to do with sessions in the scope of the file that it does not list (default: keep)',
      helpGroup: 'SELECTION',
    })(),
    ...reportFlags,
  };

  async run(): Promise<void> {
    const {file, plan, unlisted = 'keep'} = this.flags;
    if (plan !== undefined && unlisted !== 'keep') {
      throw new TokengateError('INVALID_USAGE', '--unlisted goes with -f: a plan already lists every change.');
    }
    const isJson = this.jsonEnabled();
    const wanted =
      plan === undefined ? await readBudgetFiles(file ?? [], {isJson}) : readPlan(await readFlagFile(plan));
    if (unlisted !== 'keep' && 'scopes' in wanted && wanted.scopes.includes(undefined)) {
      throw new TokengateError('NO_SCOPE', `--unlisted ${unlisted} needs a scope in each file.`, {
        hint: `Add a scope to the file, such as scope: ['team:*'].`,
      });
    }
    const journal = this.journal();
    const counts: Counts = {listed: 0, unlisted: 0};
    await this.runSteps<Applied>(
      {
        verb: 'change',
        question: () => describeQuestion(counts, unlisted),
        done: 'changed',
        describe,
        problems: warnOfUsedUp,
        toJson,
        secondLook: {afterMs: LOOKS, leftBy},
      },
      async (redis, now) => {
        const recorded = journal && {...journal, began: now};
        if ('scopes' in wanted) return this.findSteps(redis, wanted, now, recorded, counts);
        refuseOtherServer(wanted, redis.server);
        return [toStep(wanted.sessions, recorded, {isBound: true})];
      },
    );
  }

  private async findSteps(
    redis: Redis,
    budgets: Budgets,
    now: Date,
    journal: Journal | undefined,
    counts: Counts,
  ): Promise<BatchStep<Applied>[]> {
    const {unlisted = 'keep'} = this.flags;
    const planned = new Map<RawId, Planned>();
    const toFreeze: RawId[] = [];
    let same = 0;
    for await (const page of compare(redis, budgets, now, {withUnlisted: unlisted !== 'keep'})) {
      same += page.same;
      for (const difference of page.differences) {
        const {id, held} = difference;
        if (difference.state === 'differs') planned.set(id, difference);
        else if (difference.state === 'failed') {
          const {wanted} = difference;
          if (wanted !== undefined) planned.set(id, {held, wanted});
        } else if (unlisted === 'freeze') toFreeze.push(id);
        else if (decide(held, NOTHING, now).state === 'unchanged') same++;
        else {
          planned.set(id, {held, wanted: NOTHING});
          counts.unlisted++;
        }
      }
    }
    counts.listed = planned.size - counts.unlisted;
    const step = {...toStep(planned, journal, {isBound: false}), same};
    if (unlisted !== 'freeze') return [step];
    const open = await findOpen(redis, toFreeze, freezeAt(now));
    counts.unlisted = open.length;
    const ofFreeze = {
      selected: {ids: open, missing: []},
      change: freezeAt,
      journal,
      same: toFreeze.length - open.length,
    };
    return [step, ofFreeze] as BatchStep<Applied>[];
  }
}

function toStep(
  planned: ReadonlyMap<RawId, Planned>,
  journal: Journal | undefined,
  options: {isBound: boolean},
): BatchStep<Applied> {
  return {
    selected: {ids: [...planned.keys()], missing: []},
    change: (now) => budgetFileChange(planned, now, options),
    journal,
  };
}

function freezeAt(now: Date): Change<Freeze> {
  return freezeChange({reason: FREEZE_REASON, until: FOREVER, now, force: false});
}

/** The sessions that a change would change, or refuse to. */
async function findOpen(redis: Redis, ids: readonly RawId[], change: Change<Freeze>): Promise<RawId[]> {
  const open: RawId[] = [];
  let index = 0;
  for await (const previews of previewBatch(redis, ids, change)) {
    for (const {state} of previews) {
      const id = ids[index++];
      if (state !== 'unchanged' && id !== undefined) open.push(id);
    }
  }
  return open;
}

/** The part before the number of all sessions; names those that the file does not list. */
function describeQuestion({listed, unlisted}: Counts, what: (typeof UNLISTED)[number]): string {
  if (unlisted === 0) return 'Change';
  const verb = what === 'zero' ? 'Set the budget to 0 of' : 'Freeze';
  const others = listed === 0 ? '' : ` and change ${countOf(listed, 'session')}`;
  return `${verb} ${formatCount(unlisted)} not listed${others}, in all`;
}

function leftBy(applied: Applied): readonly Left[] {
  if ('isKept' in applied) return freezeLook.leftBy(applied);
  return leftOfBudget(applied.key, {before: applied.before.budget, after: applied.after.budget});
}

function describe(applied: Applied): string {
  if ('isKept' in applied) return `frozen ${describeEnd(applied.until)} (${applied.reason ?? 'no reason'})`;
  return describeWithNote(applied.before, applied.after, applied.note);
}

/** A budget that is spent already blocks the session. */
function warnOfUsedUp(applied: Applied): string[] {
  if ('isKept' in applied || !applied.isListed) return [];
  const {id, before, after, spent} = applied;
  const {budget} = after;
  if (budget.state !== 'money' || !isUsedUp(before, after, spent)) return [];
  return [`${explainUsedUp(id, spent, budget.amount)}.`];
}

function toJson(applied: Applied): Record<string, unknown> {
  if (!('isKept' in applied)) return toChangeJson(applied);
  return {freeze_reason: applied.reason, frozen_until: applied.until};
}
