import {setImmediate as nextTurn} from 'node:timers/promises';

import {TokengateError} from './errors.js';
import {nameOf, type RawId} from './ids.js';
import {keyOf, type KeyShape} from './keys.js';
import {describeLook, lookAgain} from './outcome.js';
import {type Command, ErrorReply, NoReply, type Redis} from './redis.js';

/** What became of one session of a batch. */
export type Outcome<T> = {id: string} & (
  | {state: 'done'; result: T}
  /** It was as wanted already, or is none of those that are meant. */
  | {state: 'unchanged'; result: T}
  | {state: 'not_found'}
  /** Refused: nothing was changed, or only what `error` says. */
  | {state: 'failed'; error: TokengateError}
  /** The connection ended before the answer. `look` says what was there before and what is there now. */
  | {state: 'unknown'; look: string; cause: TokengateError}
  /** The batch ended before its turn; without a cause it was stopped. */
  | {state: 'not_done'; cause: TokengateError | undefined}
);

/** What the answer to a change says. */
export type Settled<T> = Exclude<Outcome<T>, {state: 'unknown' | 'not_done'}>;

/** What a change would do. */
export type Preview = {
  id: string;
  /** What is there now, in words. */
  now: string;
} & ({state: 'done' | 'unchanged' | 'not_found'} | {state: 'failed'; error: TokengateError});

/** How a session is changed. */
export interface Change<T> {
  /** The keys of a session that the script is given, in its order. */
  shapes: readonly KeyShape[];
  /**
   * Lua: the body of a function of `keys` (those of one session) that changes it and returns one reply. It must not
   * raise an error once it has changed anything, nor for a reason that lies in this one session: it returns it.
   */
  script: string;
  /** ARGV of the script. */
  values: readonly string[];
  /** Without the right to run scripts: commands for a MULTI whose replies are the script's reply. */
  withoutScript?: (id: RawId) => Command[];
  /** Reads the reply. */
  read: (id: RawId, reply: unknown) => Settled<T>;
  /** Of these keys the values are read, and tell what is there, and what the change would do. */
  lookAt: readonly KeyShape[];
  preview: (id: RawId, values: unknown[]) => Preview;
}

/** Sessions in one flight: more take memory, not less time. */
const CHUNK = 500;
/** Sessions in one run of the script, which holds up the server for as long as it takes. */
const GROUP = 50;

/**
 * Changes sessions, each in one atomic step, in chunks that are sent in one flight each, and yields what became of each
 * chunk while the next one is under way. When `stop` is aborted it lets the flight finish and begins no other. When the
 * connection ends it looks once, on a fresh one, at what has got no answer, and begins no other either. Never throws
 * for one session's failure.
 */
export async function* runBatch<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  stop: AbortSignal,
): AsyncGenerator<Outcome<T>[]> {
  const chunkAt = (start: number): readonly RawId[] => ids.slice(start, start + CHUNK);
  let before = await lookBefore(redis, chunkAt(0), change);
  let flight = before instanceof NoReply || stop.aborted ? undefined : fly(redis, chunkAt(0), chunkAt(CHUNK), change);
  let cause = before instanceof NoReply ? before.error : undefined;
  for (let start = 0; start < ids.length; start += CHUNK) {
    const chunk = chunkAt(start);
    if (flight === undefined) {
      yield chunk.map((id) => ({id: nameOf(id), state: 'not_done', cause}));
      continue;
    }
    const {replies, nextBefore} = await flight;
    const values = before;
    before = nextBefore;
    cause = [...replies, nextBefore].find((reply) => reply instanceof NoReply)?.error;
    const isOver = stop.aborted || cause !== undefined;
    const [next, afterNext] = [chunkAt(start + CHUNK), chunkAt(start + 2 * CHUNK)];
    flight = isOver || next.length === 0 ? undefined : fly(redis, next, afterNext, change);
    // The client writes in its next turn: the server then works while this chunk is reported.
    await nextTurn();
    yield await toOutcomes(redis, chunk, replies, values, change);
  }
}

/** Changes one session. */
export async function changeOne<T>(redis: Redis, id: RawId, change: Change<T>): Promise<Settled<T>> {
  const [reply] = await send(redis, [id], change);
  if (reply instanceof NoReply) throw reply.error;
  return settle(redis, id, reply, change);
}

/** What the same batch would do. Changes nothing. */
export async function* previewBatch<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
): AsyncGenerator<Preview[]> {
  for (let start = 0; start < ids.length; start += CHUNK) yield lookAt(redis, ids.slice(start, start + CHUNK), change);
}

