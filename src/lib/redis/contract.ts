import {ErrorReply} from 'redis';

import {READ_FACTS} from '../lua/scripts.js';
import {TokengateError} from '../values/errors.js';

export {ErrorReply};

/** A key or an argument of a command: text, or exact bytes. */
export type RedisText = string | Buffer;

export type Command = readonly RedisText[];

const READS = new Set(
  'DBSIZE DUMP EXISTS GET GETRANGE HGET HGETALL HLEN HMGET LLEN LRANGE MGET PTTL STRLEN TIME TTL TYPE XINFO XLEN XRANGE XREVRANGE ZREVRANGE'.split(
    ' ',
  ),
);
/** Those that read on from a cursor, which means nothing to another node. */
export const CURSORS = new Set(['HSCAN', 'SCAN']);

/** Whether a command changes nothing, so that it may be sent again after its answer was lost. */
export function isRead([name, script, keys]: Command): boolean {
  const word = String(name);
  return READS.has(word) || (word === 'EVAL' && (script === READ_FACTS || keys === '0'));
}

/**
 * Stands for an answer that never came because the connection ended. The command may or may not have been executed;
 * without `isSent` it certainly was not.
 */
export class NoReply {
  constructor(
    readonly error: TokengateError,
    readonly isSent = true,
  ) {}
}

/** The result of a request that changes nothing, or `NoReply` when it fails. */
export async function orNoReply<T>(request: T): Promise<Awaited<T> | NoReply> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return new NoReply(error, false);
  }
}

/** The result of a request; undefined for a user who lacks a right that it needs. */
export async function ifPermitted<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof TokengateError && error.code === 'REDIS_NO_PERMISSION') return undefined;
    throw error;
  }
}

export interface ServerInfo {
  /** `cluster` for all nodes of one. */
  role: 'primary' | 'replica' | 'unknown' | 'cluster';
  version: string | undefined;
  /** Host and port or socket path; without credentials. */
  address: string;
  database: number;
  /** Of a replica, the address of its primary, if it says so. */
  primary: string | undefined;
  /** Its name in the context file. */
  name?: string | undefined;
  /** Its own name, when its store is protected and the connection asked for it; null when it could not be read. */
  store?: string | null | undefined;
  /** True when the server does not tell the time, so that this machine's clock is used. */
  isLocalTime?: boolean;
}

/** The name in a reply. A key that the user may not read counts as absent: the error of a change itself says more. */
export function toStoreName(reply: unknown): string | null | undefined {
  if (reply instanceof NoReply) return null;
  return typeof reply === 'string' ? reply : undefined;
}

/** The name that the user has agreed to change, shared by all connections of a command. */
export interface Consent {
  /** The name of a protected store, as typed; true for changes that were decided earlier and need no confirmation. */
  to: string | true | undefined;
}

/** What is special about a Redis Cluster. */
export interface Cluster {
  readonly primaries: number;
  readonly replicas: number;
  /** The address of the primary that serves a key; undefined for a key that no primary serves. */
  primaryOf(key: RedisText): string | undefined;
}

/** A Redis deployment. Every method rejects with a TokengateError; none waits for ever. */
export interface Redis {
  readonly server: ServerInfo;
  readonly consent: Consent;
  /** Undefined when it is one server. */
  readonly cluster: Cluster | undefined;
  /** Sentences for the user about what could not be verified. */
  readonly doubts: Set<string>;
  /** Sends one command. An error reply rejects. */
  send(command: Command): Promise<unknown>;
  /** Sends commands in one flight. A command that was refused has an `ErrorReply` in its place in the result. */
  pipeline(commands: readonly Command[]): Promise<unknown[]>;
  /** The same with bulk strings as bytes. */
  pipelineBytes(commands: readonly Command[]): Promise<unknown[]>;
  /**
   * Sends atomic units in one flight: one command, or several as MULTI/EXEC. Never rejects. Each unit gets its replies,
   * the `ErrorReply` that refused all of it, or `NoReply`. On a cluster every unit is a single command.
   */
  units(units: readonly (readonly Command[])[]): Promise<(unknown[] | ErrorReply | NoReply)[]>;
  /** Keys that match a pattern, page by page, reading one page ahead. A key may come twice. */
  scan(pattern: string): AsyncGenerator<Buffer[]>;
  /** The error to show for an error reply. */
  explain(reply: ErrorReply): TokengateError;
  /**
   * Opens a second connection with the same options, to look at what a change has done. No signal ends it. Everything
   * on it has to be over within the time for one answer: a look must not make a command wait several times as long. The
   * caller closes it.
   */
  reopen(): Promise<Redis>;
  /** Closes the connection at once; never throws, may be called twice. */
  close(): void;
}
