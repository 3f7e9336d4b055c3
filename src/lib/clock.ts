import {TokengateError} from './errors.js';
import type {Redis} from './redis.js';

/**
 * The time by the Redis server's clock: a freeze set by a laptop whose clock is slow would be over before it began. The
 * local time when the user may not ask.
 */
export async function serverTime(redis: Redis): Promise<Date> {
  try {
    const [seconds, microseconds] = (await redis.send(['TIME'])) as [string, string];
    return new Date(Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000));
  } catch (error) {
    if (error instanceof TokengateError && error.code === 'REDIS_NO_PERMISSION') return new Date();
    throw error;
  }
}