/** What is there now, in words. */
export async function describeNow<T>(redis: Redis, id: RawId, change: Change<T>): Promise<string> {
  const [preview] = await lookAt(redis, [id], change);
  return preview?.now ?? '';
}

interface Flight {
  replies: unknown[];
  /** The values before the change of the next chunk. */
  nextBefore: unknown[] | NoReply;
}

/** Changes a chunk, and reads what the next one is about in the same flight. Never rejects. */
async function fly<T>(
  redis: Redis,
  chunk: readonly RawId[],
  next: readonly RawId[],
  change: Change<T>,
): Promise<Flight> {
  const [replies, nextBefore] = await Promise.all([send(redis, chunk, change), lookBefore(redis, next, change)]);
  return {replies, nextBefore};
}

async function toOutcomes<T>(
  redis: Redis,
  chunk: readonly RawId[],
  replies: readonly unknown[],
  before: unknown[] | NoReply,
  change: Change<T>,
): Promise<Outcome<T>[]> {
  const unanswered = chunk.filter((_, index) => replies[index] instanceof NoReply);
  const now = unanswered.length === 0 ? [] : await lookAgain(redis, (fresh) => lookAt(fresh, unanswered, change));
  const after = (
    now instanceof TokengateError ? unanswered.map(() => now) : now.map((preview) => preview.now)
  ).values();
  const width = change.lookAt.length;
  return chunk.map((id, index): Outcome<T> => {
    const reply = replies[index];
    if (!(reply instanceof NoReply)) return settle(redis, id, reply, change);
    const values = before instanceof NoReply ? [] : before.slice(index * width, (index + 1) * width);
    const was = change.preview(id, values).now;
    const look = `Before: ${was}. ${describeLook(after.next().value ?? '')}`;
    return {id: nameOf(id), state: 'unknown', look, cause: reply.error};
  });
}

function settle<T>(redis: Redis, id: RawId, reply: unknown, change: Change<T>): Settled<T> {
  if (reply instanceof ErrorReply) return {id: nameOf(id), state: 'failed', error: redis.explain(reply)};
  return change.read(id, reply);
}

/** One reply for each session, `ErrorReply` or `NoReply` too. Sessions share a run of the script, a few at a time. */
async function send<T>(redis: Redis, chunk: readonly RawId[], change: Change<T>): Promise<unknown[]> {
  const groups: RawId[][] = [];
  for (let start = 0; start < chunk.length; start += GROUP) groups.push(chunk.slice(start, start + GROUP));
  const answers = await redis.units(groups.map((group) => [toScript(group, change)]));
  const replies = groups.flatMap((group, index) => {
    const answer = answers[index];
    return Array.isArray(answer) ? answer[0] : group.map(() => answer);
  });
  const {withoutScript} = change;
  const isRefused = (reply: unknown): boolean => reply instanceof ErrorReply && /^NOPERM.*'eval/i.test(reply.message);
  // With the right to EVAL and none to EVALSHA a part is done already.
  const refused = chunk.filter((_, index) => isRefused(replies[index]));
  if (withoutScript === undefined || refused.length === 0) return replies;
  const others = (await redis.units(refused.map(withoutScript))).values();
  return replies.map((reply) => (isRefused(reply) ? others.next().value : reply));
}

function toScript<T>(group: readonly RawId[], {script, shapes, values}: Change<T>): Command {
  const source = `
local width = ${shapes.length}
local function change(keys)${script}
end
local replies = {}
for first = 1, #KEYS, width do
  replies[#replies + 1] = change({unpack(KEYS, first, first + width - 1)})
end
return replies`;
  const keys = group.flatMap((id) => shapes.map((shape) => keyOf(shape, id)));
  return ['EVAL', source, String(keys.length), ...keys, ...values];
}

async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const keys = ids.flatMap((id) => change.lookAt.map((shape) => keyOf(shape, id)));
  const replies = (await redis.pipeline(keys.map((key) => ['GET', key]))).values();
  return ids.map((id) =>
    change.preview(
      id,
      change.lookAt.map(() => replies.next().value),
    ),
  );
}

/** The values before the change, should its answer never come; read cheaply: what can't be read is taken for absent. */
async function lookBefore<T>(redis: Redis, chunk: readonly RawId[], {lookAt}: Change<T>): Promise<unknown[] | NoReply> {
  if (chunk.length === 0) return [];
  const keys = chunk.flatMap((id) => lookAt.map((shape) => keyOf(shape, id)));
  const [answer] = await redis.units([[['MGET', ...keys]]]);
  if (answer instanceof NoReply) return answer;
  return Array.isArray(answer) ? (answer[0] as unknown[]) : keys.map(() => null);
}
