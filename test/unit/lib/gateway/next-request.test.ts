import {isDeepStrictEqual} from 'node:util';

import {describe, expect, test} from 'vitest';

import {
  type BudgetRule,
  type Decision,
  explainSession,
  judgeNextRequest,
  type NextRequest,
  readStates,
  type Rule,
  type SessionState,
} from '../../../../src/lib/gateway/next-request.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseAmount, ZERO} from '../../../../src/lib/values/money.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import {readGatewayStates, writeStates} from '../../../support/redis/gateway-states.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const amount = (text: string) => parseAmount(text).value;
const REQUEST: NextRequest = {cost: amount('0.12'), isRepeated: false, defaultBudget: amount('10')};
const inOneHour = (): string => new Date(Date.now() + 3_600_000).toISOString().slice(0, -1);

/** A list where the gateway keeps a text. */
const LIST = Symbol('list');
type Keys = Record<string, string | typeof LIST>;

async function write(id: string, keys: Keys, ttl?: number): Promise<unknown> {
  return Promise.all(
    Object.entries(keys).map(([name, value]) => {
      const key = ['budget', 'spent'].includes(name) ? `session:${id}:${name}` : `anomaly:${id}:${name}`;
      if (value === LIST) return server.client.lPush(key, 'x');
      return server.client.sendCommand(['SET', key, value, ...(ttl === undefined ? [] : ['PX', String(ttl)])]);
    }),
  );
}

const explain = (id: string, request: Partial<NextRequest> = {}): Promise<Decision> =>
  explainSession(redis, parseSessionId(id), {...REQUEST, ...request});

const ruleOf = <Name extends Rule['rule']>({rules}: Decision, name: Name): Extract<Rule, {rule: Name}> =>
  rules.find(({rule}) => rule === name) as Extract<Rule, {rule: Name}>;

/** What the gateway does, rule by rule: the keys, and its answer to a request (and to the last request once more). */
type Answer = 429 | 500 | 503 | null;
const FREEZE: [Keys, Answer][] = [
  [{}, null],
  [{freeze_reason: 'left over'}, null],
  [{frozen_until: inOneHour(), freeze_reason: 'Loop'}, 429],
  [{frozen_until: inOneHour().slice(0, 19)}, 429],
  [{frozen_until: '9999-12-31T23:59:59', freeze_reason: 'for good'}, 429],
  [{frozen_until: '2020-01-01T00:00:00.000001', freeze_reason: 'old'}, null],
  [{frozen_until: `${inOneHour()}Z`, freeze_reason: 'Loop'}, 500],
  [{frozen_until: '2020-01-01T00:00:00+00:00'}, 500],
  [{frozen_until: 'soon'}, 500],
  [{frozen_until: LIST}, 500],
];
const RATE: [Keys, Answer][] = [
  [{}, null],
  [{'requests:1min': '99'}, null],
  [{'requests:1min': '100'}, 429],
  [{'requests:1min': '101'}, 429],
  [{'requests:1min': '1.5'}, 500],
  [{'requests:1min': LIST}, 500],
];
const LOOP: [Keys, Answer, Answer][] = [
  [{}, null, null],
  [{last_hash: 'abc'}, null, null],
  [{last_hash: 'abc', identical_count: '1'}, null, null],
  [{last_hash: 'abc', identical_count: '2'}, null, 429],
  [{last_hash: 'abc', identical_count: '3'}, null, 429],
  [{identical_count: '3'}, null, null],
  [{last_hash: 'abc', identical_count: 'three'}, null, 500],
  [{last_hash: 'abc', identical_count: LIST}, null, 500],
  [{last_hash: LIST}, 500, 500],
];
const RECORDS: [Keys, Answer][] = [
  [{}, null],
  [{velocity: 'x'}, 500],
  [{history: 'x'}, 500],
];
const BUDGET: [Keys, Answer][] = [
  [{}, null],
  [{spent: '9.88'}, null],
  [{spent: '9.8800000000000000001'}, 429],
  [{budget: '10.0', spent: '2'}, null],
  [{budget: '5', spent: '4.88'}, null],
  [{budget: '5', spent: '4.88000000000000000001'}, 429],
  [{budget: '0.0'}, 429],
  [{budget: '1e-05'}, 429],
  [{budget: '1e+16', spent: '7.5E-7'}, null],
  [{budget: 'nan'}, 503],
  [{budget: 'ten'}, 503],
  [{budget: ''}, 503],
  [{budget: LIST}, 503],
  [{budget: 'inf', spent: '3'}, null],
  [{budget: 'inf', spent: 'inf'}, 503],
  [{budget: '10', spent: 'nan'}, 503],
  [{budget: '10', spent: 'inf'}, 500],
  [{budget: '10', spent: LIST}, 503],
];

