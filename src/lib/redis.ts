import {ErrorReply, RedisClient, RESP_TYPES} from 'redis';

import {TokengateError} from './errors.js';
import type {RedisText} from './keys.js';
import {DeadlineError, explainFailure, type FailureContext} from './redis-errors.js';
import {parseRedisUrl} from './redis-url.js';

export {ErrorReply};

export interface ConnectOptions {
  url: string;
  /** Limit for connecting, and for each answer, in milliseconds. */
  timeoutMs?: number;
  /** Ends every operation that is under way with INTERRUPTED. */
  signal?: AbortSignal | undefined;
}

export interface ServerInfo {
  /** Host and port or socket path; without credentials. */
  address: string;
  database: number;
  /** `unknown` when the user may not ask (Redis below 6 with few rights). */
  role: 'primary' | 'replica' | 'unknown';
  version: string | undefined;
}

export type Command = readonly RedisText[];

/** Stands where an answer should be when the connection ended before it: the command may or may not have been done. */
export class NoReply {
  constructor(readonly error: TokengateError) {}
}

/** One connection to one standalone Redis. Every method rejects with a TokengateError, and none waits for ever. */
export interface Redis {
  readonly server: ServerInfo;
  /** Sends one command. An error reply rejects. */
  send(command: Command): Promise<unknown>;
  /** Sends commands in one flight. An error reply stands in its place in the result as an `ErrorReply`. */
  pipeline(commands: readonly Command[]): Promise<unknown[]>;
  /** The same with bulk strings as bytes. */
  pipelineBytes(commands: readonly Command[]): Promise<unknown[]>;
  /**
   * Runs commands as one MULTI/EXEC in one flight. An error reply stands in its place in the result as an `ErrorReply`.
   * Rejects when Redis refuses the transaction; then nothing was changed, and `cause` is its reply.
   */
  transaction(commands: readonly Command[]): Promise<unknown[]>;
  /**
   * Sends atomic units in one flight: a single command is one, several are a MULTI/EXEC. Never rejects. For each unit
   * its replies, or the `ErrorReply` that refused it whole, or `NoReply`.
   */
  units(units: readonly (readonly Command[])[]): Promise<(unknown[] | ErrorReply | NoReply)[]>;
  /** The error that a user should see for an error reply. */
  explain(reply: ErrorReply): TokengateError;
  /** A second connection with the same options, which no signal ends. The caller closes it. */
  reopen(): Promise<Redis>;
  /** Closes the connection at once; never throws, may be called twice. */
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 5000;
/** The client's own limit for connecting comes first, since it knows what it was waiting for. */
const GRACE_MS = 500;
const BYTES = {typeMapping: {[RESP_TYPES.BLOB_STRING]: Buffer}};

/**
 * Connects to a standalone Redis.
 *
 * @throws TokengateError INVALID_REDIS_URL, REDIS_UNREACHABLE, REDIS_TIMEOUT, REDIS_AUTH_FAILED, REDIS_CLUSTER, …
 */
export async function connect(options: ConnectOptions): Promise<Redis> {
  const {url, timeoutMs = DEFAULT_TIMEOUT_MS, signal} = options;
  const target = parseRedisUrl(url);
  const tls = 'tls' in target.socket && target.socket.tls;
  const context: FailureContext = {address: target.address, timeoutMs, tls, connected: false};

  const client = new RedisClient({
    RESP: 2,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandOptions: {timeout: 0},
    database: target.database,
    ...(target.username === undefined ? {} : {username: target.username}),
    ...(target.password === undefined ? {} : {password: target.password}),
    socket: {
      ...('path' in target.socket
        ? {path: target.socket.path}
        : {host: target.socket.host, port: target.socket.port, ...(tls ? {tls: true} : {})}),
      connectTimeout: timeoutMs,
      reconnectStrategy: false,
    },
  });

  let firstError: unknown;
  const close = (): void => {
    try {
      client.destroy();
    } catch {
      // Already closed.
    }
  };
  const explainThrown = (error: unknown): TokengateError => explainFailure(error, context, firstError);
  /** Those who wait on the connection. A promise that outlives them all would keep every answer in memory. */
  const waiting = new Set<(error: unknown) => void>();
  /** Ends the connection. Whatever was sent is then answered with an error by node-redis. */
  const fail = (error: unknown): void => {
    firstError ??= error;
    close();
    for (const reject of waiting) reject(firstError);
  };
  const interrupt = (): void => {
    fail(new TokengateError('INTERRUPTED', 'Interrupted.'));
  };
  client.on('error', (error: unknown) => {
    fail(error ?? new Error('unknown error'));
  });
  if (signal?.aborted) interrupt();
  signal?.addEventListener('abort', interrupt, {once: true});

  /** Waits for the promise; past the time limit it ends the connection. */
  const within = async <T>(limitMs: number, promise: Promise<T>): Promise<T> => {
    const {promise: answer, resolve, reject} = withResolvers<T>();
    waiting.add(reject);
    promise.then(resolve, reject);
    const timer = setTimeout(() => {
      fail(new DeadlineError());
    }, limitMs);
    try {
      if (firstError !== undefined) reject(firstError);
      return await answer;
    } catch (error) {
      throw explainThrown(error);
    } finally {
      clearTimeout(timer);
      waiting.delete(reject);
    }
  };
  const toSlot = (error: unknown): ErrorReply | NoReply =>
    error instanceof ErrorReply ? error : new NoReply(explainThrown(error));
  /** Never rejects: each command's reply, `ErrorReply` or `NoReply`. */
  const fly = async (commands: readonly Command[], options?: typeof BYTES): Promise<unknown[]> => {
    const slots = commands.map((command) => client.sendCommand<unknown>(command, options).catch(toSlot));
    const all = Promise.all(slots);
    await within(timeoutMs, all).catch(() => {
      // Closing the connection has filled every slot that was empty.
    });
    return all;
  };
  const run = async (commands: readonly Command[], options?: typeof BYTES): Promise<unknown[]> => {
    const replies = await fly(commands, options);
    for (const reply of replies) if (reply instanceof NoReply) throw reply.error;
    return replies;
  };
  const units: Redis['units'] = async (list) => {
    const commands = list.flatMap((unit) => (unit.length === 1 ? unit : [['MULTI'], ...unit, ['EXEC']]));
    const slots = (await fly(commands)).values();
    return list.map((unit) => {
      if (unit.length === 1) return asUnit([slots.next().value]);
      const [, ...queued] = Array.from({length: unit.length + 1}, () => slots.next().value);
      const result = slots.next().value;
      if (Array.isArray(result)) return result as unknown[];
      return asUnit([queued.find((reply) => reply instanceof ErrorReply) ?? result]);
    });
  };
  const explain = (reply: ErrorReply): TokengateError => explainFailure(reply, context);

  try {
    await within(timeoutMs + GRACE_MS, client.connect());
    const server = {...(await askServer(run, context)), database: target.database};
    context.connected = true;
    return {
      server,
      explain,
      close,
      reopen: () => connect({...options, signal: undefined}),
      pipeline: (commands) => run(commands),
      pipelineBytes: (commands) => run(commands, BYTES),
      async send(command) {
        const [reply] = await run([command]);
        if (reply instanceof ErrorReply) throw explain(reply);
        return reply;
      },
      units,
      async transaction(commands) {
        const [outcome] = await units([commands]);
        if (outcome instanceof NoReply) throw outcome.error;
        if (outcome instanceof ErrorReply) throw explain(outcome);
        return outcome ?? [];
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws TokengateError REDIS_READONLY when the server is a replica, which takes no writes */
export function refuseReplica({server}: Redis): void {
  if (server.role !== 'replica') return;
  throw new TokengateError('REDIS_READONLY', `Redis at ${server.address} is a read-only replica.`, {
    hint: "Use the primary's address.",
  });
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers<T>(): {promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    [resolve, reject] = [onValue, onError];
  });
  return {promise, resolve, reject};
}

/** A unit of one command is refused by its error reply. */
function asUnit(replies: [unknown]): unknown[] | ErrorReply | NoReply {
  const [reply] = replies;
  return reply instanceof ErrorReply || reply instanceof NoReply ? reply : replies;
}

/** Refuses what is not a standalone Redis: SCAN on a cluster's node would silently show a part of the sessions. */
async function askServer(
  run: (commands: readonly Command[]) => Promise<unknown[]>,
  context: FailureContext,
): Promise<Omit<ServerInfo, 'database'>> {
  const [hello] = await run([['HELLO', '2']]);
  const facts = Array.isArray(hello) ? pairs(hello) : await factsFromInfo(run, hello, context);
  const mode = facts.get('mode') ?? facts.get('redis_mode');
  const {address} = context;
  if (mode === 'cluster') {
    throw new TokengateError(
      'REDIS_CLUSTER',
      `${address} is part of a Redis Cluster, which the gateway and tokengate do not support.`,
    );
  }
  if (mode === 'sentinel') {
    throw new TokengateError('REDIS_SENTINEL', `${address} is a Redis Sentinel.`, {
      hint: 'Give the address of the primary that it watches.',
    });
  }
  const role = facts.get('role');
  return {
    address,
    role: role === 'master' ? 'primary' : role === 'replica' || role === 'slave' ? 'replica' : 'unknown',
    version: facts.get('version') ?? facts.get('redis_version'),
  };
}

/** For servers that don't know HELLO (Redis below 6, or renamed); without the right to INFO nothing is known. */
async function factsFromInfo(
  run: (commands: readonly Command[]) => Promise<unknown[]>,
  hello: unknown,
  context: FailureContext,
): Promise<Map<string, string>> {
  if (hello instanceof ErrorReply && !/unknown command/i.test(hello.message)) throw explainFailure(hello, context);
  const [info] = await run([['INFO']]);
  const lines = typeof info === 'string' ? info.split('\r\n') : [];
  return new Map(lines.map((line) => line.split(':', 2) as [string, string]));
}

function pairs(list: unknown[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let index = 0; index + 1 < list.length; index += 2) map.set(String(list[index]), String(list[index + 1]));
  return map;
}
