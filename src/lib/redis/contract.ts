import {ErrorReply} from 'redis';

import {TokengateError} from '../values/errors.js';

export {ErrorReply};

/** A key or an argument of a command: text, or exact bytes. */
export type RedisText = string | Buffer;

export type Command = readonly RedisText[];

/** Commands that change nothing, of those that are sent: they may be sent again when their answer was lost. */
export const READS = new Set(
  'DBSIZE DUMP EXISTS GET GETRANGE HGET HGETALL HLEN HMGET LLEN LRANGE MGET PTTL STRLEN TIME TTL TYPE XINFO XLEN XRANGE XREVRANGE ZREVRANGE'.split(
    ' ',
  ),
);
/** Those with a cursor, which says nothing to another node. */
export const CURSORS = new Set(['HSCAN', 'SCAN']);

/**
 * Stands where an answer should be when the connection ended before it: the command may or may not have been done. Without
 * `isSent` it certainly was not.
 */
export class NoReply {
  constructor(
    readonly error: TokengateError,
    readonly isSent = true,
  ) {}
}

/** What a request that changes nothing gives, or `NoReply` when it fails. */
export async function orNoReply<T>(request: T): Promise<Awaited<T> | NoReply> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return new NoReply(error, false);
  }
}

export interface ServerInfo {
  /** `cluster` for all nodes of one. */
  role: 'primary' | 'replica' | 'unknown' | 'cluster';
  version: string | undefined;
  /** Host and port or socket path; without credentials. */
  address: string;
  database: number;
  /** Of a replica, the address of its primary, when it says so. */
  primary: string | undefined;
  /** What it is called by whoever connects. */
  name?: string | undefined;
  /** What it calls itself, when its store is protected, and that was asked for; null when it could not be read. */
  store?: string | null | undefined;
  /** Set when it does not tell the time, and this machine's is used. */
  isLocalTime?: boolean;
}

/** From the reply to whoever asks for it. What a user may not read is taken for none: an error of a change says more. */
export function toStoreName(reply: unknown): string | null | undefined {
  if (reply instanceof NoReply) return null;
  return typeof reply === 'string' ? reply : undefined;
}

/** What was agreed to, by all connections that share it. */
export interface Consent {
  /** The name of a protected store, as it was typed; true for what was decided before, about which nobody is asked. */
  to: string | true | undefined;
}

/** What is special about a Redis Cluster. */
export interface Cluster {
  readonly primaries: number;
  readonly replicas: number;
  /** The address of the primary that serves a key; undefined for a key that none does. */
  primaryOf(key: RedisText): string | undefined;
}

/** A Redis deployment. Every method rejects with a TokengateError, and none waits for ever. */
export interface Redis {
  readonly server: ServerInfo;
  readonly consent: Consent;
  /** Undefined when it is one server. */
  readonly cluster: Cluster | undefined;
  /** Sentences for the user: what could not be made sure of. */
  readonly doubts: Set<string>;
  /** Sends one command. An error reply rejects. */
  send(command: Command): Promise<unknown>;
  /** Sends commands in one flight. An error reply stands in its place in the result as an `ErrorReply`. */
  pipeline(commands: readonly Command[]): Promise<unknown[]>;
  /** The same with bulk strings as bytes. */
  pipelineBytes(commands: readonly Command[]): Promise<unknown[]>;
  /**
   * Sends atomic units in one flight: a single command is one, several are a MULTI/EXEC. Never rejects. For each unit
   * its replies, or the `ErrorReply` that refused it whole, or `NoReply`. On a cluster only single commands are units.
   */
  units(units: readonly (readonly Command[])[]): Promise<(unknown[] | ErrorReply | NoReply)[]>;
  /** Keys that match a pattern, page by page; while one is used the next is under way. A key may come twice. */
  scan(pattern: string): AsyncGenerator<Buffer[]>;
  /** The error that a user should see for an error reply. */
  explain(reply: ErrorReply): TokengateError;
  /**
   * A second connection with the same options, for a look at what became of a change: no signal ends it, and all that is
   * done on it has to be over within the time for one answer. The caller closes it.
   */
  reopen(): Promise<Redis>;
  /** Closes the connection at once; never throws, may be called twice. */
  close(): void;
}
