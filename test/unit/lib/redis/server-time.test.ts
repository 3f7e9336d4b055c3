import {expect, test} from 'vitest';
import {ErrorReply, type Redis} from '../../../../src/lib/redis/contract.js';

import {serverTime, toServerTime} from '../../../../src/lib/redis/server-time.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let redis: Redis;
withRedis((own) => ({redis} = own));

test('the time is that of the server, to the millisecond', async () => {
  expect(toServerTime(redis, ['1763829192', '324963'])).toEqual(new Date('2025-11-22T16:33:12.324Z'));
  const before = Date.now();
  const at = await serverTime(redis);
  // One machine has one clock.
  expect(at.getTime()).toBeGreaterThanOrEqual(before - 1);
  expect(at.getTime()).toBeLessThanOrEqual(Date.now());
});

test('the time is that of this machine when the user may not ask, and no other refusal is passed over', () => {
  const before = Date.now();
  const at = toServerTime(redis, new ErrorReply("NOPERM this user has no permissions to run the 'time' command"));
  expect(at.getTime()).toBeGreaterThanOrEqual(before);
  expect(() => toServerTime(redis, new ErrorReply('ERR what a NOPERM'))).toThrow(
    expect.objectContaining({code: 'REDIS_ERROR'}),
  );
});
