import {expect, test} from 'vitest';

import {decide, type ToWrite} from '../../../../src/lib/budget-files/decide.js';
import type {Wanted} from '../../../../src/lib/budget-files/wanted.js';
import {budgetFileChange} from '../../../../src/lib/operations/budget-file.js';
import {parseAmount} from '../../../../src/lib/values/money.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';

test('a new period begins when it is written, not when the question was asked', () => {
  const [asked, answered] = [new Date('2026-03-01T09:00:00Z'), new Date('2026-03-01T09:05:00Z')];
  const id = parseSessionId('my-workflow');
  const amount = parseAmount('50');
  const wanted: Wanted = {
    budget: amount,
    period: {every: 'month', timezone: 'UTC', at: '00:00', on: 1, amount, rollover: 'none', maxRollover: null},
    note: '',
  };
  const held = [false, false, '10.0'];
  const decision = decide(held, wanted, asked) as ToWrite;
  expect(decision.next.period?.renewed).toBe(asked);
  const change = budgetFileChange(new Map([[id, {held, wanted, decision}]]), answered, {isBound: false});
  const sent = (change.pack?.([id]) ?? []).join('\n');
  expect(sent).toContain(answered.toISOString());
  expect(sent).not.toContain(asked.toISOString());
  expect(change.read(id, 'done', [...held, '1'])).toMatchObject({
    state: 'done',
    result: {after: {period: {renewed: answered}, budget: {text: '50'}}},
  });
});
