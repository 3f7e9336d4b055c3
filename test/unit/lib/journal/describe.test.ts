import {describe, expect, test} from 'vitest';

import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  IDENTICAL_COUNT_KEYS,
  type KeyShape,
  PERIOD_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../../../../src/lib/gateway/keys.js';
import type {Held} from '../../../../src/lib/gateway/stored-value.js';
import {describeChanged, describeHeld, describeKeys} from '../../../../src/lib/journal/describe.js';
import {heldOf, type KeyRecord, type Value} from '../../../../src/lib/journal/entry.js';

/** A text as it is kept: one character a byte. */
const bytes = (text: string): string => Buffer.from(text).toString('latin1');
const text = (value: string, ttl = -1): Value => ({kind: 'text', text: bytes(value), ttl});
const DUMP: Value = {kind: 'dump', text: '\u0000', ttl: -1};
const RENEWED =
  '{"every":"month","timezone":"Europe/Berlin","at":"00:00","on":1,"amount":"50","rollover":"unused","max_rollover":"20","renewed":"2026-11-01T00:00:03.000Z","carried":"5"}';
const GRANTS =
  '[{"id":"a","amount":"5","until":"2026-12-01T00:00:00.000Z","note":"x"},{"id":"b","amount":"2.5","until":null,"note":""}]';
const END = '2026-11-22T17:00:00.000';

describe('what keys hold', () => {
  test.each<[string, [KeyShape, Held][]]>([
    ['nothing', []],
    [
      'budget $25.50, spent none',
      [
        [BUDGET_KEYS, '25.5'],
        [SPENT_KEYS, false],
      ],
    ],
    ['budget of a wrong Redis type', [[BUDGET_KEYS, true]]],
    ["spent 'ü'", [[SPENT_KEYS, bytes('ü')]]],
    [
      'frozen until 2026-11-22 17:00:00 UTC (Bot ∞)',
      [
        [FROZEN_UNTIL_KEYS, END],
        [FREEZE_REASON_KEYS, bytes('Bot ∞')],
      ],
    ],
    ['frozen until 2026-11-22 17:00:00 UTC (no reason)', [[FROZEN_UNTIL_KEYS, END]]],
    [
      'frozen until 2026-11-22 17:00:00 UTC (no reason)',
      [
        [FROZEN_UNTIL_KEYS, END],
        [FREEZE_REASON_KEYS, false],
      ],
    ],
    [
      'frozen without end (of a wrong Redis type)',
      [
        [FROZEN_UNTIL_KEYS, '9999-12-31T23:59:59'],
        [FREEZE_REASON_KEYS, true],
      ],
    ],
    [
      "frozen until 'soon' (Bot)",
      [
        [FROZEN_UNTIL_KEYS, 'soon'],
        [FREEZE_REASON_KEYS, 'Bot'],
      ],
    ],
    [
      `frozen until '${END}Z' (Bot)`,
      [
        [FROZEN_UNTIL_KEYS, `${END}Z`],
        [FREEZE_REASON_KEYS, 'Bot'],
      ],
    ],
    [
      'frozen until of a wrong Redis type (Bot)',
      [
        [FROZEN_UNTIL_KEYS, true],
        [FREEZE_REASON_KEYS, 'Bot'],
      ],
    ],
    [
      'not frozen, budget $1.00',
      [
        [FROZEN_UNTIL_KEYS, false],
        [FREEZE_REASON_KEYS, 'Bot'],
        [BUDGET_KEYS, '1'],
      ],
    ],
    ["freeze_reason 'Bot'", [[FREEZE_REASON_KEYS, 'Bot']]],
    [
      'identical_count 3, requests:1min none',
      [
        [IDENTICAL_COUNT_KEYS, '3'],
        [REQUEST_COUNT_KEYS, false],
      ],
    ],
    [
      'period every month Europe/Berlin $50.00, and what is left up to $20.00 (since 2026-11-01 00:00:03 UTC with $5.00 carried over)',
      [[PERIOD_KEYS, RENEWED]],
    ],
    ['grants $5.00 until 2026-12-01 00:00:00 UTC and $2.50 until the next renewal', [[GRANTS_KEYS, GRANTS]]],
    [
      "period '{}', grants 'x'",
      [
        [PERIOD_KEYS, '{}'],
        [GRANTS_KEYS, 'x'],
      ],
    ],
  ])('%s', (told, held) => {
    expect(describeKeys(held.map(([shape, old]) => ({shape, held: old})))).toBe(told);
  });
});

describe('what was changed', () => {
  const record = (shape: KeyShape, before: Value, after: Value | undefined): KeyRecord => ({shape, before, after});
  test.each<[string, KeyRecord[]]>([
    ['', []],
    ['', [record(BUDGET_KEYS, text('1'), undefined)]],
    ['budget $20.00 → $25.50', [record(BUDGET_KEYS, text('20'), text('25.5')), record(SPENT_KEYS, DUMP, undefined)]],
    [
      'budget $20.00 → none, spent of a wrong Redis type → $1.00',
      [record(BUDGET_KEYS, text('20'), false), record(SPENT_KEYS, DUMP, text('1'))],
    ],
    [
      'not frozen → frozen until 2026-11-22 17:00:00 UTC (Bot)',
      [record(FROZEN_UNTIL_KEYS, false, text(END, 1000)), record(FREEZE_REASON_KEYS, false, text('Bot', 1000))],
    ],
    [
      'frozen until 2026-11-22 17:00:00 UTC (Bot) → not frozen, last_hash ab → none',
      [
        record(FROZEN_UNTIL_KEYS, text(END), false),
        record(FREEZE_REASON_KEYS, text('Bot'), false),
        record({prefix: 'anomaly:', suffix: ':last_hash'}, text('ab'), false),
      ],
    ],
  ])('%s', (told, records) => {
    expect(describeChanged(records)).toBe(told);
  });
});

test('a value is held as its text, or as one that is no text', () => {
  expect([false, text('a'), DUMP].map((value) => heldOf(value as Value))).toEqual([false, 'a', true]);
});

test('untrusted texts stand in quotes, counters do not', () => {
  expect(describeHeld(FROZEN_UNTIL_KEYS, 'soon')).toBe("'soon'");
  expect(describeHeld(FREEZE_REASON_KEYS, bytes('ü'))).toBe("'ü'");
  expect(describeHeld(IDENTICAL_COUNT_KEYS, '3')).toBe('3');
});
