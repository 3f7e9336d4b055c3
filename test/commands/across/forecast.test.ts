import {beforeEach, describe, expect, test} from 'vitest';

import {run} from '../../support/program/run.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
const LEDGER = 'tokengate:{spending}:ledger';
const HOUR = 3_600_000;
const hour = (at: number): string => `tokengate:{spending}:hour:${new Date(at).toISOString().slice(0, 13)}`;
const day = (at: number): string => new Date(at).toISOString().slice(0, 10);

/** As if recording had begun so many hours ago, and the last one had been just now. */
async function recorded({hours, ago = 0}: {hours: number; ago?: number}): Promise<number> {
  const last = Date.now() - ago;
  const began = last - hours * HOUR;
  const days = Object.fromEntries(
    Array.from({length: Math.ceil(hours / 24) + 1}, (_, nth) => [
      `day:${day(began + nth * 24 * HOUR)}`,
      `${began} ${last} 0 0`,
    ]),
  );
  await redis.client.hSet(LEDGER, {timezone: 'UTC', began, recorded: last, position: '0-0', ...days});
  return last;
}
interface Forecast {
  session_id: string;
  spent_per_hour: number | null;
  spent_per_hour_of_day: number | null;
  seconds_until_empty: number | null;
}
const jsonOf = async (line: string): Promise<unknown> => {
  const {stdout, stderr} = await run(line, redis);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
};

beforeEach(async () => {
  await redis.client.mSet({
    'session:a:budget': '10',
    'session:a:spent': '4',
    'session:b:budget': '5',
    'session:b:spent': '1',
  });
});

describe('rates and when a budget is empty', () => {
  test('are unknown below two recordings, and while none is recorded', async () => {
    const unknown = {spent_per_hour: null, spent_per_hour_of_day: null, seconds_until_empty: null};
    await run('record-spending', redis);
    for (const command of ['get-budget', 'explain-session']) {
      const fields = Object.keys((await jsonOf(`${command} a --json`)) as object);
      expect(fields.filter((name) => Object.hasOwn(unknown, name))).toEqual([]);
    }
    expect(await jsonOf('list-sessions --columns id,rate,empties --json')).toEqual(
      ['a', 'b'].map((id) => ({session_id: id, ...unknown})),
    );
    expect((await run('get-budget a', redis)).stdout).not.toContain('Rate:');
  });

  test('are those of the last hour and the last day, by hours of which the oldest counts in part', async () => {
    const last = await recorded({hours: 100});
    const part = (last % HOUR) / HOUR;
    await redis.client.hSet(hour(last), {a: '1'});
    await redis.client.hSet(hour(last - HOUR), {a: '2'});
    await redis.client.hSet(hour(last - 10 * HOUR), {a: '3'});
    await redis.client.hSet(hour(last - 24 * HOUR), {a: '24'});
    const one = (await jsonOf('get-budget a --json')) as Forecast;
    const [perHour, perDay] = [1 + 2 * (1 - part), (1 + 2 + 3 + 24 * (1 - part)) / 24];
    expect(one.spent_per_hour).toBeCloseTo(perHour, 4);
    expect(one.spent_per_hour_of_day).toBeCloseTo(perDay, 4);
    expect(Math.abs(one.seconds_until_empty! - (6 / Math.max(perHour, perDay)) * 3600)).toBeLessThan(2);
    const [a, b] = (await jsonOf('list-sessions --columns id,rate,empties --json')) as Forecast[];
    expect(a).toEqual({
      session_id: 'a',
      spent_per_hour: one.spent_per_hour,
      spent_per_hour_of_day: one.spent_per_hour_of_day,
      seconds_until_empty: one.seconds_until_empty,
    });
    expect(b).toEqual({session_id: 'b', spent_per_hour: 0, spent_per_hour_of_day: 0, seconds_until_empty: null});
    expect((await run('get-budget a', redis)).stdout).toMatch(
      /\nRate: {6}\$\d+\.\d{4}\/h in the last hour, \$\d+\.\d{4}\/h in the last day; empty in about \d+h(\d+m)?\n/,
    );
    expect((await run('explain-session a', redis)).stdout).toMatch(/\nRate: +\$\d/);
    expect((await run('list-sessions --columns id,empties', redis)).stdout).toMatch(
      /║ a +║ \d+h(\d+m)? +║\n║ b +║ - +║/,
    );
  });

  test('a budget that renews before lasts', async () => {
    await run('set-period a --every day --amount 10', redis);
    const last = await recorded({hours: 100});
    await redis.client.hSet(hour(last), {a: '0.000001'});
    expect((await run('list-sessions --columns id,empties', redis)).stdout).toMatch(/║ a +║ lasts +║/);
    expect(await jsonOf('get-budget a --json')).toMatchObject({seconds_until_empty: null});
    expect((await run('get-budget a', redis)).stdout).toContain('; lasts until it renews\n');
  });

  test('of a recorder that is down nothing is known', async () => {
    const last = await recorded({hours: 100, ago: 2 * HOUR});
    await redis.client.hSet(hour(last), {a: '1'});
    const {spent_per_hour: perHour, spent_per_hour_of_day: perDay} = (await jsonOf('get-budget a --json')) as Forecast;
    expect(perHour).toBe(null);
    expect(perDay).toBeGreaterThan(0);
  });

  test('check-sessions finds what will be empty, and what spends too fast, by the ledger', async () => {
    const none = await run('check-sessions --empty-within 24h --json', redis);
    expect(none.code).toBe(1);
    expect((JSON.parse(none.stderr) as {error: object}).error).toMatchObject({code: 'NOT_RECORDED'});
    const last = await recorded({hours: 0.5});
    await redis.client.hSet(hour(last), {a: '1'});
    const found = await run('check-sessions --empty-within 24h --max-rate 1/h --json', redis);
    expect(found.code).toBe(2);
    const {findings} = JSON.parse(found.stdout) as {findings: {check: string; session_id: string; threshold: number}[]};
    expect(findings.map(({check, session_id: id, threshold}) => [check, id, Number(threshold.toFixed(4))])).toEqual([
      ['rate', 'a', 0.0167],
      ['empties', 'a', 86_400],
    ]);
    expect((await run('check-sessions --empty-within 24h', redis)).stdout).toContain(
      "WARNING 'a': is empty in about 3h at the rate that is recorded, within 1d ($4.00 of $10.00, $6.00 left)",
    );
    expect((await run('check-sessions --empty-within 2h', redis)).code).toBe(0);
    await run('set-period a --every year --amount 10', redis);
    expect((await run('check-sessions --empty-within 24h', redis)).code).toBe(2);
  });
});

