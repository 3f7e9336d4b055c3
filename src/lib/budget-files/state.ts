import {BUDGET_KEYS, GRANTS_KEYS, keysOf, PERIOD_KEYS} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {hidesSome} from '../sessions/read.js';
import {inGroups, readAhead} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';

/** The keys of a session that a file describes, in the order in which they are read and written. */
export const BUDGET_FILE_KEYS = [PERIOD_KEYS, GRANTS_KEYS, BUDGET_KEYS] as const;

/** The values of a session's keys, as bytes, or why they cannot be read. */
export interface Reading {
  id: RawId;
  held: readonly Held[] | TokengateError;
}

/** Sessions to read in one step. */
const PAGE = 1000;

/** Nearly all sessions have neither a period nor grants. */
const NONE: readonly Held[] = [false, false];

/** Reads the keys of sessions, page by page, in the given order. */
export function readHeld(redis: Redis, ids: readonly RawId[]): AsyncGenerator<Reading[]> {
  return readAhead(inGroups(ids, PAGE), (page) => readPage(redis, page));
}

async function readPage(redis: Redis, ids: readonly RawId[]): Promise<Reading[]> {
  const replies = await redis.pipelineBytes([
    ...BUDGET_FILE_KEYS.map((shape) => ['MGET', ...keysOf([shape], ids)]),
    ['EXISTS', ...keysOf(BUDGET_FILE_KEYS, ids)],
  ]);
  const refused = replies.find((reply) => reply instanceof ErrorReply);
  if (refused !== undefined && !refused.message.startsWith('NOPERM')) throw redis.explain(refused);
  const [periods = [], grants = [], budgets = []] = replies as (Buffer | null)[][];
  const texts = [periods, grants, budgets].flat();
  // MGET is also refused as a whole for a key that may not be read.
  if (refused !== undefined || hidesSome(redis, texts, replies.at(-1))) return readAlone(redis, ids);
  return ids.map((id, index) => {
    const [period, granted] = [periods[index], grants[index]];
    const budget = budgets[index]?.toString('latin1') ?? false;
    if (period == null && granted == null) return {id, held: [...NONE, budget]};
    return {id, held: [period?.toString('latin1') ?? false, granted?.toString('latin1') ?? false, budget]};
  });
}

/** Reads each key alone. */
async function readAlone(redis: Redis, ids: readonly RawId[]): Promise<Reading[]> {
  const keys = keysOf(BUDGET_FILE_KEYS, ids);
  const replies = (await redis.pipelineBytes(keys.map((key) => ['GET', key]))).values();
  return ids.map((id) => {
    const own = BUDGET_FILE_KEYS.map((): unknown => replies.next().value);
    return {id, held: toHeldOrError(redis, own)};
  });
}

/** One unreadable key is no reason to report nothing about the others. */
function toHeldOrError(redis: Redis, replies: readonly unknown[]): Reading['held'] {
  try {
    return replies.map((reply) => toHeld(redis, reply));
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return error;
  }
}
