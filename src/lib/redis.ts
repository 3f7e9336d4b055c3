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
  /** Host and port or socket path, and the database when it is not 0; without credentials. */
  address: string;
  /** `unknown` when the user may not ask (Redis below 6 with few rights). */
  role: 'primary' | 'replica' | 'unknown';
  version: string | undefined;
}

type Command = readonly RedisText[];

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
  /** The error that a user should see for an error reply. */
  explain(reply: ErrorReply): TokengateError;
  /** A second connection with the same options, which no signal ends. The caller closes it. */
  reopen(): Promise<Redis>;
  /** Closes the connection at once; never throws, may be called twice. */
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 5000;
/** How long after its own socket timeout an operation is given up, if the socket's timer did not end it. */
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
      socketTimeout: timeoutMs,
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
  const fatal = new Promise<never>((_, reject) => {
    client.on('error', (error: unknown) => {
      firstError ??= error ?? new Error('unknown error');
      reject(explainFailure(error, context));
      close();
    });
    const interrupt = (): void => {
      reject(new TokengateError('INTERRUPTED', 'Interrupted.'));
      close();
    };
    if (signal?.aborted) interrupt();
    signal?.addEventListener('abort', interrupt, {once: true});
  });
  fatal.catch(() => {
    // Whoever waits for an answer is told; nobody need be waiting.
  });

  /** Waits for the promise, but not past the time limit nor past the connection's end. */
  const guard = async <T>(promise: Promise<T>, limitMs: number): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new DeadlineError());
        close();
      }, limitMs);
    });
    try {
      return await Promise.race([promise, fatal, deadline]);
    } catch (error) {
      throw explainFailure(error, context, firstError);
    } finally {
      clearTimeout(timer);
    }
  };
  const run = async (commands: readonly Command[], options?: typeof BYTES): Promise<unknown[]> => {
    const replies = commands.map(async (command) => {
      try {
        return await client.sendCommand<unknown>(command, options);
      } catch (error) {
        if (error instanceof ErrorReply) return error;
        throw error;
      }
    });
    return guard(Promise.all(replies), timeoutMs + GRACE_MS);
  };
  const explain = (reply: ErrorReply): TokengateError => explainFailure(reply, context);

  try {
    await guard(client.connect(), 2 * timeoutMs + GRACE_MS);
    const server = await askServer(run, context);
    context.connected = true;
    if (target.database !== 0) server.address += ` db ${target.database}`;
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
      async transaction(commands) {
        const replies = await run([['MULTI'], ...commands, ['EXEC']]);
        const results = replies.at(-1);
        if (Array.isArray(results)) return results as unknown[];
        const refusal = replies.find((reply) => reply instanceof ErrorReply) ?? results;
        throw explainFailure(refusal, context);
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Refuses what is not a standalone Redis: SCAN on a cluster's node would silently show a part of the sessions. */
async function askServer(
  run: (commands: readonly Command[]) => Promise<unknown[]>,
  context: FailureContext,
): Promise<ServerInfo> {
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
