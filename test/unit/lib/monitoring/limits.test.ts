import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {NOT_FROZEN} from '../../../../src/lib/gateway/freeze.js';
import {toSession} from '../../../../src/lib/gateway/session.js';

import {toAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {
  checkSessions,
  holds,
  parsePercentage,
  type LimitRule,
  type Subject,
  toRules,
} from '../../../../src/lib/monitoring/limits.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseFilter} from '../../../../src/lib/sessions/filter.js';
import {type Money, parseStoredMoney} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {startRedis, type TestRedis} from '../../../support/redis/redis-server.js';

const x = rawId('x');
const NOW = new Date('2026-11-22T16:00:00Z');
const money = (text: string): Money => parseStoredMoney(text)!;
const NONE = {warn: null, crit: null, minLeft: null, frozen: false};
const told = (rules: readonly LimitRule[]): string[] =>
  rules.map(({kind, severity, threshold}) => `${severity} ${kind} ${threshold?.toFixed() ?? ''}`.trim());

function subject(budget: string, spent: string, isFrozen?: boolean | null): Subject {
  const session = toSession(x, {budget: toAmount(budget), spent: toAmount(spent)});
  return {id: 'x', key: x, session, freeze: isFrozen === undefined ? null : {...NOT_FROZEN, isFrozen}};
}

describe('rules', () => {
  test.each([
    [{}, ['critical unreadable_money']],
    [{frozen: true}, ['critical unreadable_money', 'critical unreadable_freeze', 'critical frozen']],
    [
      {warn: money('80'), crit: money('80'), minLeft: money('0.5')},
      ['critical unreadable_money', 'critical used 80', 'warning used 80', 'warning left 0.5'],
    ],
  ])('of %j, the most severe first', (thresholds, rules) => {
    expect(told(toRules({...NONE, ...thresholds}))).toEqual(rules);
  });

  test.each([
    [{warn: money('95.1'), crit: money('95')}, '--warn 95.1 is above --crit 95.'],
    [{minLeft: money('0')}, '--min-left 0 finds nothing: there is never less left.'],
  ])('are refused that make no sense: %j', (thresholds, message) => {
    expect(() => toRules({...NONE, ...thresholds})).toThrow(expect.objectContaining({code: 'INVALID_USAGE', message}));
  });
});

describe('a percentage', () => {
  test.each([
    ['80', '80'],
    ['99.5%', '99.5'],
    ['0.00000000000000000001', '0.00000000000000000001'],
    ['999999', '999999'],
  ])('%s is read', (typed, value) => {
    expect(parsePercentage(typed)).toEqual(money(value));
  });

  test('can be off', () => {
    expect(parsePercentage('off')).toBeNull();
  });

  test.each([
    '',
    '0',
    '0.0',
    '-1',
    '1e2',
    '80%%',
    '%80',
    '.5',
    '5.',
    '1000000',
    '0.000000000000000000001',
    'on',
    '8 0',
  ])('%j is refused', (typed) => {
    expect(() => parsePercentage(typed)).toThrow(expect.objectContaining({code: 'INVALID_PERCENTAGE'}));
  });
});

describe('a rule', () => {
  const without: Subject = {id: 'x', key: x, session: null, freeze: {...NOT_FROZEN, isFrozen: true}};
  test.each<[LimitRule['kind'], string | null, Subject, boolean | null]>([
    ['unreadable_money', null, subject('1', '1'), false],
    ['unreadable_money', null, subject('nan', '1'), true],
    ['unreadable_money', null, subject('1', 'nan'), true],
    ['unreadable_money', null, without, false],
    ['unreadable_freeze', null, subject('1', '1'), null],
    ['unreadable_freeze', null, subject('1', '1', false), false],
    ['unreadable_freeze', null, subject('1', '1', null), true],
    ['frozen', null, subject('1', '1'), null],
    ['frozen', null, subject('1', '1', null), null],
    ['frozen', null, subject('1', '1', true), true],
    ['frozen', null, subject('1', '1', false), false],
    ['left', '1', subject('2', '1'), false],
    ['left', '1', subject('2', '1.000001'), true],
    ['left', '1', subject('nan', '1'), null],
    ['left', '1', without, null],
    ['left', null, subject('2', '2'), null],
    ['used', '80', subject('3', '2.4'), true],
    ['used', '80', subject('3', '2.39999999999999999999'), false],
    ['used', '33.33333333333333333334', subject('3', '1'), false],
    ['used', '100', subject('0', '0.01'), true],
    ['used', '101', subject('0', '0.01'), false],
    ['used', '1', subject('0', '0'), false],
    ['used', '80', subject('nan', '1'), null],
    ['used', '80', subject('1', 'nan'), null],
    ['used', '80', without, null],
    ['used', null, subject('1', '1'), null],
  ])('%s %s of %o holds: %s', (kind, threshold, one, is) => {
    expect(holds({kind, threshold: threshold === null ? null : money(threshold)}, one)).toBe(is);
  });
});

describe('a check', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = await connect({url: server.url});
    await server.client.mSet({
      ...{'session:a:budget': '10', 'session:a:spent': '8.5', 'session:b:budget': '10', 'session:b:spent': '10'},
      ...{'session:c:budget': 'nan', 'session:d:budget': '10', 'session:ab:budget': '10', 'session:ab:spent': '9.9'},
      ...{'anomaly:d:frozen_until': '2026-11-22T17:00:00', 'anomaly:a:frozen_until': 'soon'},
      ...{'anomaly:aa:frozen_until': '2026-11-22T17:00:00', 'anomaly:b:frozen_until': '2026-11-22T15:00:00'},
    });
  });
  afterAll(async () => {
    redis.close();
    await server.stop();
  });

  const rulesOf = (frozen: boolean): LimitRule[] =>
    toRules({warn: money('80'), crit: money('95'), minLeft: money('1'), frozen});

  async function check(options: Partial<Parameters<typeof checkSessions>[1]> = {}) {
    const seen: string[] = [];
    const {checked, findings} = await checkSessions(redis, {
      rules: rulesOf(true),
      now: NOW,
      onSubject: ({id, freeze}) => seen.push(`${id} ${freeze === null ? '-' : String(freeze.isFrozen)}`),
      ...options,
    });
    const lines = findings.map((one) => `${one.subject.id}: ${told([one.rule])[0]!} of ${one.rules.length}`);
    return {checked, lines, seen};
  }

  test('has the worst of each kind first, then the IDs in order; of sessions without a budget freezes', async () => {
    expect(await check()).toEqual({
      checked: 6,
      lines: [
        'a: critical unreadable_freeze of 1',
        'aa: critical frozen of 1',
        'ab: critical used 95 of 2',
        'b: critical used 95 of 2',
        'c: critical unreadable_money of 1',
        'd: critical frozen of 1',
        'a: warning used 80 of 1',
        'ab: warning left 1 of 1',
        'b: warning left 1 of 1',
      ],
      seen: ['a null', 'ab false', 'b false', 'c false', 'd true', 'aa true'],
    });
  });

  test('need not be followed', async () => {
    const {findings} = await checkSessions(redis, {rules: rulesOf(false), now: NOW, match: 'a'});
    expect(findings.map(({rule}) => rule.severity)).toEqual(['warning']);
  });

  test('does not read freezes that no rule asks for', async () => {
    expect(await check({rules: rulesOf(false)})).toMatchObject({
      checked: 5,
      seen: ['a -', 'ab -', 'b -', 'c -', 'd -'],
    });
  });

  test('reads them for a filter, but asks no rule of those without a budget', async () => {
    expect(await check({rules: rulesOf(false), where: parseFilter('frozen')})).toEqual({
      checked: 2,
      lines: ['a: warning used 80 of 1'],
      seen: ['a null', 'ab false', 'b false', 'c false', 'd true'],
    });
    expect(await check({where: parseFilter('spent > 9')})).toMatchObject({checked: 2});
  });

  test('is of those that match', async () => {
    expect(await check({match: 'a*'})).toMatchObject({checked: 3, seen: ['a null', 'ab false', 'aa true']});
    expect(await check({match: 'aa'})).toMatchObject({checked: 1, lines: ['aa: critical frozen of 1']});
  });
});
