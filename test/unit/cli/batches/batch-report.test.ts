import {expect, test} from 'vitest';

import {BatchReport} from '../../../../src/cli/batches/batch-report.js';
import type {Outcome} from '../../../../src/lib/change/batch.js';

const done = (id: string): Outcome<string> => ({id, state: 'done', result: id});
const notDone = (id: string): Outcome<string> => ({id, state: 'not_done', cause: undefined});

test.each([
  [[done('a'), notDone('b'), notDone('c')], "Reset 1, not done 2. Not done from 'b' on, in the order of the IDs."],
  [[done('a'), notDone('b'), done('c')], 'Reset 2, not done 1.'],
])('a batch says where it ended only if it did so in the order of the IDs', async (outcomes, message) => {
  const wording = {verb: 'reset', done: 'reset', describe: String, toJson: () => ({})};
  const report = new BatchReport<string>(wording, {format: 'text', quiet: true, dryRun: false});
  for (const outcome of outcomes) await report.add([outcome]);
  await expect(report.close()).rejects.toMatchObject({message});
});
