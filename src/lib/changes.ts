import {serverTime} from './clock.js';
import {TokengateError} from './errors.js';
import {nameOf, type RawId, sessionNotFound} from './ids.js';
import {
  type ChangedSession,
  type Journal,
  JOURNAL_KEY,
  type Old,
  readJournal,
  type Stored,
  toFields,
  toText,
} from './journal.js';
import {keyOf, type KeyShape, type RedisText} from './keys.js';
import {type Command, ErrorReply, NoReply, type Redis} from './redis.js';

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
} & ({state: 'done' | 'unchanged' | 'not_found'} | {state: 'failed'; error: TokengateError});

/** How a session is changed: what becomes of it is decided in Redis, by a script, or else here. */
export type Change<T> = ScriptedChange<T> | PlannedChange<T>;

interface AnyChange {
  /** The keys that are read and may be written, in the order of `old` and `new`. */
  shapes: readonly KeyShape[];
  /** Of these keys the values are read, and tell what is there, and what the change would do. */
  lookAt: readonly KeyShape[];
  preview: (id: RawId, values: unknown[]) => Preview;
}

/** What to write where `expected` stands; null for a key that does not matter. Texts are bytes, one character a byte. */
export interface Write<T> {
  state: 'write';
  expected: (Old | null)[];
  next: (Stored | null)[];
  result: T;
}

export interface PlannedChange<T> extends AnyChange {
  /** Decides from what was read; again, when something else stands there by the time of writing. */
  plan: (id: RawId, old: readonly Old[]) => Settled<T> | Write<T>;
}

interface ScriptedChange<T> extends AnyChange {
  /**
   * Lua: the body of a function that decides what becomes of one session. It is given `old`, a list of `Old`; `args`, a
   * list of texts; and `own`, the text of this session alone. It returns a word and, if something is to change, a table
   * of what keys are to hold: by the number of the key a text, or `{text, ttl in milliseconds}`, or false for no key.
   * Keys that it does not name stay. It calls no command.
   */
  script: string;
  args: readonly string[];
  own?: (id: RawId) => RedisText;
  /** Reads the word and what was there. */
  read: (id: RawId, word: string, old: readonly Old[]) => Settled<T>;
  /** For a user who may not run scripts, where no journal is kept: the commands of a MULTI, and what their replies say. */
  withoutScript?: {commands: (id: RawId) => Command[]; read: (id: RawId, replies: unknown[]) => Settled<T>};
}

/** Sessions in one run of the script, which holds up the server for as long as it takes. */
const GROUP = 50;

/** After these the server may or may not have carried out what it was sent. */
const UNKNOWN_AFTER = new Set([
  'REDIS_CONNECTION_LOST',
  'REDIS_TIMEOUT',
  'REDIS_PROTOCOL',
  'REDIS_ERROR',
  'INTERRUPTED',
]);

export interface ChangeOptions {
  journal: Journal | undefined;
  /** A clause that completes "it is unknown whether …". */
  what: string;
  /** What was there before, in words, when it was read already. */
  before?: string;
}

/**
 * Changes a session, and gives the result.
 *
 * @throws TokengateError SESSION_NOT_FOUND, OUTCOME_UNKNOWN, JOURNAL_REFUSED, and with what the change refuses it
 */
export async function changeKnown<T>(redis: Redis, id: RawId, change: Change<T>, options: ChangeOptions): Promise<T> {
  const outcome = await changeOne(redis, id, change, options);
  if ('result' in outcome) return outcome.result;
  if (outcome.state === 'not_found') throw sessionNotFound(id);
  const {code, message, hint, cause} = outcome.error;
  const isOfSession = !(cause instanceof ErrorReply);
  throw new TokengateError(code, isOfSession ? `Session '${nameOf(id)}': ${message}` : message, {hint, cause});
}

/**
 * Changes one session, in one atomic step. When the connection ends before the answer nothing is repeated: it looks
 * once, on a fresh one, and says what was there before, as far as that is known, and what is there now.
 *
 * @throws TokengateError OUTCOME_UNKNOWN (INTERRUPTED stays INTERRUPTED), JOURNAL_REFUSED
 */
export async function changeOne<T>(
  redis: Redis,
  id: RawId,
  change: Change<T>,
  {journal, what, before: known}: ChangeOptions,
): Promise<Settled<T>> {
  // The journal keeps what was there.
  const before = known ?? (journal === undefined ? (await lookAt(redis, [id], change))[0]?.now : undefined);
  const [outcome] = await sendChanges(redis, [id], change, journal);
  if (outcome instanceof NoReply) {
    const {error} = outcome;
    if (!UNKNOWN_AFTER.has(error.code)) throw error;
    const [look = ''] = await lookAgain(redis, [id], change, journal, before === undefined ? undefined : [before]);
    const code = error.code === 'INTERRUPTED' ? error.code : 'OUTCOME_UNKNOWN';
    const message = `${error.message} It is unknown whether ${what}.`;
    throw new TokengateError(code, message, {hint: look, cause: error});
  }
  if (outcome === undefined) throw new RangeError('a session has no outcome');
  return outcome;
}

