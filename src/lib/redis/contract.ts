import {ErrorReply} from 'redis';

import type {TokengateError} from '../values/errors.js';

export {ErrorReply};

/** A key or an argument of a command: text, or exact bytes. */
export type RedisText = string | Buffer;

export type Command = readonly RedisText[];

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

export interface ServerInfo {
  /** `cluster` for all nodes of one. */
  role: 'primary' | 'replica' | 'unknown' | 'cluster';
  version: string | undefined;
  /** Host and port or socket path; without credentials. */
  address: string;
  database: number;
  /** Of a replica, the address of its primary, when it says so. */
  primary: string | undefined;
  /** Set when it does not tell the time, and this machine's is used. */
  isLocalTime?: boolean;
}

/** What is special about a Redis Cluster. */
export interface Cluster {
  readonly primaries: number;
  readonly replicas: number;
  /** The address of the primary that serves a key; undefined for a key that none does. */
  primaryOf(key: RedisText): string | undefined;
  /** All keys that match a pattern, on all primaries, page by page. A key may come twice. */
  scan(pattern: string): AsyncGenerator<Buffer[]>;
  /** Sentences for the user: what could not be made sure of. */
  readonly doubts: Set<string>;
}

/** A Redis deployment. Every method rejects with a TokengateError, and none waits for ever. */
export interface Redis {
  readonly server: ServerInfo;
  /** Undefined when it is one server. */
  readonly cluster: Cluster | undefined;
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
