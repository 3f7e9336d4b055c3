import {COMPARE_AND_SET_FIELDS} from '../lua/scripts.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';

/** The change of one field of a hash. Names and values are bytes, one character a byte. */
export interface FieldWrite {
  key: string;
  field: string;
  /** The value that the field must have; null for none. */
  expected: string | null;
  /** Null to remove the field; undefined to leave it. */
  next?: string | null;
}

/** Groups in one run of the script. */
const CHUNK = 250;

/**
 * Writes groups of fields: each group as a whole, and only if all its fields still have the expected values. All keys
 * share one slot.
 *
 * @param lives TTLs of keys, in seconds
 * @returns for each group whether it was written
 */
export async function compareAndSet(
  redis: Redis,
  groups: readonly (readonly FieldWrite[])[],
  lives: ReadonlyMap<string, number> = new Map(),
): Promise<boolean[]> {
  const written: boolean[] = [];
  for (const chunk of inGroups(groups, CHUNK)) {
    const keys = [...new Set(chunk.flatMap((group) => group.map(({key}) => key)))];
    const items = chunk.map((group) =>
      group.flatMap(({key, field, expected, next = true}) => [
        keys.indexOf(key) + 1,
        field,
        expected ?? false,
        next ?? false,
      ]),
    );
    const ttls = keys.map((key) => String(lives.get(key) ?? 0));
    const plan = Buffer.from(JSON.stringify(items), 'latin1');
    const [reply] = await redis.pipeline([
      ['EVAL', COMPARE_AND_SET_FIELDS, String(keys.length), ...keys, plan, ...ttls],
    ]);
    if (reply instanceof ErrorReply) throw redis.explain(reply);
    written.push(...(reply as number[]).map((done) => done === 1));
  }
  return written;
}
