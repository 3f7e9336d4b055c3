import {describe, expect, test} from 'vitest';
import {NOT_FROZEN} from '../../../../src/lib/gateway/freeze.js';
import {toSession} from '../../../../src/lib/gateway/session.js';

import {toAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {type Money, parseStoredMoney, ZERO} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {sortWatched, statusOf, summarize, type Watched, type WatchField} from '../../../../src/lib/watch/row.js';

interface Facts {
  budget?: string;
  /** Nothing stands in Redis without it. */
  spent?: string;
  /** US dollars a minute. */
  rate?: string | Money;
  requests?: number | null;
  /** Undefined when freezes were not asked for. */
  isFrozen?: boolean | null;
}

function watched(id: string, {budget = '10', spent, rate, requests, isFrozen}: Facts): Watched {
  const key = rawId(id);
  const amounts = {
    budget: toAmount(budget),
    spent: spent === undefined ? ({state: 'absent'} as const) : toAmount(spent),
  };
  const session = toSession(key, amounts, isFrozen === undefined ? null : {...NOT_FROZEN, isFrozen});
  const money = typeof rate === 'string' ? parseStoredMoney(rate)! : (rate ?? null);
  const facts = {status: statusOf(session), rate: money, requests};
  return {id: key, session, ...facts, renewsAt: null, renewsIn: null};
}

describe('a session is', () => {
  test.each<[string, Facts]>([
    ['ok', {}],
    ['ok', {spent: '7.9999999999999999999'}],
    ['low', {spent: '8'}],
    ['low', {spent: '9.9999999999999999999'}],
    ['empty', {spent: '10'}],
    ['empty', {spent: '11'}],
    ['empty', {budget: '0'}],
    ['invalid', {budget: 'nan', spent: '1'}],
    ['invalid', {spent: 'nan'}],
    ['invalid', {spent: '9', isFrozen: null}],
    ['frozen', {spent: '9', isFrozen: true}],
    ['frozen', {budget: 'nan', isFrozen: true}],
    ['low', {spent: '9', isFrozen: false}],
  ])('%s with %j', (status, facts) => {
    expect(watched('a', facts).status).toBe(status);
  });
});

describe('the sums of sessions', () => {
  const sums = (...sessions: Watched[]): {rate: unknown; [sum: string]: unknown} => {
    const {count, budget, spent, remaining, used, rate, statuses} = summarize(sessions);
    const text = (money: Money | null): string | undefined => money?.toFixed();
    const amounts = {budget: text(budget), spent: text(spent), remaining: text(remaining), used: text(used)};
    return {count, ...amounts, rate: text(rate), statuses};
  };

  test('leave out what is not money', () => {
    const broken = watched('broken', {budget: 'nan', spent: '0.5', rate: '1'});
    const all = [watched('a', {budget: '20', spent: '5', isFrozen: true}), watched('b', {spent: '9'}), broken];
    expect(sums(...all, watched('c', {budget: '5'}))).toEqual({
      count: 4,
      budget: '35',
      spent: '14.5',
      remaining: '21',
      used: '40',
      rate: '1',
      statuses: {frozen: 1, invalid: 1, empty: 0, low: 1, ok: 1},
    });
  });

  test('have no rate before there is enough data of any', () => {
    const [none, unspent] = [watched('a', {}), watched('b', {rate: ZERO})];
    const [slow, fast] = [watched('c', {rate: '0.25'}), watched('d', {rate: '1.5'})];
    expect(summarize([]).rate).toBeNull();
    expect(summarize([none]).rate).toBeNull();
    expect(sums(none, unspent).rate).toBe('0');
    expect(sums(slow, none, fast).rate).toBe('1.75');
    expect(sums(fast, unspent).rate).toBe('1.5');
    expect(sums(unspent, fast).rate).toBe('1.5');
  });
});

describe('sorted', () => {
  /** Neither what comes first nor last of anything is so by its ID or its place. */
  const list = (): Watched[] => [
    watched('m', {budget: '20', spent: '19', rate: '2', requests: 3, isFrozen: false}),
    watched('b', {budget: 'nan', spent: 'nan', requests: null}),
    watched('x', {budget: '100', spent: '1', rate: '9', requests: 40, isFrozen: true}),
    watched('c', {budget: '5', spent: '5', rate: ZERO, requests: 0}),
    watched('a', {budget: '3', spent: '1', rate: '0.5'}),
    watched('z', {budget: '3', spent: '1', rate: '0.5'}),
    watched('k', {budget: '3', spent: '1', rate: '0.5'}),
  ];
  const order = (field: WatchField, isReversed: boolean): string =>
    sortWatched(list(), field, isReversed)
      .map(({id}) => id)
      .join('');

  test.each<[WatchField, forward: string, backward: string]>([
    ['id', 'abckmxz', 'zxmkcba'],
    ['status', 'xbcmakz', 'akzmcbx'],
    ['budget', 'xmcakzb', 'akzcmxb'],
    ['spent', 'mcakxzb', 'akxzcmb'],
    ['remaining', 'cmakzxb', 'xakzmcb'],
    ['used', 'cmakzxb', 'xakzmcb'],
    ['rate', 'xmakzcb', 'cakzmxb'],
    // x is frozen, and is not emptied by anything.
    ['empty', 'cmakzbx', 'akzmcbx'],
    ['requests', 'xmcabkz', 'cmxabkz'],
  ])('by %s: what is most pressing first, equals by ID, and what is not known last', (field, forward, backward) => {
    expect([order(field, false), order(field, true)]).toEqual([forward, backward]);
  });

  test('by the digits of an amount, not by its float', () => {
    const [less, more] = [
      watched('a', {spent: '0.30000000000000000001'}),
      watched('b', {spent: '0.3000000000000000001'}),
    ];
    expect(sortWatched([less, more], 'spent', false)).toEqual([more, less]);
  });
});
