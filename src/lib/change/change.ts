import {JOURNAL_KEY, type KeyShape, keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {type Journal, type Stored, toFields} from '../journal/entry.js';
import {type RedisText, type Command, ErrorReply, NoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId, rawId} from '../values/session-id.js';

/** What the answer to a change of one session says. */
export type Settled<T> = {id: string} & (
  | {state: 'done'; result: T}
  /** It was as wanted already, or is none of those that are meant. */
  | {state: 'unchanged'; result: T}
  | {state: 'not_found'}
  /** Refused: nothing was changed, or only what `error` says. */
  | {state: 'failed'; error: TokengateError}
);

/** What a change would do. */
export type Preview = {
  id: string;
  /** What is there now, in words. */
  now: string;
  /** What would be there then, where that is known. */
  then?: string;
} & ({state: 'done' | 'unchanged' | 'not_found'} | {state: 'failed'; error: TokengateError});

/** How a session is changed: what becomes of it is decided in Redis, by a script, or else here. */
export type Change<T> = ScriptedChange<T> | PlannedChange<T>;

interface AnyChange {
  /** The keys that are read and may be written, in the order of `old` and `new`. */
  shapes: readonly KeyShape[];
  /** Of these keys the values are read, and tell what is there, and what the change would do. */
  lookAt: readonly KeyShape[];
  /** Of these the PTTL is read too. */
  lives?: readonly KeyShape[];
  /** @param lives none where it is only told what was there */
  preview: (id: RawId, held: readonly Held[], lives: readonly number[]) => Preview;
}

/** What to write where `expected` stands; null for a key that does not matter. Texts are bytes, one character a byte. */
export interface Write<T> {
  state: 'write';
  expected: (Held | null)[];
  next: (Stored | null)[];
  result: T;
}

export interface PlannedChange<T> extends AnyChange {
  /** Called between reading and `plan`, with the connection: reads what else this depends on. */
  prepare?: (redis: Redis) => Promise<void>;
  /** Decides from what was read; again, when something else stands there by the time of writing. */
  plan: (id: RawId, old: readonly Held[]) => Settled<T> | Write<T>;
}

export interface ScriptedChange<T> extends AnyChange {
  /**
   * Lua: the body of a function that decides what becomes of one session. It is given `old`, a list of `Held`; `args`, a
   * list of texts; and `own`, the text of this session alone. It returns a word and, if something is to change, a table
   * of what keys are to hold: by the number of the key a text, or `{text, ttl in milliseconds}`, or false for no key.
   * Keys that it does not name stay. It calls no command, but may ask for `expiry(number of the key, now)`: when that key
   * expires, in milliseconds since 1970, or `math.huge`. This `now` is for a user who may not ask the server for the time.
   */
  script: string;
  args: readonly string[];
  own?: (id: RawId) => RedisText;
  /** Reads the word and what was there. */
  read: (id: RawId, word: string, old: readonly Held[]) => Settled<T>;
  /** For a user who may not run scripts, where no journal is kept: the commands of a MULTI, and what their replies say. */
  withoutScript?: {
    commands: (id: RawId) => Command[];
    read: (redis: Redis, id: RawId, replies: readonly unknown[]) => Settled<T>;
  };
}

/** How often a session that somebody else has changed in between is tried again. */
export const MAX_TRIES = 100;

/** Why nothing can be planned, if that is so. Never rejects. */
export async function prepare<T>(redis: Redis, change: PlannedChange<T>): Promise<NoReply | undefined> {
  try {
    await change.prepare?.(redis);
    return undefined;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return new NoReply(error, false);
  }
}

/** What stands there, as bytes; of a session that may not be read, that it may not. Never rejects. */
export async function readOld(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
): Promise<(Held[] | Settled<never> | NoReply)[]> {
  try {
    const keys = keysOf(shapes, ids);
    const replies = await redis.pipelineBytes(keys.map((key) => ['GET', key]));
    return inGroups(replies, shapes.length).map((some, index): Held[] | Settled<never> => {
      try {
        return some.map((reply) => toHeld(redis, reply));
      } catch (error) {
        if (!(error instanceof TokengateError)) throw error;
        return {id: nameOf(ids[index] ?? rawId('')), state: 'failed', error};
      }
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return ids.map(() => new NoReply(error));
  }
}

/** What is wrong with the journal itself; any other refusal would meet the change too. */
const OF_JOURNAL = new Set(['REDIS_NO_PERMISSION', 'WRONG_TYPE']);

export function explainRefusal(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
  const [, ofJournal] = /^JOURNAL (.*)$/s.exec(reply.message) ?? [];
  if (ofJournal !== undefined) {
    const {code, message} = redis.explain(new ErrorReply(ofJournal));
    if (!OF_JOURNAL.has(code)) return redis.explain(new ErrorReply(ofJournal));
    return new TokengateError('JOURNAL_REFUSED', `The journal of changes cannot be written: ${message}`, {
      hint: 'Nothing was changed. To change it without a record: --no-journal, or TOKENGATE_JOURNAL=off.',
      cause: reply,
    });
  }
  const error = redis.explain(reply);
  if (!isScriptRefusal(reply)) return error;
  if (journal === undefined) {
    const {code, message, hint = 'This change needs scripts (EVAL). See rename-command of the server.'} = error;
    return new TokengateError(code, message, {hint, cause: reply});
  }
  return new TokengateError(error.code, error.message, {
    hint: 'The journal needs scripts (EVAL). Without it, --no-journal, budgets can be set and sessions be reset.',
    cause: reply,
  });
}

export function toScript<T>(
  group: readonly RawId[],
  change: Pick<ScriptedChange<T>, 'shapes' | 'script' | 'args' | 'own'>,
  journal: Journal | undefined,
): Command {
  const {shapes, script, args, own} = change;
  const [first] = shapes;
  const source = ENGINE.replace('DECIDE', () => script)
    .replace('PREFIX', String((first?.prefix.length ?? 0) + 1))
    .replace('SUFFIX', String(-1 - (first?.suffix.length ?? 0)))
    .replace(/\n +/g, '\n');
  const keys = keysOf(shapes, group);
  const owns = own === undefined ? [] : group.map(own);
  const header = journal === undefined ? [] : toFields(journal, shapes);
  const counts = [shapes.length, args.length, owns.length].map(String);
  const limit = journal === undefined ? '' : String(journal.limit);
  return ['EVAL', source, String(keys.length), ...keys, ...counts, limit, ...args, ...owns, ...header];
}

/** Needs `ttl(i)`, the PTTL of a key. */
export const EXPIRY = `
local function expiry(i, now)
  local left = ttl(i)
  if left == -1 then return math.huge end
  local time = redis.pcall('TIME')
  return left + (time.err and tonumber(now) or time[1] * 1000 + time[2] / 1000)
end`;

/**
 * Changes sessions and records it, all in one atomic step.
 *
 * KEYS: those of each session, one session after the other. ARGV: the number of keys a session, of `args`, of texts of
 * single sessions; the length to which the journal is kept, or nothing for no journal; these `args`, these texts; the
 * fields of the journal's entry but the last. Returns a JSON list: for each session the word, and what its keys held.
 *
 * The entry is written first, since that is what is refused, if anything: what is written once may be written on, even
 * when memory is full. A reset must work then: XTRIM adds nothing, but counts as a write. What is refused after all is
 * taken back.
 */
const ENGINE = `
if redis.replicate_commands then redis.replicate_commands() end
local call, pcall = redis.call, redis.pcall
local width, nargs, nown, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local args = {unpack(ARGV, 5, 4 + nargs)}
local journal = '${JOURNAL_KEY}'
local first = 0
local function ttl(i) return call('PTTL', KEYS[first + i]) end
${EXPIRY}
local function decide(old, own)
DECIDE
end
local function refused(reply) return type(reply) == 'table' and reply.err end
local function state(key, value)
  if value == false then return false end
  local ttl = call('PTTL', key)
  if value == true then return {call('DUMP', key), ttl, 'dump'} end
  if ttl < 0 then return value end
  return {value, ttl}
end
local function put(key, state)
  if state == false then return pcall('DEL', key) end
  if type(state) == 'string' then return pcall('SET', key, state) end
  if state[3] then return pcall('RESTORE', key, math.max(state[2], 0), state[1], 'REPLACE') end
  return pcall('SET', key, state[1], 'PX', string.format('%.0f', state[2]))
end
local isJournaled = limit ~= ''
local values = call('MGET', unpack(KEYS))
local replies, records, puts, dels = {}, {}, {}, {}
local old, nreplies, nrecords, ndels = {}, 0, 0, 0
for at = 0, #KEYS - 1, width do
  first = at
  for i = 1, width do
    local value = values[first + i] or call('PTTL', KEYS[first + i]) ~= -2
    old[i] = value
    replies[nreplies + 1 + i] = value
  end
  local word, new = decide(old, nown > 0 and ARGV[5 + nargs + first / width])
  replies[nreplies + 1] = word
  nreplies = nreplies + 1 + width
  if new then
    local at, changes = nrecords, false
    for i = 1, width do
      local before, after = old[i], new[i]
      if after == nil or (after == false and before == false) then
        after = true
      else
        changes = true
        local key = KEYS[first + i]
        if isJournaled or after then before = state(key, before) end
        if after then puts[#puts + 1] = {key, after, before} else ndels = ndels + 1 dels[ndels] = key end
      end
      records[at + 2 * i] = before
      records[at + 2 * i + 1] = after
    end
    if changes then
      records[at + 1] = string.sub(KEYS[first + 1], PREFIX, SUFFIX)
      nrecords = nrecords + 1 + 2 * width
    end
  end
end
local entry
if isJournaled and nrecords > 0 then
  local fields = {unpack(ARGV, 5 + nargs + nown)}
  for i = nrecords + 1, nrecords + 1 + 2 * width do records[i] = nil end
  fields[#fields + 1] = cjson.encode(records)
  entry = #puts == 0 and pcall('XTRIM', journal, 'MAXLEN', '~', limit)
  if not refused(entry) then entry = pcall('XADD', journal, 'MAXLEN', '~', limit, '*', unpack(fields)) end
  if refused(entry) then return {err = 'JOURNAL ' .. entry.err} end
end
local count, answer = 0, nil
for i = 1, #puts do
  answer = put(puts[i][1], puts[i][2])
  if refused(answer) then break end
  count = i
end
if not refused(answer) and ndels > 0 then answer = pcall('DEL', unpack(dels)) end
if refused(answer) then
  for i = count, 1, -1 do put(puts[i][1], puts[i][3]) end
  if entry then pcall('XDEL', journal, entry) end
  return answer
end
return cjson.encode(replies)`;

/** Own: JSON of what has to stand there, and of what to write; null for what does not matter. */
export const COMPARE_AND_SET = `
  local expected, next = unpack(cjson.decode(own))
  local new = {}
  for i = 1, #old do
    if expected[i] ~= cjson.null and old[i] ~= expected[i] then return 'moved' end
    if next[i] ~= cjson.null then new[i] = next[i] end
  end
  return 'done', new`;
