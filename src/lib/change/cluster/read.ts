import {type KeyShape, keysOf} from '../../gateway/keys.js';
import type {Held} from '../../gateway/stored-value.js';
import type {Stored} from '../../journal/entry.js';
import {ErrorReply, NoReply, orNoReply, type Redis, type RedisText} from '../../redis/contract.js';
import {inGroups} from '../../values/chunks.js';
import type {RawId} from '../../values/session-id.js';

/** The value of one key when it was read. */
export interface Found {
  shape: KeyShape;
  old: Held;
  /** With its TTL; a DUMP if it is not a text. */
  state: Stored;
}

/** Milliseconds; -1 for a key without a TTL, or no key. */
export function ttlOf(found: Found | undefined): number {
  return Array.isArray(found?.state) ? found.state[1] : -1;
}

/** Reads keys of sessions with everything that is needed to restore them. Never rejects. */
export async function readFound(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
): Promise<[RawId, Found[] | ErrorReply | NoReply][]> {
  const readings = await orNoReply(readKeys(redis, keysOf(shapes, ids)));
  if (readings instanceof NoReply) return ids.map((id) => [id, readings]);
  const bySession = inGroups(readings, shapes.length);
  return ids.map((id, position) => {
    const found: Found[] = [];
    for (const [index, shape] of shapes.entries()) {
      const reading = bySession[position]?.[index] ?? {old: false, state: false};
      if (reading instanceof ErrorReply) return [id, reading];
      found.push({shape, ...reading});
    }
    return [id, found];
  });
}

type Reading = Omit<Found, 'shape'> | ErrorReply;

async function readKeys(redis: Redis, keys: readonly RedisText[]): Promise<Reading[]> {
  const replies = inGroups(
    await redis.pipelineBytes(
      keys.flatMap((key) => [
        ['GET', key],
        ['PTTL', key],
      ]),
    ),
    2,
  );
  const others = keys.filter((_, index) => isNoText(replies[index]?.[0]));
  const dumps = (others.length === 0 ? [] : await redis.pipelineBytes(others.map((key) => ['DUMP', key]))).values();
  return replies.map(([value, life]): Reading => {
    if (life instanceof ErrorReply) return life;
    const ttl = Number(life);
    if (isNoText(value)) {
      const dump: unknown = dumps.next().value;
      if (dump instanceof ErrorReply) return dump;
      return {old: true, state: [Buffer.isBuffer(dump) ? dump.toString('latin1') : '', ttl, 'dump']};
    }
    if (value instanceof ErrorReply) return value;
    if (!Buffer.isBuffer(value)) return {old: false, state: false};
    const text = value.toString('latin1');
    return {old: text, state: ttl < 0 ? text : [text, ttl]};
  });
}

function isNoText(reply: unknown): boolean {
  return reply instanceof ErrorReply && reply.message.includes('WRONGTYPE');
}