describe('idle sessions', () => {
  test('are those that have neither spent nor asked', async () => {
    const last = await recorded({hours: 40 * 24});
    await redis.client.mSet({'session:c:budget': '1', 'session:d:budget': '1', 'session:e:budget': '1'});
    await redis.client.hSet(`tokengate:{spending}:seen`, {a: '4 0-0', b: '0.5 0-0'});
    await redis.client.hSet(`tokengate:{spending}:day:${day(last - 5 * 24 * HOUR)}`, {c: '0.1'});
    await redis.client.rPush('anomaly:e:history', '{}');
    const idle = async (flags: string): Promise<string> =>
      (await run(`list-sessions --format ids ${flags}`, redis)).stdout;
    // b has spent since the last recording, c five days ago, and e has asked.
    expect(await idle('--idle 30d')).toBe('a\nd\n');
    expect(await idle('--idle 2d')).toBe('a\nc\nd\n');
    expect(await idle('--idle 2d --limit 1 --match [b-d]')).toBe('c\n');
    const {stdout} = await run('reset-session --idle 30d --yes --json', redis);
    const {results} = JSON.parse(stdout) as {results: {session_id: string}[]};
    expect(results.map(({session_id: id}) => id)).toEqual(['a', 'd']);
  });

  test('are never guessed', async () => {
    await recorded({hours: 48});
    const {code, stderr} = await run('freeze-session --idle 30d --yes --json', redis);
    expect(code).toBe(1);
    expect((JSON.parse(stderr) as {error: object}).error).toMatchObject({
      code: 'NOT_RECORDED',
      message: 'It is not known which sessions have been idle for 30d.',
    });
    expect((await run('list-sessions --idle 30d', redis)).code).toBe(1);
  });
});
