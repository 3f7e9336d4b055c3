import {serverTime} from './clock.js';
import type {TokengateError} from './errors.js';
import type {RawId} from './ids.js';
import {keyOf, type KeyShape} from './keys.js';
import {type Command, ErrorReply, NoReply, type Redis} from './redis.js';

/** Puts one thing of a session right, if it is still as it was found. Texts are bytes, one character a byte. */
export interface Repair {
  id: RawId;
  /** What is done, as in "to …". */
  action: string;
  /** Redis's name of the type, `none` for no key; and the text, or its first `VALUE_LIMIT` bytes. */
  expected: {shape: KeyShape; type: string; text: string}[];
  /**
   * Null deletes; without a text the value stays. The lifetime ends at that time, or after so many milliseconds, or
   * never.
   */
  changes: {shape: KeyShape; to: {text?: string; lifetime: Date | number | null} | null}[];
}

export type RepairOutcome =
  | {state: 'fixed'}
  /** It was not as found any more, and was left alone. */
  | {state: 'changed'}
  | {state: 'failed'; error: TokengateError}
  /** The connection ended before the answer. */
  | {state: 'unknown'; error: TokengateError}
  /** The connection ended, or it was stopped, before its turn. */
  | {state: 'not_done'};

/** Values that are right are shorter, in bytes: of a longer one no more is read. */
export const VALUE_LIMIT = 2048;

/** Repairs that one question is asked about, and that are held in memory; another run makes those that are left. */
export const MAX_REPAIRS = 10_000;

/** Repairs in one flight. */
const CHUNK = 100;

/**
 * Makes repairs, each in one atomic step, in chunks of one flight each, and yields what became of each chunk. When
 * `stop` is aborted, or the connection ends, it begins no other.
 */
export async function* makeRepairs<T extends {repair: Repair}>(
  redis: Redis,
  findings: readonly T[],
  stop: AbortSignal,
): AsyncGenerator<{finding: T; outcome: RepairOutcome}[]> {
  const now = await serverTime(redis);
  let isOver = false;
  for (let start = 0; start < findings.length; start += CHUNK) {
    const chunk = findings.slice(start, start + CHUNK);
    isOver ||= stop.aborted;
    const replies: readonly (unknown[] | ErrorReply | NoReply)[] = isOver
      ? []
      : await redis.units(chunk.map(({repair}) => [toScript(repair, now)]));
    const results = chunk.map((finding, index) => ({finding, outcome: toOutcome(redis, replies[index])}));
    isOver ||= results.some(({outcome}) => outcome.state === 'unknown');
    yield results;
  }
}

function toOutcome(redis: Redis, reply: unknown[] | ErrorReply | NoReply | undefined): RepairOutcome {
  if (reply === undefined) return {state: 'not_done'};
  if (reply instanceof NoReply) return {state: 'unknown', error: reply.error};
  if (reply instanceof ErrorReply) return {state: 'failed', error: redis.explain(reply)};
  return {state: reply[0] === 1 ? 'fixed' : 'changed'};
}

function toScript({id, expected, changes}: Repair, now: Date): Command {
  const plan = {
    expected: expected.map(({type, text}) => [type, text]),
    changes: changes.map(({to}) => {
      if (to === null) return ['delete'];
      const {text, lifetime} = to;
      const ttl = lifetime instanceof Date ? Math.max(1, lifetime.getTime() - now.getTime()) : (lifetime ?? 0);
      return [text === undefined ? 'keep' : 'write', text ?? '', String(ttl)];
    }),
  };
  const keys = [...expected, ...changes].map(({shape}) => keyOf(shape, id));
  return ['EVAL', REPAIR, String(keys.length), ...keys, Buffer.from(JSON.stringify(plan), 'latin1')];
}

/**
 * KEYS: those that are expected, then those that are changed. ARGV: JSON of both, in that order: type and text; `delete`,
 * or `keep` or `write` with a text and a TTL in milliseconds, 0 for none. Returns 1, or 0 when something is not as
 * expected, and then has changed nothing. Only a first write is refused, if any is.
 */
const REPAIR = `
local plan = cjson.decode(ARGV[1])
for i, expected in ipairs(plan.expected) do
  if redis.call('TYPE', KEYS[i]).ok ~= expected[1] then return 0 end
  if expected[1] == 'string' and redis.call('GETRANGE', KEYS[i], 0, ${VALUE_LIMIT - 1}) ~= expected[2] then return 0 end
end
for i, change in ipairs(plan.changes) do
  local key, ttl = KEYS[#plan.expected + i], change[3]
  if change[1] == 'write' then redis.call('SET', key, change[2]) end
  if change[1] == 'delete' then redis.call('DEL', key)
  elseif ttl == '0' then redis.call('PERSIST', key)
  else redis.call('PEXPIRE', key, ttl) end
end
return 1`;
