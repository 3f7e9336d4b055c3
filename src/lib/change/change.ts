import {JOURNAL_KEY, type KeyShape, keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {type Journal, type Stored, toFields} from '../journal/entry.js';
import {type RedisText, type Command, ErrorReply, NoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';

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
  /** Decides from what was read; again, when something else stands there by the time of writing. `lives` are PTTLs. */
  plan: (id: RawId, old: readonly Held[], lives: readonly number[]) => Settled<T> | Write<T>;
}

export interface ScriptedChange<T> extends AnyChange {
  /**
   * Lua: the script that changes sessions, and the one that decides for a cluster what becomes of those that were read.
   * Both are given the same `args` and, of each session, its `own` text. See lua/includes/change-sessions.lua.
   */
  scripts: {change: string; decide?: string};
  args: readonly string[];
  own?: (id: RawId) => RedisText;
  /** Reads the word and what was there; undefined where only `plan` can decide. */
  read: (id: RawId, word: string, old: readonly Held[]) => Settled<T> | undefined;
  /** Decides where the script does not, and on a cluster. */
  plan?: PlannedChange<T>['plan'];
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

export interface Values {
  held: Held[];
  /** Of `lives`, the PTTLs. */
  lives: number[];
}

/** What some keys of sessions hold, as bytes, and the PTTLs of some. */
export async function readValues(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
  lives: readonly KeyShape[] = [],
): Promise<(Values | TokengateError)[]> {
  const commands = ids.flatMap((id) => [
    ...keysOf(shapes, [id]).map((key): Command => ['GET', key]),
    ...keysOf(lives, [id]).map((key): Command => ['PTTL', key]),
  ]);
  const replies = await redis.pipelineBytes(commands);
  return inGroups(replies, shapes.length + lives.length).map((some): Values | TokengateError => {
    try {
      return {
        held: some.slice(0, shapes.length).map((reply) => toHeld(redis, reply)),
        lives: some.slice(shapes.length).map(Number),
      };
    } catch (error) {
      // What this user may not read is no reason to say nothing of the others.
      if (!(error instanceof TokengateError)) throw error;
      return error;
    }
  });
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
  {shapes, scripts, args, own}: Pick<ScriptedChange<T>, 'shapes' | 'scripts' | 'args' | 'own'>,
  journal: Journal | undefined,
): Command {
  const [first] = shapes;
  const keys = keysOf(shapes, group);
  const owns = own === undefined ? [] : group.map(own);
  const header = journal === undefined ? [] : toFields(journal, shapes);
  const ofId = [first?.prefix.length ?? 0, first?.suffix.length ?? 0];
  const counts = [shapes.length, args.length, owns.length, ...ofId].map(String);
  const limit = journal === undefined ? '' : String(journal.limit);
  return [
    ...['EVAL', scripts.change, String(keys.length)],
    ...keys,
    ...counts,
    ...[limit, JOURNAL_KEY],
    ...args,
    ...owns,
    ...header,
  ];
}