/**
 * Changes sessions in one flight, each in one atomic step. Never rejects: for each session what became of it, or
 * `NoReply`.
 */
export async function sendChanges<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  return 'plan' in change ? sendPlanned(redis, ids, change, journal) : sendScripted(redis, ids, change, journal);
}

/** How often a session that somebody else has changed in between is tried again. */
const MAX_TRIES = 100;

async function sendPlanned<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: PlannedChange<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  const outcomes = new Map<RawId, Settled<T> | NoReply>();
  let open = ids;
  for (let tries = 0; tries < MAX_TRIES && open.length > 0; tries++) {
    const olds = (await readOld(redis, open, change.shapes)).values();
    const writes = new Map<RawId, Write<T>>();
    for (const id of open) {
      const old = olds.next().value;
      const outcome = old === undefined || old instanceof NoReply ? old : change.plan(id, old);
      if (outcome === undefined) continue;
      if (outcome instanceof NoReply || outcome.state !== 'write') outcomes.set(id, outcome);
      else writes.set(id, outcome);
    }
    open = [...writes.keys()];
    const scripted: ScriptedChange<T | undefined> = {
      ...change,
      script: COMPARE_AND_SET,
      args: [],
      own: (id) => {
        const {expected, next} = writes.get(id) ?? {};
        return Buffer.from(JSON.stringify([expected, next]), 'latin1');
      },
      read: (id, word) => ({
        id: nameOf(id),
        state: 'done',
        result: word === 'moved' ? undefined : writes.get(id)?.result,
      }),
    };
    const sent = await sendScripted(redis, open, scripted, journal);
    open = open.filter((id, index) => {
      const outcome = sent[index];
      const isMoved = outcome === undefined || ('result' in outcome && outcome.result === undefined);
      if (!isMoved) outcomes.set(id, outcome as Settled<T> | NoReply);
      return isMoved;
    });
  }
  return ids.map((id): Settled<T> | NoReply => {
    const outcome = outcomes.get(id);
    if (outcome !== undefined) return outcome;
    const error = new TokengateError('CONTENDED', 'it keeps changing. Nothing was changed.');
    return {id: nameOf(id), state: 'failed', error};
  });
}

/** Own: JSON of what has to stand there, and of what to write; null for what does not matter. */
const COMPARE_AND_SET = `
  local expected, next = unpack(cjson.decode(own))
  local new = {}
  for i = 1, #old do
    if expected[i] ~= cjson.null and old[i] ~= expected[i] then return 'moved' end
    if next[i] ~= cjson.null then new[i] = next[i] end
  end
  return 'done', new`;

/** What stands there, as bytes. Never rejects. */
async function readOld(redis: Redis, ids: readonly RawId[], shapes: readonly KeyShape[]): Promise<(Old[] | NoReply)[]> {
  try {
    const keys = ids.flatMap((id) => shapes.map((shape) => keyOf(shape, id)));
    const replies = (await redis.pipelineBytes(keys.map((key) => ['GET', key]))).values();
    const toOld = (reply: unknown): Old =>
      reply === null ? false : !Buffer.isBuffer(reply) || reply.toString('latin1');
    return ids.map(() => shapes.map(() => toOld(replies.next().value)));
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return ids.map(() => new NoReply(error));
  }
}

/** A few sessions share a run of the script. */
async function sendScripted<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: ScriptedChange<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  const groups: RawId[][] = [];
  for (let first = 0; first < ids.length; first += GROUP) groups.push(ids.slice(first, first + GROUP));
  const scripts = groups.map((group) => [toScript(group, change, journal)]);
  const answers = await redis.units(scripts);
  const outcomes = groups.flatMap((group, index): unknown[] => {
    const answer = answers[index];
    if (!Array.isArray(answer)) return group.map(() => answer);
    const replies = JSON.parse(String(answer[0])) as unknown[];
    const width = 1 + change.shapes.length;
    return group.map((id, position) => {
      const [word, ...old] = replies.slice(position * width, (position + 1) * width);
      return change.read(id, word as string, old as Old[]);
    });
  });
  const isRefused = (outcome: unknown): boolean =>
    outcome instanceof ErrorReply && /^NOPERM.*'eval/i.test(outcome.message);
  const {withoutScript} = change;
  const refused = ids.filter((_, index) => isRefused(outcomes[index]));
  const canDoWithout = withoutScript !== undefined && journal === undefined && refused.length > 0;
  const others = (canDoWithout ? await redis.units(refused.map(withoutScript.commands)) : []).values();
  return ids.map((id, index): Settled<T> | NoReply => {
    let outcome: unknown = outcomes[index];
    if (canDoWithout && isRefused(outcome)) {
      outcome = others.next().value;
      if (Array.isArray(outcome)) return withoutScript.read(id, outcome);
    }
    if (!(outcome instanceof ErrorReply)) return outcome as Settled<T> | NoReply;
    return {id: nameOf(id), state: 'failed', error: explainRefusal(redis, outcome, journal)};
  });
}

