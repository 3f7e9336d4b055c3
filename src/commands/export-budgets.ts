import {Flags} from '@oclif/core';

import {FILE_FORMATS, writeBudgets} from '../cli/batches/budget-file.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag, matchFlag, whereFlag} from '../cli/oclif/flags.js';
import {replaceWithPieces} from '../cli/terminal/replace-file.js';
import {countOf} from '../cli/text/words.js';
import {makeSchema} from '../lib/budget-files/schema.js';
import {readHeld} from '../lib/budget-files/state.js';
import {toWritten, type WrittenSession} from '../lib/budget-files/written.js';
import {BUDGET_KEYS} from '../lib/gateway/keys.js';
import type {Redis} from '../lib/redis/contract.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseFilter} from '../lib/sessions/filter.js';
import {selectIds} from '../lib/sessions/select.js';
import {TokengateError} from '../lib/values/errors.js';
import {nameOf} from '../lib/values/session-id.js';

export default class ExportBudgets extends BaseCommand<typeof ExportBudgets> {
  static override summary = 'Write the budgets of sessions as a file for apply-budgets';
  static override description = `Lists every session that has a budget, sorted by ID, and how it renews. Budgets do not include grants or what a renewal carried over, and the file never holds spending. The same budgets always give the same bytes.

A budget that no file can hold, such as "nan" or a negative one, is left out with a warning. Its session is listed without a budget, so that apply-budgets leaves it alone.

With --match, the scope of the file is the sessions that match. --schema prints a JSON Schema of the file for your editor: save it as budgets.schema.json beside the file.`;
  static group = 'Files';
  static override examples = [
    {description: 'Write all budgets to a file', command: '<%= config.bin %> <%= command.id %> --out budgets.yaml'},
    {
      description: 'The budgets of a team, as JSON',
      command: `<%= config.bin %> <%= command.id %> --match 'team:*' --format json`,
    },
    {description: 'The JSON Schema of the file', command: '<%= config.bin %> <%= command.id %> --schema'},
  ];
  static related = ['diff-budgets', 'apply-budgets'];

  static override flags = {
    match: matchFlag,
    where: whereFlag,
    format: formatFlag(FILE_FORMATS, {
      description: 'Format of the file; --json is short for --format json',
      helpGroup: 'OUTPUT',
    }),
    out: Flags.string({
      description: 'Write to a file, which is replaced in one step',
      helpGroup: 'OUTPUT',
      helpValue: 'FILE',
    }),
    schema: Flags.boolean({
      description: 'Print the JSON Schema of the file instead',
      exclusive: ['match', 'where', 'format'],
      helpGroup: 'OUTPUT',
    }),
  };

  async run(): Promise<void> {
    const {out, schema} = this.flags;
    const problems: string[] = [];
    const refusals: TokengateError[] = [];
    const pieces = schema ? [`${JSON.stringify(makeSchema(), null, 2)}\n`] : await this.export(problems, refusals);
    if (out === undefined) await this.write(pieces);
    else await replaceWithPieces(out, pieces);
    const [first] = refusals;
    if (first !== undefined) {
      const message = `The file is not complete: it lacks the budgets of ${countOf(refusals.length, 'session')}. ${first.message}`;
      throw new TokengateError('EXPORT_INCOMPLETE', message, {hint: first.hint});
    }
    this.warnAll(problems);
  }

  private async export(problems: string[], refusals: TokengateError[]): Promise<AsyncIterable<string>> {
    const {match, where, json, format = json ? 'json' : 'yaml'} = this.flags;
    const filter = where === undefined ? undefined : parseFilter(where);
    if (match === '') throw new TokengateError('INVALID_USAGE', 'The glob of --match is empty.');
    const redis = await this.connect();
    const now = await serverTime(redis);
    const {ids} = await selectIds(redis, {ids: [], all: true, match, where: filter}, BUDGET_KEYS, now);
    if (ids.length === 0) await this.adviseGlob();
    // The file is not responsible for sessions that a filter leaves out.
    const scope = where === undefined ? match : undefined;
    return writeBudgets(readWritten(redis, ids, problems, refusals), {format, scope});
  }
}

async function* readWritten(
  redis: Redis,
  ids: Parameters<typeof readHeld>[1],
  problems: string[],
  refusals: TokengateError[],
): AsyncGenerator<WrittenSession[]> {
  for await (const page of readHeld(redis, ids)) {
    const sessions = page.flatMap((reading) => toWritten(reading) ?? []);
    for (const {id, problems: own, refusal} of sessions) {
      if (refusal !== undefined) refusals.push(refusal);
      problems.push(...own.map((problem) => `Session '${nameOf(id)}': ${problem}.`));
    }
    yield sessions;
  }
}
