import type {KeyShape} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import type {Stored} from '../journal/entry.js';
import type {Command, NoReply, Redis, RedisText} from '../redis/contract.js';
import type {TokengateError} from '../values/errors.js';
import type {RawId} from '../values/session-id.js';

/** The result of a change for one session. */
export type Settled<T> = {id: string} & (
  | {state: 'done'; result: T}
  /** It was as wanted already, or is none of those that are meant. */
  | {state: 'unchanged'; result: T}
  | {state: 'not_found'}
  /** Refused: nothing was changed, or only what `error` says. */
  | {state: 'failed'; error: TokengateError}
);

/** The answer about one session so far. */
export type Answer<T> = Settled<T> | NoReply;

/** What a change would do to a session. */
export type Preview = {
  id: string;
  /** The present values, in words. */
  now: string;
  /** The values after the change, in words, where they are known. */
  then?: string;
} & ({state: 'done' | 'unchanged' | 'not_found'} | {state: 'failed'; error: TokengateError});

/** How to change a session. Either a script in Redis decides, or `plan` does, here. */
export type Change<T> = ScriptedChange<T> | PlannedChange<T>;

interface AnyChange {
  /** The keys that are read and may be written, in the order of `old` and `new`. */
  shapes: readonly KeyShape[];
  /** The keys whose values describe the session and what the change would do. */
  lookAt: readonly KeyShape[];
  /** The keys whose PTTL is read as well. */
  lives?: readonly KeyShape[];
  /** @param lives empty when only the old values are to be described */
  preview: (id: RawId, held: readonly Held[], lives: readonly number[]) => Preview;
}

/**
 * The values to write where `expected` still stands; null for a key that does not matter. Texts are bytes, one
 * character a byte.
 */
export interface Write<T> {
  state: 'write';
  expected: (Held | null)[];
  next: (Stored | null)[];
  result: T;
}

export interface PlannedChange<T> extends AnyChange {
  /** Called with the connection between reading and `plan`: reads anything else that the decision needs. */
  prepare?: (redis: Redis) => Promise<void>;
  /**
   * Decides from the values read. Called again if they have changed before they could be written. `lives` are PTTLs.
   */
  plan: (id: RawId, old: readonly Held[], lives: readonly number[]) => Settled<T> | Write<T>;
}

export interface ScriptedChange<T> extends AnyChange {
  /**
   * Names of Lua scripts: one that changes sessions, and one that only decides, for a cluster, about sessions that were
   * read. Both get the same `args` and, for each session, its `own` text. See lua/includes/change-sessions.lua.
   */
  scripts: {change: string; decide?: string};
  args: readonly RedisText[];
  own?: (id: RawId) => RedisText;
  /**
   * The last of `shapes`, without a suffix, if hardly any session has it: the script asks how many there are. It counts as
   * absent for a user who may not ask.
   */
  rare?: KeyShape;
  /** Instead of both, the arguments for the sessions that share a run. */
  pack?: (group: readonly RawId[]) => RedisText[];
  /** Whether `read` needs the old values. */
  tellsOld?: boolean;
  /** Reads the script's word and the old values; undefined where only `plan` can decide. */
  read: (id: RawId, word: string, old: readonly Held[]) => Settled<T> | undefined;
  /** Decides where the script does not, and on a cluster. */
  plan?: PlannedChange<T>['plan'];
  /**
   * For a user who may not run scripts, without a journal: the commands of a MULTI, and the reading of their replies.
   * `shapes` are without `rare` for a user who may not ask for it.
   */
  withoutScript?: {
    commands: (id: RawId, shapes: readonly KeyShape[]) => Command[];
    read: (redis: Redis, id: RawId, replies: readonly unknown[]) => Settled<T>;
  };
}