/** Reads what each is about, and what the change would do to it. */
export async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const values = (await readValues(redis, ids, change)).values();
  return ids.map((id) => change.preview(id, values.next().value ?? []));
}

/**
 * Looks once, on a fresh connection, at what has got no answer: for each what was there before, as far as that is known,
 * and what is there now, in sentences. What was there before is in the journal, where the change was done.
 */
export async function lookAgain<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
  before?: readonly string[],
): Promise<string[]> {
  let fresh: Redis | undefined;
  const told = (index: number): string => (before === undefined ? '' : `Before: ${before[index] ?? ''}. `);
  try {
    fresh = await redis.reopen();
    const values = await readValues(fresh, ids, change);
    // After the values: what is not in the journal now had not been done when they were read.
    const records = journal === undefined ? undefined : await findRecords(fresh, journal);
    return ids.map((id, index) => {
      const now = values[index] ?? [];
      const inWords = change.preview(id, now).now;
      if (records === undefined) return `${told(index)}Now: ${inWords}.`;
      const record = records.get(id);
      if (record === undefined) return `Before: ${inWords}. Now: ${inWords}. The journal has no such change.`;
      const old = change.lookAt.map((shape, position) => {
        const before = toReplyBefore(record, shape);
        return before === undefined ? now[position] : before;
      });
      return `Before: ${change.preview(id, old).now}. Now: ${inWords}. The journal has it, as change ${journal?.change ?? ''}: it was done.`;
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const later =
      journal === undefined ? '' : ` If it was done, the journal tells what was there: change ${journal.change}.`;
    return ids.map((_, index) => `${told(index)}A second look failed: ${error.message}${later}`);
  } finally {
    fresh?.close();
  }
}

async function readValues<T>(redis: Redis, ids: readonly RawId[], {lookAt}: Change<T>): Promise<unknown[][]> {
  const keys = ids.flatMap((id) => lookAt.map((shape) => keyOf(shape, id)));
  const replies = (await redis.pipeline(keys.map((key) => ['GET', key]))).values();
  return ids.map(() => lookAt.map(() => replies.next().value));
}

/** How far back the entry of a change is looked for that has got no answer just now, in milliseconds. */
const RECENT_MS = 600_000;

async function findRecords(redis: Redis, {change}: Journal): Promise<Map<RawId, ChangedSession>> {
  const records = new Map<RawId, ChangedSession>();
  const since = new Date((await serverTime(redis)).getTime() - RECENT_MS);
  for await (const {parts} of readJournal(redis, since)) {
    const own = parts.filter((part) => part.change === change);
    for (const {records: some} of own) for (const record of some) records.set(record.id, record);
  }
  return records;
}

/** What stood there, as the reply to a GET. */
export function toReply(old: Old | undefined): unknown {
  return old === true ? new ErrorReply('WRONGTYPE') : old === false ? null : old;
}

/** The value before, as the reply to a GET; undefined when the change had nothing to do with that key. */
function toReplyBefore({keys}: ChangedSession, shape: KeyShape): unknown {
  const value = keys.find((key) => key.shape === shape)?.before;
  return toReply(value === undefined || value === false ? value : value.kind === 'dump' || toText(value.text));
}

/** What is wrong with the journal itself; any other refusal would meet the change too. */
const OF_JOURNAL = new Set(['REDIS_NO_PERMISSION', 'WRONG_TYPE']);

function explainRefusal(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
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
  if (journal === undefined || error.code !== 'REDIS_NO_PERMISSION' || !/'eval/i.test(error.message)) return error;
  return new TokengateError(error.code, error.message, {
    hint: 'The journal needs scripts (EVAL). Without it, --no-journal, budgets can be set and sessions be reset.',
    cause: reply,
  });
}

function toScript<T>(group: readonly RawId[], change: ScriptedChange<T>, journal: Journal | undefined): Command {
  const {shapes, script, args, own} = change;
  const [first] = shapes;
  const source = ENGINE.replace('DECIDE', () => script)
    .replace('PREFIX', String((first?.prefix.length ?? 0) + 1))
    .replace('SUFFIX', String(-1 - (first?.suffix.length ?? 0)))
    .replace(/\n +/g, '\n');
  const keys = group.flatMap((id) => shapes.map((shape) => keyOf(shape, id)));
  const owns = own === undefined ? [] : group.map(own);
  const header = journal === undefined ? [] : toFields(journal, shapes);
  const counts = [shapes.length, args.length, owns.length].map(String);
  const limit = journal === undefined ? '' : String(journal.limit);
  return ['EVAL', source, String(keys.length), ...keys, ...counts, limit, ...args, ...owns, ...header];
}

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
for first = 0, #KEYS - 1, width do
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
