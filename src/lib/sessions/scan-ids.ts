import type {KeyShape} from '../gateway/keys.js';
import type {Redis} from '../redis/contract.js';
import {matchesGlob, narrow} from '../values/glob.js';
import {rawId, type RawId} from '../values/session-id.js';
import {sortedOnce} from './sorted-ids.js';

/** The IDs in all keys of a shape that match a Redis glob, each once, sorted. */
export async function scanIds(redis: Redis, shape: KeyShape, glob?: string): Promise<RawId[]> {
  const ids: RawId[] = [];
  // Each page is sorted while the server makes the next one, which halves what is left to do at the end.
  for await (const [page] of scanPages(redis, [shape], glob)) for (const id of page.sort()) ids.push(id);
  return sortedOnce(ids);
}

/**
 * The IDs in the keys of one or two shapes, from one scan of the keyspace, page by page: a list for each shape. An ID
 * may come twice.
 */
export async function* scanPages(
  redis: Redis,
  shapes: readonly [KeyShape, KeyShape?],
  glob = '*',
): AsyncGenerator<[RawId[], RawId[]]> {
  const [one, other = one] = shapes;
  const {pattern, isExact} = narrow(glob);
  // A pattern for two suffixes also matches keys whose ID contains one of them.
  const bytesOfGlob = glob === '*' || (isExact && one === other) ? undefined : Buffer.from(glob);
  const both = `${eitherOf(one.prefix, other.prefix)}${pattern}${eitherOf(one.suffix, other.suffix)}`;
  const idIn = (key: Buffer, {prefix, suffix}: KeyShape): RawId =>
    rawId(key.toString('latin1', prefix.length, key.length - suffix.length));
  const idsIn = (keys: readonly Buffer[], shape: KeyShape): RawId[] => {
    const ids: RawId[] = [];
    for (const key of keys) {
      const id = idIn(key, shape);
      if (id === '' || (bytesOfGlob && !matchesGlob(bytesOfGlob, Buffer.from(id, 'latin1')))) continue;
      ids.push(id);
    }
    return ids;
  };
  for await (const keys of redis.scan(both)) {
    if (one === other) yield [idsIn(keys, one), []];
    else yield [idsIn(keys.filter(isOf(one)), one), idsIn(keys.filter(isOf(other)), other)];
  }
}

function isOf({prefix, suffix}: KeyShape): (key: Buffer) => boolean {
  const [first, last] = [Buffer.from(prefix), Buffer.from(suffix)];
  return (key) =>
    key.length >= first.length + last.length &&
    first.compare(key, 0, first.length) === 0 &&
    last.compare(key, key.length - last.length) === 0;
}

/** A Redis glob that matches both texts, and few others. */
function eitherOf(one: string, other: string): string {
  let glob = '';
  for (let index = 0; index < Math.min(one.length, other.length); index++) {
    const [a = '', b = ''] = [one[index], other[index]];
    glob += a === b ? a : `[${a}${b}]`;
  }
  return one.length === other.length ? glob : `${glob}*`;
}
