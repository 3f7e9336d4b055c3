import {describe, expect, test} from 'vitest';

import {
  describeAmounts,
  isAbsent,
  readAmounts,
  type StoredAmount,
  toAmount,
  toStoredAmount,
} from '../../../../src/lib/gateway/stored-amount.js';
import {quoteStart} from '../../../../src/lib/gateway/stored-text.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {toPlainDigits} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const ABSENT: StoredAmount = {state: 'absent'};
const WRONG_TYPE: StoredAmount = {state: 'invalid', why: 'of a wrong Redis type'};

describe('an amount', () => {
  test.each([
    ['25.5', '25.5'],
    ['1e-05', '0.00001'],
    ['0.02643664999999999982', '0.02643664999999999982'],
  ])('%s is %s exactly', (text, digits) => {
    const amount = toAmount(text);
    expect(amount).toMatchObject({state: 'money', text});
    expect(amount.state === 'money' && toPlainDigits(amount.amount)).toContain(digits);
  });

  test.each([
    ['nan', "'nan', which is not an amount"],
    ['', "'', which is not an amount"],
    ['inf', "'inf', which is not an amount"],
    ['x'.repeat(61), `'${'x'.repeat(60)}…', which is not an amount`],
  ])('%j is none', (text, why) => {
    expect(toAmount(text)).toEqual({state: 'invalid', text, why});
  });

  test('of a wrong type is told', () => {
    expect(toStoredAmount(true)).toEqual(WRONG_TYPE);
    expect(toStoredAmount(false)).toEqual(ABSENT);
  });
});

test('both amounts of a session are read, each in its place', async () => {
  await server.client.mSet({'session:x:budget': '10.0', 'session:y:spent': '2'});
  await server.client.lPush('session:y:budget', 'a');
  expect(await readAmounts(redis, rawId('x'))).toEqual({budget: toAmount('10.0'), spent: ABSENT});
  expect(await readAmounts(redis, rawId('y'))).toEqual({budget: WRONG_TYPE, spent: toAmount('2')});
});

test.each([
  ['budget $10.00, spent $0.00001', toAmount('10.0'), toAmount('1e-05')],
  ['budget none, spent none', ABSENT, ABSENT],
  ["budget 'nan', spent of a wrong Redis type", toAmount('nan'), WRONG_TYPE],
])('%s', (told, budget, spent) => {
  expect(describeAmounts({budget, spent})).toBe(told);
});

test('a session is absent that has neither amount', () => {
  expect(isAbsent({budget: ABSENT, spent: ABSENT})).toBe(true);
  expect(isAbsent({budget: toAmount('1'), spent: ABSENT})).toBe(false);
  expect(isAbsent({budget: ABSENT, spent: WRONG_TYPE})).toBe(false);
});

test('a long text is cut off, and says so', () => {
  expect(quoteStart('x'.repeat(60))).toBe(`'${'x'.repeat(60)}'`);
  expect(quoteStart('x'.repeat(61))).toBe(`'${'x'.repeat(60)}…'`);
});
