import type {Command, Redis} from './contract.js';
import {scanServer} from './scan-server.js';

/** Keys that match a pattern, page by page; while one is used the next is under way. A key may come twice. */
export async function* scanKeys(redis: Redis, pattern: string): AsyncGenerator<Buffer[]> {
  if (redis.cluster !== undefined) {
    yield* redis.cluster.scan(pattern);
    return;
  }
  const ask = async (command: Command): Promise<unknown> => (await redis.pipelineBytes([command]))[0];
  yield* scanServer({ask, explain: (reply) => redis.explain(reply)}, pattern);
}
