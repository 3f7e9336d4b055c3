import fc from 'fast-check';
import {expect, test} from 'vitest';

import {isPlainAmount, toAmountTexts} from '../../../../src/lib/gateway/amount-texts.js';
import {toSession} from '../../../../src/lib/gateway/session.js';
import {toStoredAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {rawId} from '../../../../src/lib/values/session-id.js';

const amount = fc.oneof(
  fc.stringMatching(/^\d{1,18}$/),
  fc.stringMatching(/^\d{1,4}\.\d{1,28}$/),
  fc.stringMatching(/^0{0,3}[0-9]?\.[05]{1,20}$/).filter((text) => !text.startsWith('.')),
  fc.constantFrom('0', '0.0', '000', '10.0', '999999999999999999', '0.0000000000000000000000000001'),
);

test('plain amounts have the digits of the numbers that a session has', () => {
  fc.assert(
    fc.property(amount, fc.option(amount), (budget, spent) => {
      expect([budget, spent ?? '0'].every(isPlainAmount)).toBe(true);
      const session = toSession(rawId('a'), {budget: toStoredAmount(budget), spent: toStoredAmount(spent ?? false)});
      const {remaining, percentageUsed} = session;
      const numbers = [session.budget, session.spent, remaining, percentageUsed].map(String);
      expect(toAmountTexts(budget, spent)).toEqual(numbers);
    }),
    {numRuns: 3000},
  );
});

test('whatever else the gateway may read is not plain', () => {
  const others = [
    '',
    '-1',
    '+1',
    '.5',
    '5.',
    '1e3',
    ' 5',
    '5\n',
    '1_000',
    '٣',
    'NaN',
    '1'.repeat(19),
    `0.${'1'.repeat(29)}`,
  ];
  for (const text of [...others, null, undefined, new Error('NOPERM')]) expect(isPlainAmount(text)).toBe(false);
});