describe('the answer to the next request', () => {
  test.each(RECORDS)('of a session with %o is %s, before the budget is looked at', async (keys, answer) => {
    await write('x', {...keys, budget: 'nan'});
    expect((await explain('x')).answer).toBe(answer ?? 503);
    await write('x', {'requests:1min': '100'});
    expect((await explain('x')).answer).toBe(429);
  });

  test.each([
    ['0', '0', 429],
    ['5', '4.99999', null],
    ['5', '5', 429],
    ['0', '-1', null],
    ['-inf', '0', 500],
    ['-inf', '-inf', 503],
    ['-inf', 'inf', 500],
    ['inf', '-inf', null],
    ['1e309', '1e310', 500],
    ['1', '1e309', 500],
    ['-1.7e308', '1.7e308', 500],
    ['0', '1e308', 429],
    ['1e1000000', '0', 503],
    ['1e-99999', '0', null],
    ['10', '-inf', null],
    ['1e999', '5', null],
    ['0e999', '0', 429],
  ])('of unknown cost with a budget of %s and %s spent', async (budget, spent, answer) => {
    await write('x', {budget, spent});
    const decision = await explain('x', {cost: null});
    expect(decision.answer).toBe(answer);
  });

  test('of a request that costs nothing is that it passes where nothing is left', async () => {
    await write('x', {budget: '5', spent: '5'});
    expect((await explain('x', {cost: ZERO})).passes).toBe(true);
  });

  test('says that the same request once more would be refused', async () => {
    await write('x', {last_hash: 'abc', identical_count: '2'});
    expect(await explain('x')).toMatchObject({passes: true, isLoopNext: true});
    expect(await explain('x', {isRepeated: true})).toMatchObject({refusedBy: 'loop', isLoopNext: false});
  });
});

describe('a rule', () => {
  test.each([
    ['79', 'passes'],
    ['80', 'close'],
    ['99', 'close'],
    ['100', 'refuses'],
  ])('of the request rate, with %s requests, %s', async (count, verdict) => {
    await write('x', {'requests:1min': count}, 42_000);
    const decision = await explain('x');
    const rule = ruleOf(decision, 'request_rate');
    expect(rule).toMatchObject({verdict, count: Number(count)});
    expect(rule.countUntil!.getTime() - decision.now.getTime()).toBeGreaterThan(30_000);
    expect(decision.until).toEqual(verdict === 'refuses' ? rule.countUntil : null);
  });

  test('of the budget is close from 80 percent on, the next request included', async () => {
    await write('x', {budget: '10', spent: '7.87'});
    expect(ruleOf(await explain('x'), 'budget').verdict).toBe('passes');
    expect(ruleOf(await explain('x', {cost: amount('0.13')}), 'budget').verdict).toBe('close');
  });

  test('of the budget gives the amounts exactly', async () => {
    await write('x', {budget: '0.05', spent: '0.02643664999999999982'});
    const rule = ruleOf(await explain('x'), 'budget');
    expect(rule.remaining?.toFixed()).toBe('0.02356335000000000018');
    expect(rule.missing?.toFixed()).toBe('0.09643664999999999982');
  });

  test('of velocity is not recorded', async () => {
    expect(ruleOf(await explain('x'), 'velocity')).toMatchObject({verdict: 'not_recorded', answer: null});
  });

  test('that a freeze ends with its key, where that goes first', async () => {
    const frozen_until = inOneHour();
    await write('later', {frozen_until}, 7_200_000);
    await write('sooner', {frozen_until}, 60_000);
    await write('never', {frozen_until: '9999-12-31T23:59:59'});
    await write('bad', {frozen_until: 'soon'}, 60_000);
    expect((await explain('later')).until).toEqual(new Date(`${frozen_until}Z`));
    for (const id of ['sooner', 'bad']) {
      const {until, now} = await explain(id);
      expect(until!.getTime() - now.getTime()).toBeLessThanOrEqual(60_000);
    }
    expect(await explain('never')).toMatchObject({answer: 429, until: null});
  });

  test('is judged although another refuses, and all of them have to let it pass', async () => {
    const frozen_until = inOneHour();
    await write('x', {frozen_until, budget: '1', spent: '3'}, 3_600_000);
    const decision = await explain('x');
    expect(decision).toMatchObject({refusedBy: 'freeze', until: null});
    expect(ruleOf(decision, 'budget').verdict).toBe('refuses');
  });
});

