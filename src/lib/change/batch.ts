import {setImmediate as nextTurn} from 'node:timers/promises';

import {keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import type {Journal} from '../journal/entry.js';
import {NoReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {lookAgain, lookAt, sendChanges} from './apply.js';
import type {Change, Preview, Settled} from './change.js';

/** What became of one session of a batch. */
export type Outcome<T> =
  | Settled<T>
  | ({id: string} & (
      | /** The connection ended before the answer. `look` says what was there before and what is there now. */
        {state: 'unknown'; look: string; cause: TokengateError}
        /** The batch ended before its turn; without a cause it was stopped. */
      | {state: 'not_done'; cause: TokengateError | undefined}
    ));

export interface BatchOptions {
  journal: Journal | undefined;
  /** When it is aborted, the flights that are under way end, and no other begins. */
  stop: AbortSignal;
}

/** Sessions in one flight: more take memory, not less time. */
const CHUNK = 500;
/** Flights that are under way at once, so that the server need not wait for the next. */
const FLIGHTS = 4;

interface Flight<T> {
  chunk: readonly RawId[];
  /** What `lookAt` gave before, key by key, where no journal keeps it. */
  before: Held[] | undefined;
  /** Undefined when it did not begin. */
  outcomes: (Settled<T> | NoReply)[] | undefined;
  /** Why no other begins. */
  cause: TokengateError | undefined;
}

/**
 * Changes sessions, each in one atomic step, in chunks that are sent in one flight each, and yields what became of each
 * chunk while the next ones are under way. When the connection ends it looks once, on a fresh one, at what has got no
 * answer, and begins no other. Never throws for one session's failure.
 */
export async function* runBatch<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  {journal, stop}: BatchOptions,
): AsyncGenerator<Outcome<T>[]> {
  const flights: Promise<Flight<T>>[] = [];
  let [next, cause]: [number, TokengateError | undefined] = [0, undefined];
  const isOver = (): boolean => stop.aborted || cause !== undefined;
  const begin = (): void => {
    for (; flights.length < FLIGHTS && next < ids.length && !isOver(); next += CHUNK) {
      flights.push(fly(redis, ids.slice(next, next + CHUNK), change, journal, isOver));
    }
  };
  begin();
  for (let flight = await flights.shift(); flight !== undefined; flight = await flights.shift()) {
    cause ??= flight.cause;
    begin();
    // The client writes in its next turn: the server then works while this chunk is reported.
    await nextTurn();
    yield await toOutcomes(redis, flight, change, journal, cause);
  }
  for (; next < ids.length; next += CHUNK) yield notDone(ids.slice(next, next + CHUNK), cause);
}

/** What the same batch would do. Changes nothing. */
export async function* previewBatch<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
): AsyncGenerator<Preview[]> {
  for (const chunk of inGroups(ids, CHUNK)) yield lookAt(redis, chunk, change);
}

/** Changes a chunk. Where no journal keeps what was there before, that is read first. Never rejects. */
async function fly<T>(
  redis: Redis,
  chunk: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
  isOver: () => boolean,
): Promise<Flight<T>> {
  const isKept = journal !== undefined && redis.cluster === undefined;
  const before = isKept ? undefined : await lookBefore(redis, chunk, change);
  if (before instanceof NoReply) return {chunk, before: undefined, outcomes: undefined, cause: before.error};
  if (isOver()) return {chunk, before, outcomes: undefined, cause: undefined};
  const outcomes = await sendChanges(redis, chunk, change, journal);
  return {chunk, before, outcomes, cause: outcomes.find((outcome) => outcome instanceof NoReply)?.error};
}

async function toOutcomes<T>(
  redis: Redis,
  {chunk, before, outcomes}: Flight<T>,
  change: Change<T>,
  journal: Journal | undefined,
  cause: TokengateError | undefined,
): Promise<Outcome<T>[]> {
  if (outcomes === undefined) return notDone(chunk, cause);
  const isUnknown = (outcome: unknown): outcome is NoReply => outcome instanceof NoReply && outcome.isSent;
  const unanswered = chunk.filter((_, index) => isUnknown(outcomes[index]));
  if (!outcomes.some((outcome) => outcome instanceof NoReply)) return outcomes as Settled<T>[];
  const width = change.lookAt.length;
  const wasThere = (id: RawId, index: number): string =>
    change.preview(id, before?.slice(index * width, (index + 1) * width) ?? [], []).now;
  const told = before && chunk.map(wasThere).filter((_, index) => isUnknown(outcomes[index]));
  const looks = (unanswered.length === 0 ? [] : await lookAgain(redis, unanswered, change, journal, told)).values();
  return chunk.map((id, index): Outcome<T> => {
    const outcome = outcomes[index];
    if (outcome === undefined) return {id: nameOf(id), state: 'not_done', cause};
    if (!(outcome instanceof NoReply)) return outcome;
    if (!outcome.isSent) return {id: nameOf(id), state: 'not_done', cause: outcome.error};
    return {id: nameOf(id), state: 'unknown', look: looks.next().value ?? '', cause: outcome.error};
  });
}

function notDone(chunk: readonly RawId[], cause: TokengateError | undefined): Outcome<never>[] {
  return chunk.map((id) => ({id: nameOf(id), state: 'not_done', cause}));
}

/** The values before the change, should its answer never come; read cheaply: what can't be read is taken for absent. */
async function lookBefore<T>(redis: Redis, chunk: readonly RawId[], {lookAt}: Change<T>): Promise<Held[] | NoReply> {
  const keys = keysOf(lookAt, chunk);
  try {
    const [values] = await redis.pipelineBytes([['MGET', ...keys]]);
    return Array.isArray(values) ? values.map((value) => toHeld(redis, value)) : keys.map(() => false);
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return new NoReply(error, false);
  }
}
