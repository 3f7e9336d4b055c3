import {toRedisText} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import type {Stored} from '../journal/entry.js';
import {COMPARE_AND_SET} from '../lua/scripts.js';
import type {RedisText} from '../redis/contract.js';
import {nameOf, type RawId} from '../values/session-id.js';
import type {PlannedChange, ScriptedChange, Write} from './change.js';

/** Writes a plan where the session still holds the values that it was planned on; leaves the others undecided. */
export function compareAndSet<T>(
  {shapes, lookAt, preview}: PlannedChange<T>,
  writes: ReadonlyMap<RawId, Write<T>>,
): ScriptedChange<T> {
  return {
    ...{shapes, lookAt, preview},
    scripts: {change: COMPARE_AND_SET},
    args: [],
    pack: (group) =>
      packWrites(
        group.map((id) => writes.get(id)),
        shapes.length,
      ),
    read(id, word) {
      const write = writes.get(id);
      if (word === 'moved' || write === undefined) return undefined;
      return {id: nameOf(id), state: 'done', result: write.result};
    },
  };
}

/** Texts of at least this length are sent once for all sessions of a run: many share a period. */
const LONG = 24;
/** The number of no argument: no key holds that. */
const IMPOSSIBLE = 0;

/** What to expect and to write; values for keys at the end that are left out do not matter. */
interface Packed {
  expected: readonly (Held | null)[];
  next: readonly (Stored | null)[];
}

/** The arguments of COMPARE_AND_SET for sessions of `width` keys. A session without a plan counts as moved. */
export function packWrites(writes: readonly (Packed | undefined)[], width: number): RedisText[] {
  const args: RedisText[] = [''];
  const shared = new Map<string, number>();
  const plans: (Held | Stored | number | null)[] = [];
  const add = (value: Held | Stored | null): void => {
    if (typeof value !== 'string' || value.length < LONG) {
      plans.push(value);
      return;
    }
    const number = shared.get(value) ?? args.push(toRedisText(value));
    shared.set(value, number);
    plans.push(number);
  };
  for (const write of writes) {
    if (write === undefined) {
      for (let key = 0; key < 2 * width; key++) plans.push(IMPOSSIBLE);
    } else {
      const {expected, next} = write;
      for (let key = 0; key < width; key++) add(expected[key] ?? null);
      for (let key = 0; key < width; key++) add(next[key] ?? null);
    }
  }
  args[0] = toRedisText(JSON.stringify(plans));
  return args;
}