describe('the remedies', () => {
  const remedies = async (keys: Keys, request: Partial<NextRequest> = {}): Promise<string[]> => {
    await server.client.flushDb();
    await write('x', keys);
    const found = (await explain('x', request)).remedies;
    return found.map((remedy) => ('amount' in remedy ? `${remedy.action} ${remedy.amount.toFixed()}` : remedy.action));
  };

  test('are none where none is needed', async () => {
    expect(await remedies({budget: '5'})).toEqual([]);
  });

  test('are as few as will do', async () => {
    const frozen = {frozen_until: inOneHour(), 'requests:1min': '100', last_hash: 'abc', identical_count: '3'};
    expect(await remedies(frozen, {isRepeated: true})).toEqual(['unfreeze']);
    expect(await remedies({history: LIST, velocity: LIST})).toEqual(['delete_key']);
    expect(await remedies({history: 'x', velocity: 'x'})).toEqual(['repair']);
    expect(await remedies({...frozen, velocity: 'x', budget: '1', spent: '1'})).toEqual([
      'unfreeze',
      'repair',
      'add_budget 0.12',
    ]);
  });

  test.each<[Keys, string[], string[]]>([
    [{budget: '5', spent: '4.9999'}, ['add_budget 0.12'], []],
    [{budget: '5', spent: '7'}, ['add_budget 2.12'], ['add_budget 3']],
    [{budget: 'nan', spent: '7'}, ['set_budget 7.12'], ['set_budget 8']],
    [{budget: LIST}, ['set_budget 0.12'], ['set_budget 1']],
    [{budget: '-inf'}, ['set_budget 0.12'], ['set_budget 1']],
    [{spent: '10.5'}, ['set_budget 10.62'], ['set_budget 11.5']],
    [{budget: '5', spent: 'nan'}, ['reset_spent'], ['reset_spent']],
    [{budget: '0.1', spent: 'inf'}, ['reset_spent', 'add_budget 0.02'], ['reset_spent']],
    [{budget: '5', spent: LIST}, ['delete_key'], ['delete_key']],
    [{budget: 'inf', spent: 'inf'}, ['reset_spent'], ['reset_spent']],
    [{budget: 'nan', spent: 'nan'}, ['reset_spent', 'set_budget 0.12'], ['reset_spent', 'set_budget 1']],
  ])('of %o for a known and for an unknown cost', async (keys, known, unknown) => {
    expect(await remedies(keys)).toEqual(known);
    expect(await remedies(keys, {cost: null})).toEqual(unknown);
  });
});

describe('what is not there', () => {
  test('gets the default budget of the gateway', async () => {
    const decision = await explain('x');
    expect(decision).toMatchObject({isKnown: false, passes: true});
    const rule: BudgetRule = ruleOf(decision, 'budget');
    expect(rule).toMatchObject({isDefault: true, missing: null});
    expect(rule.remaining?.toFixed()).toBe('10');
    expect(await explain('x', {defaultBudget: amount('0.1')})).toMatchObject({passes: false, refusedBy: 'budget'});
  });

  test('is known all the same by any key that it has', async () => {
    await server.client.rPush('anomaly:x:history', '{}');
    expect((await explain('x')).isKnown).toBe(true);
  });

  test('is not made up for a lack of rights', async () => {
    await server.client.sendCommand(['ACL', 'SETUSER', 'reader', 'on', '>secret', '~session:*', '+get', '+hello']);
    const url = server.url.replace('unix://', 'unix://reader:secret@');
    const reader = await connect({url});
    const asked = explainSession(reader, parseSessionId('x'), REQUEST);
    await expect(asked).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
    reader.close();
  });
});

