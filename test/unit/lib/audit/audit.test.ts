import {describe, expect, test} from 'vitest';

import {checkStore} from '../../../../src/lib/audit/audit.js';
import {type Finding, isFixable} from '../../../../src/lib/audit/finding.js';
import {keyName} from '../../../../src/lib/gateway/keys.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, redis, connectAs} = own));

const HOUR = 3_600_000;
const LIST = {list: 'x'};
type Value = string | {list: string} | {hash: string};
const gatewayTime = (at: number): string => new Date(at).toISOString().slice(0, -1);

async function write(key: string, value: Value, ttl?: number): Promise<void> {
  if (typeof value === 'string') await server.client.set(key, value);
  else if ('list' in value) await server.client.lPush(key, value.list);
  else await server.client.hSet(key, value.hash, '');
  if (ttl !== undefined) await server.client.pExpire(key, ttl);
}

interface Options {
  match?: string;
  isPrintable?: (text: string) => boolean;
}

/** Looks through it all, and gives what was found in the order of the keys. */
async function check(on: Redis, {match, isPrintable = () => true}: Options = {}): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const {findings} of checkStore(on, {match, isPrintable})) found.push(...findings);
  return found.sort((a, b) => (`${a.key} ${a.problem}` < `${b.key} ${b.problem}` ? -1 : 1));
}
const problems = async (on: Redis, options?: Options): Promise<string[]> =>
  (await check(on, options)).map(({key, problem}) => `${key} ${problem}`);

const PERIOD = JSON.stringify({
  ...{every: 'day', timezone: 'UTC', at: '00:00', on: null, amount: '5', rollover: 'none', max_rollover: null},
  ...{renewed: '2026-01-01T00:00:00.000Z', carried: '0'},
});
const GRANTS = '[{"id":"k7","amount":"5","until":"2099-01-01T00:00:00.000Z","note":""}]';

const POISONS: [key: string, value: Value, ttl?: number][] = [
  ['session:a1:budget', 'nan'],
  ['session:a2:budget', 'fünf'],
  ['session:a3:budget', LIST],
  ['session:a4:budget', 'inf'],
  ['session:a5:budget', '-Infinity'],
  ['session:a6:budget', '5', HOUR],
  ['session:b1:spent', 'NaN'],
  ['session:b2:spent', '$1'],
  ['session:b3:spent', LIST],
  ['session:b4:spent', 'inf'],
  ['session:b5:spent', '-inf'],
  ['session:b6:spent', '-0.5'],
  ['session:b7:spent', '0.50', HOUR],
  ['session:b8:spent', '0.50'],
  ['anomaly:c1:frozen_until', LIST, HOUR],
  ['anomaly:c2:frozen_until', 'à 8 h', HOUR],
  ['anomaly:c3:frozen_until', '9999-12-31T23:59:59-01:00'],
  ['anomaly:c4:frozen_until', '2099-01-01T00:00:00+01:00'],
  ['anomaly:c5:frozen_until', '9999-12-31T23:59:59Z'],
  ['anomaly:c6:frozen_until', '2020-01-01T00:00:00Z'],
  ['anomaly:c7:frozen_until', '2020-01-01T00:00:00.5', HOUR],
  ['anomaly:c8:frozen_until', '2099-01-01T00:00:00'],
  ['anomaly:d1:freeze_reason', LIST, HOUR],
  ['anomaly:d2:freeze_reason', 'é'],
  ['anomaly:d3:freeze_reason', 'why', HOUR],
  ['anomaly:e1:requests:1min', '1.5', 60_000],
  ['anomaly:e2:requests:1min', LIST, 60_000],
  ['anomaly:e3:requests:1min', '7'],
  ['anomaly:f1:identical_count', 'one', 60_000],
  ['anomaly:f2:identical_count', LIST, 60_000],
  ['anomaly:f3:identical_count', '1'],
  ['anomaly:g1:last_hash', LIST, 60_000],
  ['anomaly:g2:last_hash', 'abc'],
  ['anomaly:h1:history', '[]', HOUR],
  ['anomaly:h2:history', {hash: 'x'}, HOUR],
  ['anomaly:i1:velocity', LIST, HOUR],
  ['anomaly:i2:velocity', '0', HOUR],
  ['tokengate:period:p1', LIST],
  ['tokengate:period:p2', 'monthly'],
  ['tokengate:period:p3', PERIOD.replace('UTC', 'Mars/Olympus')],
  ['tokengate:period:p4', PERIOD, HOUR],
  ['tokengate:period:without', PERIOD],
  ['tokengate:grants:q1', LIST],
  ['tokengate:grants:q2', 'x'],
  ['tokengate:grants:q3', '[]'],
  ['tokengate:grants:q4', GRANTS, HOUR],
  ['tokengate:grants:q5', GRANTS.replace(/"2099.*Z"/, 'null')],
  ['tokengate:grants:without', GRANTS],
];

