import {setImmediate as nextTurn} from 'node:timers/promises';

import {keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import type {Journal} from '../journal/entry.js';
import {NoReply, orNoReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import type {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {sendChanges} from './apply.js';
import type {Answer, Change, Preview, Settled} from './change.js';
import {lookAt} from './look.js';
import {lookAgain} from './second-look.js';

/** The outcome for one session of a batch. */
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
  /** When aborted, the flights under way end, and no other begins. */
  stop: AbortSignal;
}

/** Sessions in one flight. A larger flight takes more memory and no less time. */
const CHUNK = 500;
/** Flights under way at once, so that the server has work while this process collects garbage. More take no less time. */
const FLIGHTS = 6;

interface Flight<T> {
  chunk: readonly RawId[];
  /** The values of the `lookAt` keys before the change, where no journal keeps them. */
  before: Held[] | undefined;
  /** Undefined when the chunk was not sent. */
  outcomes: Answer<T>[] | undefined;
  /** The reason to begin no other chunk. */
  cause: TokengateError | undefined;
}

/**
 * Changes sessions, each in one atomic step, in chunks of one flight each, and yields the outcome of each chunk while
 * the next ones are under way. If the connection ends, it sends no other chunk, and looks once, on a fresh connection,
 * at the sessions without an answer, so that the outcome of each is known or reported as unknown. Never throws because
 * one session fails.
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
    // The client writes in its next turn, so the server works while this chunk is reported.
    await nextTurn();
    yield await toOutcomes(redis, flight, change, journal, cause);
  }
  for (; next < ids.length; next += CHUNK) yield notDone(ids.slice(next, next + CHUNK), cause);
}

/** The outcome of the same batch, without changing anything. */
export async function* previewBatch<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
): AsyncGenerator<Preview[]> {
  for (const chunk of inGroups(ids, CHUNK)) yield lookAt(redis, chunk, change);
}

/** Changes a chunk. Without a journal that keeps the values before the change, it reads them first. Never rejects. */
async function fly<T>(
  redis: Redis,
  chunk: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
  isOver: () => boolean,
): Promise<Flight<T>> {
  const before = journal === undefined ? await lookBefore(redis, chunk, change) : undefined;
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
  if (!outcomes.some((outcome) => outcome instanceof NoReply)) return outcomes as Settled<T>[];
  const isUnknown = (outcome: unknown): outcome is NoReply => outcome instanceof NoReply && outcome.isSent;
  const unanswered = chunk.filter((_, index) => isUnknown(outcomes[index]));
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

/**
 * The values before the change, in case its answer never comes. A cheap read: a value that can't be read counts as
 * absent.
 */
async function lookBefore<T>(redis: Redis, chunk: readonly RawId[], {lookAt}: Change<T>): Promise<Held[] | NoReply> {
  const keys = keysOf(lookAt, chunk);
  const replies = await orNoReply(redis.pipelineBytes([['MGET', ...keys]]));
  if (replies instanceof NoReply) return replies;
  const [values] = replies;
  return Array.isArray(values) ? values.map((value) => toHeld(redis, value)) : keys.map(() => false);
}