describe('a rule says what is wrong', () => {
  test.each<[Rule['rule'], Keys, Answer, string]>([
    ['freeze', {frozen_until: LIST}, 500, 'the end of the freeze is of a wrong Redis type'],
    ['freeze', {frozen_until: 'soon'}, 500, "the end of the freeze is 'soon'"],
    [
      'freeze',
      {frozen_until: '2020-01-01T00:00:00Z'},
      500,
      "the end of the freeze is '2020-01-01T00:00:00Z', with an offset",
    ],
    [
      'freeze',
      {frozen_until: '9999-12-31T23:59:59', freeze_reason: LIST},
      500,
      'the reason of the freeze is of a wrong Redis type',
    ],
    ['request_rate', {'requests:1min': 'x'}, 500, "the request count is 'x', which is not a count"],
    ['request_rate', {'requests:1min': LIST}, 500, 'the request count is of a wrong Redis type'],
    ['loop', {last_hash: LIST}, 500, 'the record of the last request is of a wrong Redis type'],
    [
      'loop',
      {last_hash: 'ab', identical_count: 'x'},
      500,
      "the count of identical requests is 'x', which is not a count",
    ],
    ['loop', {last_hash: 'ab', identical_count: LIST}, 500, 'the count of identical requests is of a wrong Redis type'],
    ['velocity', {velocity: 'x'}, 500, 'the record of spending is a Redis string'],
    ['history', {history: 'x'}, 500, 'the history is a Redis string'],
    ['budget', {budget: 'nan'}, 503, "the budget is 'nan', which is not an amount"],
    ['budget', {budget: LIST}, 503, 'the budget is of a wrong Redis type'],
    ['budget', {budget: '1', spent: 'x'}, 503, "what is spent is 'x', which is not an amount"],
    ['budget', {budget: '1', spent: LIST}, 503, 'what is spent is of a wrong Redis type'],
    ['budget', {budget: 'inf', spent: 'inf'}, 503, 'the budget and what is spent are both infinite'],
    [
      'budget',
      {budget: '1', spent: 'inf'},
      500,
      "what is spent is beyond what the JSON of the gateway's refusal can hold",
    ],
    ['budget', {budget: '-inf'}, 500, "the budget is beyond what the JSON of the gateway's refusal can hold"],
    ['budget', {budget: '1e1000000'}, 503, 'the budget and what is spent are too far apart for the gateway'],
  ])('%s: %o', async (name, keys, answer, problem) => {
    await write('x', keys);
    const decision = await explain('x', {isRepeated: true});
    expect(ruleOf(decision, name)).toMatchObject({verdict: 'refuses', answer, problem});
    expect(decision.until).toBeNull();
  });

  test('of an amount that is none gives the other', async () => {
    await write('x', {budget: '5', spent: 'inf'});
    expect(ruleOf(await explain('x'), 'budget')).toMatchObject({budget: amount('5'), spent: null, remaining: null});
    await write('y', {budget: 'inf', spent: '2'});
    expect(ruleOf(await explain('y'), 'budget')).toMatchObject({budget: null, spent: amount('2'), isUnlimited: true});
    await write('z', {budget: '5', spent: '-inf'});
    expect(ruleOf(await explain('z'), 'budget')).toMatchObject({verdict: 'passes', isUnlimited: true});
  });
});

