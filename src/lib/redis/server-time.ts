/**
 * The time by the Redis server's clock. This machine's clock may be wrong: if it were slow, a freeze would be over
 * before it began. Where the user may not ask, or the server does not know, it is the local time, and
 * `server.isLocalTime` says so.
 */
export async function serverTime(redis: Redis): Promise<Date> {
  const [reply] = await redis.pipeline([['TIME']]);
  return toServerTime(redis, reply);
}

/** Reads the reply to TIME. */
export function toServerTime(redis: Redis, reply: unknown): Date {
  if (reply instanceof ErrorReply) {
    if (!/^NOPERM|unknown command/i.test(reply.message)) throw redis.explain(reply);
    redis.server.isLocalTime = true;
    return new Date();
  }
  const [seconds, microseconds] = reply as [string, string];
  return new Date(Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000));
}
import {ErrorReply, type Redis} from './contract.js';
