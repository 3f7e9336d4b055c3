import {expect, test} from 'vitest';

import {readSnapshot} from '../../../../scripts/demo/snapshot.mjs';
import {
  alertsKey,
  BUDGET_KEYS,
  JOURNAL_KEY,
  keyName,
  keyOf,
  keysOf,
  REQUEST_COUNT_KEYS,
  SESSION_KEYS,
  SPENT_KEYS,
  VELOCITY_KEYS,
} from '../../../../src/lib/gateway/keys.js';
import {parseSessionId, rawId} from '../../../../src/lib/values/session-id.js';

test('every key that a gateway has written is one of a session, by one shape alone', () => {
  const met = new Set<unknown>();
  for (const {key} of readSnapshot()) {
    const shapes = SESSION_KEYS.filter(({prefix, suffix}) => key.startsWith(prefix) && key.endsWith(suffix));
    expect(shapes, key).toHaveLength(1);
    const {prefix, suffix} = shapes[0]!;
    expect(`${key.split(':')[0]}:`, key).toBe(prefix);
    expect(String(keyOf(shapes[0]!, parseSessionId(key.slice(prefix.length, -suffix.length)))), key).toBe(key);
    met.add(shapes[0]);
  }
  // The gateway empties it with each request.
  expect([...SESSION_KEYS].filter((shape) => !met.has(shape))).toEqual([VELOCITY_KEYS]);
  expect(VELOCITY_KEYS).toEqual({prefix: 'anomaly:', suffix: ':velocity'});
});

test('the keys of several sessions come one session after the other', () => {
  expect(keysOf([BUDGET_KEYS, SPENT_KEYS], [rawId('a'), rawId('b')])).toEqual([
    'session:a:budget',
    'session:a:spent',
    'session:b:budget',
    'session:b:spent',
  ]);
  expect(keysOf([SPENT_KEYS], [])).toEqual([]);
});

test('a key is called what follows the session in it', () => {
  expect([SPENT_KEYS, REQUEST_COUNT_KEYS].map(keyName)).toEqual(['spent', 'requests:1min']);
});

test('keys of our own are none of a session', () => {
  expect([alertsKey(undefined), alertsKey('ops'), JOURNAL_KEY]).toEqual([
    'tokengate:alerts',
    'tokengate:alerts:ops',
    'tokengate:journal',
  ]);
});
