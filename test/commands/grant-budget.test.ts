import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {amountsOf} from '../support/redis/periods.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

describe('grant-budget', () => {
  test('adds to the budget at once', async () => {
    await loadSessions(redis, {a: ['10.25', '4']});
    const {stdout} = await run("grant-budget a 5 --until 2099-12-24T00:00Z --note 'a b' --json", redis);
    expect(JSON.parse(stdout)).toMatchObject({
      session_id: 'a',
      amount: 5,
      until: '2099-12-24T00:00:00.000Z',
      note: 'a b',
      budget: 15.25,
    });
    expect(await amountsOf(redis, 'a')).toEqual(['15.25', '4']);
  });

  test.each([
    ['grant-budget a 5', 'INVALID_USAGE'],
    ['grant-budget a 5 --for 1d --this-period', 'INVALID_USAGE'],
    ['grant-budget a 0 --for 1d', 'INVALID_AMOUNT'],
    ['grant-budget a 5 --until 2001-01-01', 'INVALID_TIME'],
    ['grant-budget a 5 --this-period', 'NO_PERIOD'],
    ['grant-budget nobody 5 --for 1d', 'SESSION_NOT_FOUND'],
  ])('%s is refused', async (line, code) => {
    await loadSessions(redis, {a: ['10']});
    const output = await run(`${line} --json`, redis);
    expect(output.code).toBe(1);
    expect(JSON.parse(output.stderr)).toMatchObject({error: {code}});
    expect(await amountsOf(redis, 'a')).toEqual(['10', null]);
  });
});
