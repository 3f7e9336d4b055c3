import fc from 'fast-check';
import {expect, test} from 'vitest';

import {type ColumnName, defaultColumns, renderPrinted} from '../../../../src/cli/views/sessions.js';
import {NOT_FROZEN} from '../../../../src/lib/gateway/freeze.js';
import {toSession} from '../../../../src/lib/gateway/session.js';
import {toStoredAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {toPlain} from '../../../../src/lib/sessions/plain.js';
import type {Row} from '../../../../src/lib/sessions/read.js';
import {parseSessionId, rawId} from '../../../../src/lib/values/session-id.js';
import {anyCharacter} from '../../../support/fuzz.js';

const id = fc
  .oneof(
    fc.string({unit: anyCharacter, minLength: 1}),
    fc.constantFrom('=1+1', '{x', 'a,b', 'a"b', 'a\nb', '\ufeffa', 'é'),
  )
  .map(parseSessionId);
const amount = fc.constantFrom('0', '10.0', '25.5', '3', '1.40679957664999999982');
const columns = fc.oneof(
  fc.constant(defaultColumns('ndjson', false)),
  fc.uniqueArray(fc.constantFrom<ColumnName>('id', 'budget', 'spent', 'remaining', 'used', 'frozen', 'until'), {
    minLength: 1,
  }),
);
const row = (key: Row['id'], budget: unknown, spent: unknown): Row => ({
  id: key,
  budget,
  spent,
  until: null,
  reason: null,
});

test('a plain session is written like any other, in each format', async () => {
  await fc.assert(
    fc.asyncProperty(
      id,
      amount,
      fc.option(amount),
      columns,
      fc.boolean(),
      async (key, budget, spent, names, isTerminal) => {
        const plain = toPlain(row(key, budget, spent));
        const amounts = {budget: toStoredAmount(budget), spent: toStoredAmount(spent ?? false)};
        const whole = toSession(key, amounts, {...NOT_FROZEN, problems: []});
        expect(plain).toMatchObject({id: whole.id, key: whole.key});
        for (const format of ['json', 'ndjson', 'csv', 'ids'] as const) {
          const view = {format, columns: names, isTerminal, totals: false, none: '', nul: false, leftOut: []};
          const render = async (session: typeof whole | typeof plain): Promise<string> => {
            const pages = (async function* () {
              yield await Promise.resolve(session === undefined ? [] : [session, session]);
            })();
            let text = '';
            for await (const piece of renderPrinted(pages, {...view, onTotals: () => undefined})) text += piece;
            return text;
          };
          expect(await render(plain)).toBe(await render(whole));
        }
      },
    ),
    {numRuns: 300},
  );
});

test('what needs judgement is not plain', () => {
  expect(toPlain(row(rawId('a'), 'x', null))).toBeUndefined();
  expect(toPlain(row(rawId('a'), '1', 'NaN'))).toBeUndefined();
  expect(toPlain(row(rawId('a'), null, null))).toBeUndefined();
  expect(toPlain(row(rawId('\xff'), '1', null))).toBeUndefined();
  expect(toPlain({...row(rawId('a'), '1', null), until: '2099-01-01T00:00:00'})).toBeUndefined();
});
