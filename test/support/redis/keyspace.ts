import type {TestRedis} from './redis-server.js';

/** The keys of the gateway's, sorted. */
export async function gatewayKeys({client}: TestRedis): Promise<string[]> {
  const keys = await client.sendCommand<string[]>(['KEYS', '*']);
  return keys.filter((key) => !key.startsWith('tokengate:')).sort();
}

/** Every key of the gateway with its value and expiry, to compare what a command left behind. */
export async function dumpKeyspace(redis: TestRedis): Promise<Record<string, string>> {
  const {client} = redis;
  const keys = await gatewayKeys(redis);
  const entries = keys.map(async (key) => {
    const [value, end] = await Promise.all([
      client.sendCommand<string>(['EVAL', "return redis.sha1hex(redis.call('DUMP', KEYS[1]))", '1', key]),
      client.sendCommand<number>(['PEXPIRETIME', key]),
    ]);
    return [key, `${value} ${end}`];
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
}
