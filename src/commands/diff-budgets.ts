import {Flags} from '@oclif/core';

import {DIFF_FORMATS, type DifferenceCounts, renderDifferences} from '../cli/batches/budget-differences.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {FILE, readBudgetFiles} from '../cli/oclif/budget-files.js';
import {formatFlag} from '../cli/oclif/flags.js';
import {replaceFile} from '../cli/terminal/replace-file.js';
import {stringifyJson} from '../cli/text/json.js';
import {compare, type Comparison, withSpent} from '../lib/budget-files/compare.js';
import {VERSION} from '../lib/budget-files/fields.js';
import {planServer, toPlanJson} from '../lib/budget-files/plan-file.js';
import type {Redis} from '../lib/redis/contract.js';
import {serverTime} from '../lib/redis/server-time.js';
import {TokengateError} from '../lib/values/errors.js';

export default class DiffBudgets extends BaseCommand<typeof DiffBudgets> {
  static override summary = 'Show what apply-budgets would change';
  static override description = `Compares Redis with a file of budgets (see export-budgets): ~ a session whose budget or renewal would change, + one that would get a budget, ? one that the file does not list. Changes nothing.

The exit code is 2 if anything would change. With --strict, sessions that the file does not list count too; if the file has a scope, only those in it.

--out writes a plan that includes the present values. apply-budgets --plan applies exactly this plan, and refuses a session that has changed since.`;
  static group = 'Files';
  static override examples = [
    {description: 'What would change?', command: '<%= config.bin %> <%= command.id %> -f budgets.yaml'},
    {
      description: 'Make a plan to apply later',
      command: '<%= config.bin %> <%= command.id %> -f budgets.yaml --out plan.json',
    },
  ];
  static related = ['export-budgets', 'apply-budgets'];
  static exitCodes = {2: 'There are differences'};

  static override flags = {
    file: Flags.string({...FILE, required: true}),
    strict: Flags.boolean({description: 'Count sessions that the file does not list as differences'}),
    format: formatFlag(DIFF_FORMATS, {helpGroup: 'OUTPUT'}),
    out: Flags.string({
      description: 'Write a plan for apply-budgets --plan to a file, which is replaced in one step',
      helpGroup: 'OUTPUT',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<void> {
    const {file, strict, json, format = json ? 'json' : 'text', out} = this.flags;
    const budgets = await readBudgetFiles(file, {isJson: this.jsonEnabled()});
    const redis = await this.connect();
    const counts: DifferenceCounts = {change: 0, unlisted: 0, same: 0, failed: 0};
    const plan: string[] = [];
    const now = await serverTime(redis);
    const compared = compare(redis, budgets, now, {withUnlisted: true});
    const watched = out === undefined ? compared : collectPlan(compared, plan);
    await this.write(renderDifferences(withSpent(redis, watched), {format, counts}));
    if (out !== undefined && counts.failed === 0) await replaceFile(out, toPlan(redis, now, plan));
    if (counts.failed > 0) {
      const what = counts.failed === 1 ? 'A session' : `${counts.failed} sessions`;
      throw new TokengateError('DIFF_INCOMPLETE', `${what} cannot be compared.`, {
        hint: 'See why with: tokengate check-store',
      });
    }
    if (counts.change > 0 || (strict && counts.unlisted > 0)) this.endWithFinding();
  }
}

async function* collectPlan(comparisons: AsyncIterable<Comparison>, plan: string[]): AsyncGenerator<Comparison> {
  for await (const comparison of comparisons) {
    for (const difference of comparison.differences) {
      if (difference.state === 'differs') plan.push(stringifyJson(toPlanJson(difference)));
    }
    yield comparison;
  }
}

function toPlan({server}: Redis, made: Date, changes: readonly string[]): string {
  const head = `"version": ${VERSION},\n  "server": ${stringifyJson(planServer(server))},\n  "made": ${stringifyJson(made)}`;
  return `{\n  ${head},\n  "changes": [${changes.map((change) => `\n    ${change}`).join(',')}\n  ]\n}\n`;
}