describe('a check finds', () => {
  test('what the gateway would not have written, what comes of it, and what puts it right', async () => {
    for (const [key, value, ttl] of POISONS) await write(key, value, ttl);
    const ids = ['b', 'p', 'q'].flatMap((name) => [1, 2, 3, 4, 5, 6, 7].map((index) => `${name}${index}`));
    for (const id of ids) await write(`session:${id}:budget`, '10.0');
    const lines = (await check(redis)).map((finding) => {
      const {key, problem, what, effect, answer, repair, advice} = finding;
      const steps = repair?.steps.map(({shape, expected, to}) => `${keyName(shape)} ${JSON.stringify([expected, to])}`);
      const mended = isFixable(finding)
        ? `${finding.repair.id}: ${finding.repair.action}: ${steps?.join(', ')}`
        : 'no repair';
      return `${key}: ${problem} (${answer})\n  ${what}: ${effect}\n  ${mended}; ${advice.join(' or ') || 'no advice'}`;
    });
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "anomaly:c1:frozen_until: frozen_until_wrong_type (500)
        a Redis list: every request fails with HTTP 500
        no repair; unfreeze or freeze
      anomaly:c2:frozen_until: frozen_until_unreadable (500)
        'à 8 h', which is no time: every request fails with HTTP 500
        no repair; unfreeze or freeze
      anomaly:c3:frozen_until: frozen_until_unreadable (500)
        '9999-12-31T23:59:59-01:00', which is no time: every request fails with HTTP 500
        no repair; unfreeze or freeze
      anomaly:c4:frozen_until: frozen_until_offset (500)
        '2099-01-01T00:00:00+01:00', with an offset: every request fails with HTTP 500
        c4: write 2098-12-31T23:00:00.000: frozen_until ["2099-01-01T00:00:00+01:00",{"text":"2098-12-31T23:00:00.000","end":"2098-12-31T23:00:00.000Z"}], freeze_reason [null,{"end":"2098-12-31T23:00:00.000Z"}]; no advice
      anomaly:c5:frozen_until: frozen_until_offset (500)
        '9999-12-31T23:59:59Z', with an offset: every request fails with HTTP 500
        c5: write 9999-12-31T23:59:59.000: frozen_until ["9999-12-31T23:59:59Z",{"text":"9999-12-31T23:59:59.000","end":"never"}], freeze_reason [null,{"end":"never"}]; no advice
      anomaly:c6:frozen_until: frozen_until_offset (500)
        '2020-01-01T00:00:00Z', with an offset: every request fails with HTTP 500
        c6: delete it, and its reason: frozen_until ["2020-01-01T00:00:00Z","delete"], freeze_reason [null,"delete"]; no advice
      anomaly:c7:frozen_until: freeze_over (null)
        a freeze that ended at 2020-01-01 00:00:00 UTC: the session is not frozen
        c7: delete it, and its reason: frozen_until ["2020-01-01T00:00:00.5","delete"], freeze_reason [null,"delete"]; no advice
      anomaly:c8:frozen_until: freeze_without_ttl (null)
        a freeze without a TTL: it stays after its freeze has ended, until a request comes
        c8: let it, and its reason, end with its freeze: frozen_until ["2099-01-01T00:00:00",{"end":"2099-01-01T00:00:00.000Z"}], freeze_reason [null,{"end":"2099-01-01T00:00:00.000Z"}]; no advice
      anomaly:d1:freeze_reason: freeze_reason_wrong_type (null)
        a Redis list: every request fails with HTTP 500 while the session is frozen
        d1: delete it: freeze_reason [true,"delete"]; no advice
      anomaly:d2:freeze_reason: freeze_reason_without_freeze (null)
        a reason without a freeze: the session is not frozen
        d2: delete it: freeze_reason ["Ã©","delete"], frozen_until [false,"stay"]; no advice
      anomaly:d3:freeze_reason: freeze_reason_without_freeze (null)
        a reason without a freeze: the session is not frozen
        d3: delete it: freeze_reason ["why","delete"], frozen_until [false,"stay"]; no advice
      anomaly:e1:requests:1min: requests_not_count (500)
        '1.5', which is not a count: every request fails with HTTP 500
        e1: delete it: requests:1min ["1.5","delete"]; no advice
      anomaly:e2:requests:1min: requests_wrong_type (500)
        a Redis list: every request fails with HTTP 500
        e2: delete it: requests:1min [true,"delete"]; no advice
      anomaly:e3:requests:1min: requests_without_ttl (null)
        a record without a TTL: it counts until a request comes, however late
        e3: let it end in 60 s: requests:1min ["7",{"end":60000}]; no advice
      anomaly:f1:identical_count: identical_count_not_count (null)
        'one', which is not a count: a request that is the same as the last fails with HTTP 500
        f1: delete it: identical_count ["one","delete"]; no advice
      anomaly:f2:identical_count: identical_count_wrong_type (null)
        a Redis list: a request that is the same as the last fails with HTTP 500
        f2: delete it: identical_count [true,"delete"]; no advice
      anomaly:f3:identical_count: identical_count_without_ttl (null)
        a record without a TTL: it counts until a request comes, however late
        f3: let it end in 300 s: identical_count ["1",{"end":300000}]; no advice
      anomaly:g1:last_hash: last_hash_wrong_type (500)
        a Redis list: every request fails with HTTP 500
        g1: delete it: last_hash [true,"delete"]; no advice
      anomaly:g2:last_hash: last_hash_without_ttl (null)
        a record without a TTL: it counts until a request comes, however late
        g2: let it end in 300 s: last_hash ["abc",{"end":300000}]; no advice
      anomaly:h1:history: history_wrong_type (500)
        a Redis string: every request fails with HTTP 500
        h1: delete it: history ["[]","delete"]; no advice
      anomaly:h2:history: history_wrong_type (500)
        a Redis hash: every request fails with HTTP 500
        no repair; delete_key
      anomaly:i1:velocity: velocity_wrong_type (500)
        a Redis list: every request fails with HTTP 500
        no repair; delete_key
      anomaly:i2:velocity: velocity_wrong_type (500)
        a Redis string: every request fails with HTTP 500
        i2: delete it: velocity ["0","delete"]; no advice
      session:a1:budget: budget_not_money (503)
        'nan', which is not an amount: every request fails with HTTP 503
        no repair; set_budget
      session:a2:budget: budget_not_money (503)
        'fünf', which is not an amount: every request fails with HTTP 503
        no repair; set_budget
      session:a3:budget: budget_wrong_type (503)
        a Redis list: every request fails with HTTP 503
        no repair; set_budget
      session:a4:budget: budget_infinite (null)
        'inf': the session spends without limit
        no repair; set_budget
      session:a5:budget: budget_infinite (500)
        '-Infinity': every request fails with HTTP 500
        no repair; set_budget
      session:a6:budget: budget_expires (null)
        a budget that ends by itself: then the session gets the gateway's default budget
        no repair; set_budget
      session:b1:spent: spent_not_money (503)
        'NaN', which is not an amount: every request fails with HTTP 503
        no repair; reset_spent
      session:b2:spent: spent_not_money (503)
        '$1', which is not an amount: every request fails with HTTP 503
        no repair; reset_spent
      session:b3:spent: spent_wrong_type (503)
        a Redis list: every request fails with HTTP 503
        no repair; delete_key
      session:b4:spent: spent_infinite (500)
        'inf': every request fails with HTTP 500
        no repair; reset_spent
      session:b5:spent: spent_infinite (null)
        '-inf': the session spends without limit
        no repair; reset_spent
      session:b6:spent: spent_negative (null)
        '-0.5': the session may spend more than its budget
        no repair; reset_spent
      session:b7:spent: spent_expires (null)
        spending that ends by itself: then the session spends its budget once more
        b7: take its end away: spent ["0.50",{"end":"never"}]; no advice
      session:b8:spent: spent_without_budget (null)
        spending without a budget: the next request gets the gateway's default budget
        no repair; set_budget or reset_session
      tokengate:grants:q1: grants_wrong_type (null)
        a Redis list: they never end, and renew-budgets fails on them
        no repair; delete_key
      tokengate:grants:q2: grants_unreadable (null)
        'x', which is no list of grants: they never end, and renew-budgets fails on them
        no repair; delete_key
      tokengate:grants:q3: grants_empty (null)
        an empty list of grants: it means nothing
        q3: delete it: grants ["[]","delete"]; no advice
      tokengate:grants:q4: grants_expire (null)
        grants whose list ends by itself: then what was granted is never taken off again
        q4: take its end away: grants ["[{\\"id\\":\\"k7\\",\\"amount\\":\\"5\\",\\"until\\":\\"2099-01-01T00:00:00.000Z\\",\\"note\\":\\"\\"}]",{"end":"never"}]; no advice
      tokengate:grants:q5: grants_without_period (null)
        a grant of $5.00 until the next renewal, of a budget that does not renew: it never ends
        no repair; revoke_grant or set_period
      tokengate:grants:without: grants_without_budget (null)
        grants without a budget: their end takes them off the gateway's default budget
        no repair; revoke_grants or set_budget
      tokengate:period:p1: period_wrong_type (null)
        a Redis list: renew-budgets fails on it, and its budget does not renew
        no repair; set_period or end_period
      tokengate:period:p2: period_unreadable (null)
        'monthly', which is no period: renew-budgets fails on it, and its budget does not renew
        no repair; set_period or end_period
      tokengate:period:p3: period_unknown_timezone (null)
        the time zone 'Mars/Olympus', which this Node.js does not know: renew-budgets fails on it, and its budget does not renew
        no repair; set_period or end_period
      tokengate:period:p4: period_expires (null)
        a period that ends by itself: then its budget no longer renews
        p4: take its end away: period ["{\\"every\\":\\"day\\",\\"timezone\\":\\"UTC\\",\\"at\\":\\"00:00\\",\\"on\\":null,\\"amount\\":\\"5\\",\\"rollover\\":\\"none\\",\\"max_rollover\\":null,\\"renewed\\":\\"2026-01-01T00:00:00.000Z\\",\\"carried\\":\\"0\\"}",{"end":"never"}]; no advice
      tokengate:period:without: period_without_budget (null)
        a period without a budget: until it renews, the session gets the gateway's default budget at its next request
        no repair; set_budget or end_period"
    `);
  });

  test('nothing in what is as the gateway writes it', async () => {
    for (const [key, value, ttl] of [
      ['session:a:budget', '10.0'],
      ['session:a:spent', '0.02643664999999999982'],
      ['session:b:budget', '1e+16'],
      ['session:b:spent', '0'],
      ['anomaly:a:frozen_until', gatewayTime(Date.now() + HOUR), HOUR],
      ['anomaly:a:freeze_reason', 'why', HOUR],
      ['anomaly:b:frozen_until', '9999-12-31T23:59:59'],
      ['anomaly:b2:frozen_until', '9999-12-31T23:59:59.999999'],
      ['anomaly:b:freeze_reason', 'no end'],
      ['anomaly:c:frozen_until', '9999-01-01T00:00:00'],
      ['anomaly:a:requests:1min', '99', 60_000],
      ['anomaly:a:identical_count', '2', 300_000],
      ['anomaly:a:last_hash', 'not a count', 300_000],
      ['anomaly:a:history', LIST, HOUR],
    ] as [string, Value, number?][]) {
      await write(key, value, ttl);
    }
    await server.client.zAdd('anomaly:a:velocity', {score: 0, value: 'x'});
    expect(await check(redis)).toEqual([]);
  });

  test('nothing in what was over a moment ago, or is left of it for a moment', async () => {
    await write('anomaly:a:frozen_until', gatewayTime(Date.now()), HOUR);
    await write('anomaly:b:freeze_reason', 'why', 4000);
    expect(await check(redis)).toEqual([]);
    await write('anomaly:a:frozen_until', gatewayTime(Date.now() - 6000), HOUR);
    await write('anomaly:b:freeze_reason', 'why', 60_000);
    expect(await problems(redis)).toEqual([
      'anomaly:a:frozen_until freeze_over',
      'anomaly:b:freeze_reason freeze_reason_without_freeze',
    ]);
  });

  test('ends that are missing, and takes them from what has one', async () => {
    const end = Date.now() + HOUR;
    await write('anomaly:a:frozen_until', `${gatewayTime(end + HOUR)}Z`, HOUR);
    await write('anomaly:b:frozen_until', gatewayTime(end), HOUR);
    await write('anomaly:b:freeze_reason', 'why');
    const found = (await check(redis)).filter(isFixable);
    expect(found.map(({problem, what, effect, answer, advice}) => ({problem, what, effect, answer, advice}))).toEqual([
      expect.objectContaining({problem: 'frozen_until_offset'}),
      {
        problem: 'freeze_reason_without_ttl',
        what: 'a reason without a TTL',
        effect: 'it stays after its freeze has ended',
        answer: null,
        advice: [],
      },
    ]);
    expect(found.map(({repair}) => repair.action)).toEqual([
      `write ${gatewayTime(end + HOUR)}`,
      'let it end with its freeze',
    ]);
    for (const {repair} of found) {
      expect(repair.steps.slice(0, 1)).toEqual([
        expect.objectContaining({to: expect.objectContaining({end: expect.any(Date)})}),
      ]);
      const {end: written} = repair.steps[0]!.to as {end: Date};
      expect(Math.abs(written.getTime() - end)).toBeLessThan(60_000);
    }
  });

  test('a reason that stays behind a freeze that is no text, or has no end either', async () => {
    await write('anomaly:a:frozen_until', LIST, HOUR);
    await write('anomaly:a:freeze_reason', 'why');
    await write('anomaly:b:frozen_until', '2099-01-01T00:00:00');
    await write('anomaly:b:freeze_reason', 'why');
    expect(await problems(redis)).toEqual([
      'anomaly:a:freeze_reason freeze_reason_without_ttl',
      'anomaly:a:frozen_until frozen_until_wrong_type',
      'anomaly:b:frozen_until freeze_without_ttl',
    ]);
  });

  test('several things of one key', async () => {
    await write('session:x:spent', '-1', HOUR);
    await write('session:y:budget', 'inf', HOUR);
    expect(await problems(redis)).toEqual([
      'session:x:spent spent_expires',
      'session:x:spent spent_negative',
      'session:x:spent spent_without_budget',
      'session:y:budget budget_expires',
      'session:y:budget budget_infinite',
    ]);
  });

  test('nothing in keys of others, nor in those that hold no ID', async () => {
    await server.client.mSet({
      'session::budget': 'nan',
      'session:budget': 'nan',
      'anomaly:requests:1min': 'many',
      'session:x:limit': 'nan',
      'session:x:frozen_until': 'soon',
      'anomaly:x:budget': 'nan',
      'tokengate:session:x:budget': 'nan',
      'xsession:x:budget': 'nan',
      'session:x:budgets': 'nan',
    });
    const pages = [];
    for await (const page of checkStore(redis, {isPrintable: () => true})) pages.push(page);
    expect(pages.map(({findings}) => findings).flat()).toEqual([]);
    expect(pages.map(({keys}) => keys).reduce((sum, keys) => sum + keys)).toBe(0);
  });

  test('an ID that cannot be shown once, whatever keys it has', async () => {
    await server.client.mSet({'session:bad:budget': '1', 'session:bad:spent': '0', 'session:good:budget': '1'});
    await write('anomaly:bad:requests:1min', '1', HOUR);
    const name = Buffer.from('session:\xff:budget', 'latin1');
    await server.client.set(name, '1');
    const found = await check(redis, {isPrintable: (text) => text !== 'bad'});
    const [unprintable, noText, ...more] = found.sort((a, b) => (a.problem < b.problem ? -1 : 1));
    expect(more).toEqual([]);
    const nothing = {answer: null, repair: null, advice: []};
    expect(unprintable).toEqual({
      ...nothing,
      id: 'bad',
      key: expect.stringContaining(':bad:') as string,
      problem: 'id_not_printable',
      what: 'an ID with characters that are not printable',
      effect: 'a program that prints it unescaped may be misled',
    });
    expect(noText).toEqual({
      ...nothing,
      id: '\xff',
      key: String.raw`session:\xff:budget`,
      problem: 'id_not_text',
      what: 'an ID that is not UTF-8',
      effect: 'no API client can have sent it, and no command can name it',
    });
  });

  test('only what a glob lets through', async () => {
    for (const id of ['a', 'a:b', 'ab', 'a*', 'ä']) await write(`session:${id}:budget`, 'nan');
    const found = async (match: string): Promise<string[]> => (await check(redis, {match})).map(({id}) => id);
    expect(await found('a')).toEqual(['a']);
    expect(await found(String.raw`a\*`)).toEqual(['a*']);
    expect(await found('a[:b]*')).toEqual(['a:b', 'ab']);
    expect(await found('ä')).toEqual([Buffer.from('ä').toString('latin1')]);
  });
});

describe('a check', () => {
  test('reads again only what seems wrong, and leaves out what is right by then', async () => {
    await server.client.mSet({'session:a:budget': '10', 'session:b:budget': '10'});
    const sent: unknown[] = [];
    let reads = 0;
    const observed: Redis = {
      ...redis,
      async pipelineBytes(commands) {
        const names = commands.map(([name]) => name);
        sent.push(...names);
        if (names.includes('EVAL') && ++reads === 3) {
          await server.client.mSet({'session:b:budget': '10', 'session:c:budget': '10'});
          await server.client.del('session:d:budget');
        }
        return redis.pipelineBytes(commands);
      },
    };
    expect(await problems(observed)).toEqual([]);
    expect(sent).toEqual(['SCAN', 'EVAL', 'SCAN', 'SCAN']);
    await server.client.mSet({'session:a:budget': 'nan', 'session:b:budget': 'nan', 'session:c:spent': '1'});
    await server.client.lPush('session:d:budget', 'x');
    expect(await problems(observed)).toEqual(['session:a:budget budget_not_money']);
    expect(reads).toBe(3);
  });

  test('finds the same in many keys, in groups, as in each alone', async () => {
    const ids = Array.from({length: 450}, (_, index) => `s${String(index).padStart(3, '0')}`);
    await server.client.mSet(ids.flatMap((id) => [`session:${id}:budget`, '1', `session:${id}:spent`, '-1']));
    await server.client.mSet({'session:alone:spent': '1', 'session:z:budget': 'nan'});
    expect(await problems(redis)).toEqual([
      'session:alone:spent spent_without_budget',
      ...ids.map((id) => `session:${id}:spent spent_negative`),
      'session:z:budget budget_not_money',
    ]);
  });

  test('finds the same for a user who may not run scripts', async () => {
    for (const [key, value, ttl] of POISONS) await write(key, value, ttl);
    const reader = await connectAs('-eval');
    const asReader = await check(reader);
    expect(asReader.length).toBeGreaterThanOrEqual(POISONS.length);
    expect(asReader).toEqual(await check(redis));
  });

  test('reads of a text no more than counts', async () => {
    await write('anomaly:x:requests:1min', 'é'.repeat(5000), HOUR);
    for (const on of [redis, await connectAs('-eval')]) {
      const [found] = (await check(on)).filter(isFixable);
      expect(found?.what).toBe(`'${'é'.repeat(60)}…', which is not a count`);
      expect(found?.repair.steps[0]?.expected).toBe('\xc3\xa9'.repeat(1024));
    }
  });

  test.each([
    ['resetkeys', '~session:*'],
    ['resetkeys', '~session:*', '-eval'],
    ['-eval', '-getrange'],
  ])('of what may not be read is an error: %s %s %s', async (...rights) => {
    await write('session:x:budget', '1');
    await write('anomaly:x:requests:1min', '1', HOUR);
    await expect(check(await connectAs(...rights))).rejects.toMatchObject({code: 'REDIS_NO_PERMISSION'});
    expect(await check(redis)).toEqual([]);
  });

  test('needs a right to the keys of sessions alone', async () => {
    for (const [key, value, ttl] of POISONS) await write(key, value, ttl);
    const found = await check(await connectAs('resetkeys', '~session:*', '~anomaly:*'));
    expect(found).toEqual((await check(redis)).filter(({key}) => !key.startsWith('tokengate:')));
  });
});