describe('a rule says until when', () => {
  const HOUR = 3_600_000;
  test.each<[Rule['rule'], Keys]>([
    ['freeze', {frozen_until: 'soon'}],
    ['freeze', {frozen_until: LIST}],
    ['request_rate', {'requests:1min': '100'}],
    ['request_rate', {'requests:1min': 'x'}],
    ['loop', {last_hash: 'ab', identical_count: '2'}],
    ['loop', {last_hash: 'ab', identical_count: 'x'}],
    ['loop', {last_hash: LIST}],
  ])('%s %o: as long as the keys live', async (name, keys) => {
    await write('x', {budget: '10'});
    await write('x', keys);
    for (const key of Object.keys(keys)) await server.client.pExpire(`anomaly:x:${key}`, HOUR);
    const decision = await explain('x', {isRepeated: true});
    const until = ruleOf(decision, name).until!;
    expect(until.getTime() - decision.now.getTime()).toBeGreaterThan(HOUR - 60_000);
    expect(until.getTime() - decision.now.getTime()).toBeLessThanOrEqual(HOUR);
    expect(decision.until).toEqual(until);
  });

  test('a loop ends with the first of its two keys', async () => {
    for (const [first, second] of [
      ['last_hash', 'identical_count'],
      ['identical_count', 'last_hash'],
    ] as const) {
      await server.client.flushDb();
      await write('x', {budget: '10', last_hash: 'ab', identical_count: '2'});
      await server.client.pExpire(`anomaly:x:${second}`, 2 * HOUR);
      const one = await explain('x', {isRepeated: true});
      expect(one.until!.getTime() - one.now.getTime()).toBeGreaterThan(HOUR);
      await server.client.pExpire(`anomaly:x:${first}`, HOUR);
      const both = await explain('x', {isRepeated: true});
      expect(both.until!.getTime() - both.now.getTime()).toBeLessThanOrEqual(HOUR);
    }
  });

  test('a freeze without end has none, and one whose key goes has that', async () => {
    await write('x', {budget: '10', frozen_until: '9999-12-31T23:59:59'});
    expect((await explain('x')).until).toBeNull();
    await write('y', {budget: '10', frozen_until: '9999-12-31T23:59:58'});
    expect((await explain('y')).until).toEqual(new Date('9999-12-31T23:59:58Z'));
  });

  test('of several that refuse the last counts, and one without end is never over', async () => {
    await write('x', {budget: '10', frozen_until: inOneHour()});
    await write('x', {'requests:1min': '100'}, 2 * HOUR);
    const decision = await explain('x');
    expect(decision.until).toEqual(ruleOf(decision, 'request_rate').until);
    await write('x', {budget: '0'});
    expect((await explain('x')).until).toBeNull();
  });
});

describe('a rule that lets it pass', () => {
  test.each([
    ['79', 'passes'],
    ['80', 'close'],
    ['99', 'close'],
    ['100', 'refuses'],
  ])('of %s requests: %s', async (count, verdict) => {
    await write('x', {'requests:1min': count});
    expect(ruleOf(await explain('x'), 'request_rate')).toMatchObject({verdict, count: Number(count)});
  });

  test.each<[Keys, string, string]>([
    [{}, 'passes', 'passes'],
    [{identical_count: '2'}, 'passes', 'passes'],
    [{last_hash: 'ab'}, 'passes', 'passes'],
    [{last_hash: 'ab', identical_count: '1'}, 'passes', 'passes'],
    [{last_hash: 'ab', identical_count: '2'}, 'close', 'refuses'],
  ])('of a loop with %o: %s, once more: %s', async (keys, verdict, repeated) => {
    await write('x', {...keys, budget: '10'});
    const fresh = await explain('x');
    expect(ruleOf(fresh, 'loop')).toMatchObject({verdict, ifRepeated: {verdict: repeated}});
    expect(fresh.isLoopNext).toBe(repeated === 'refuses');
    const again = await explain('x', {isRepeated: true});
    expect(ruleOf(again, 'loop').verdict).toBe(repeated);
    expect(again.isLoopNext).toBe(false);
  });

  test('has an end of the freeze that is over, and no more of it', async () => {
    await write('x', {frozen_until: '2020-01-01T00:00:00', freeze_reason: 'old'});
    expect(ruleOf(await explain('x'), 'freeze')).toEqual({
      ...{rule: 'freeze', verdict: 'passes', answer: null, until: null, problem: null},
      ...{frozenUntil: null, reason: null, endedAt: new Date('2020-01-01T00:00:00Z')},
    });
  });
});

