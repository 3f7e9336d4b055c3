import type {KeyShape} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import type {Stored} from '../journal/entry.js';
import type {Command, NoReply, Redis, RedisText} from '../redis/contract.js';
import type {TokengateError} from '../values/errors.js';
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

/** What has been answered about one session. */
export type Answer<T> = Settled<T> | NoReply;

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
  args: readonly RedisText[];
  own?: (id: RawId) => RedisText;
  /** In place of both, the arguments for the sessions that share a run. */
  pack?: (group: readonly RawId[]) => RedisText[];
  /** True where `read` is to be told what was there. */
  tellsOld?: boolean;
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
