import {expect, test} from 'vitest';

import {toHeld} from '../../../../src/lib/gateway/stored-value.js';
import {ErrorReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let redis: Redis;
withRedis((own) => ({redis} = own));

test('a key holds a text, nothing, or what is no text', () => {
  const replies = ['1.5', '', null, new ErrorReply('WRONGTYPE Operation')];
  expect(replies.map((reply) => toHeld(redis, reply))).toEqual(['1.5', '', false, true]);
});

test('of bytes the text is bytes', () => {
  expect(toHeld(redis, Buffer.from('ü\xff'))).toBe(Buffer.from('ü\xff').toString('latin1'));
});

test('what may not be read is nothing to decide on', () => {
  expect(() => toHeld(redis, new ErrorReply('NOPERM no'))).toThrow(
    expect.objectContaining({code: 'REDIS_NO_PERMISSION'}),
  );
});