test.each<[Keys]>([
  [{frozen_until: inOneHour()}],
  [{'requests:1min': '100'}],
  [{last_hash: 'ab', identical_count: '2'}],
])('%o alone makes a session known, and is undone by an unfreeze alone', async (keys) => {
  await write('x', keys);
  expect(await explain('x', {isRepeated: true})).toMatchObject({isKnown: true, remedies: [{action: 'unfreeze'}]});
});

test.each(['freeze_reason', 'velocity', 'history', 'spent'])('%s alone makes a session known', async (key) => {
  await write('x', {[key]: '0'});
  expect((await explain('x')).isKnown).toBe(true);
});

test('a freeze has its end and its reason', async () => {
  await write('x', {frozen_until: '2999-01-01T00:00:00', freeze_reason: 'Loop'});
  const until = new Date('2999-01-01T00:00:00Z');
  expect(ruleOf(await explain('x'), 'freeze')).toEqual({
    ...{rule: 'freeze', verdict: 'refuses', answer: 429, until, problem: null},
    ...{frozenUntil: until, reason: 'Loop', endedAt: null},
  });
  await write('x', {frozen_until: 'soon'});
  expect(ruleOf(await explain('x'), 'freeze')).toMatchObject({frozenUntil: null, reason: 'Loop', endedAt: null});
});

test('the answer is what a running gateway gave to 200 states of a session', async () => {
  const states = readGatewayStates().map((state, index) => ({id: `g${index}`, ...state}));
  await writeStates(server, states);
  const asked = states.flatMap(({id, cost, status, identical}) => [
    {id, status, request: {cost: amount(cost ?? '0.01'), isRepeated: false}},
    ...(identical
      ? [{id, status: identical.status, request: {cost: amount(identical.cost ?? '0.01'), isRepeated: true}}]
      : []),
  ]);
  const answers = await Promise.all(asked.map(({id, request}) => explain(id, request)));
  expect(answers.map(({id, answer}, index) => [id, asked[index]?.request.isRepeated, answer ?? 200])).toEqual(
    asked.map(({id, status, request}) => [id, request.isRepeated, status]),
  );
  expect(asked.length).toBeGreaterThan(300);
});

test('the answer agrees with what the gateway does for every combination of freeze, rate, loop and budget', async () => {
  const parts = {freeze: FREEZE, rate: RATE, loop: LOOP, budget: BUDGET};
  /** The states of a part, each read from a session that has its keys alone. */
  const read = async (name: keyof typeof parts): Promise<SessionState[]> => {
    const ids = parts[name].map((_, index) => `${name}${index}`);
    await Promise.all(parts[name].map(([keys], index) => write(ids[index]!, keys)));
    return (await readStates(redis, ids.map(parseSessionId))).states;
  };
  const [freezes, rates, loops, budgets] = await Promise.all([
    read('freeze'),
    read('rate'),
    read('loop'),
    read('budget'),
  ]);
  const {now} = await readStates(redis, []);
  for (const [f, freeze] of freezes.entries()) {
    for (const [r, {values: rate}] of rates.entries()) {
      for (const [l, {values: loop}] of loops.entries()) {
        for (const [b, {values: budget}] of budgets.entries()) {
          const values = {
            ...freeze.values,
            ...{requests: rate.requests, lastHash: loop.lastHash, identical: loop.identical},
            ...{budget: budget.budget, spent: budget.spent},
          };
          const answers = [false, true].map((isRepeated) => {
            const {answer, passes} = judgeNextRequest({...freeze, values}, {...REQUEST, isRepeated}, now);
            return {answer, passes};
          });
          const [, fresh, repeated] = LOOP[l]!;
          const expected = [fresh, repeated].map((loopAnswer) => {
            const answer = [FREEZE[f]![1], RATE[r]![1], loopAnswer, BUDGET[b]![1]].find((one) => one !== null) ?? null;
            return {answer, passes: answer === null};
          });
          if (!isDeepStrictEqual(answers, expected)) expect({values, answers}).toEqual({values, answers: expected});
        }
      }
    }
  }
});
