import type {Socket} from 'node:net';

import {RedisClient, RESP_TYPES} from 'redis';

import {TokengateError} from '../values/errors.js';
import {type Command, ErrorReply, NoReply} from './contract.js';
import {DeadlineError, explainFailure, type FailureContext} from './failures.js';
import {addressOf, type Credentials, type Endpoint, type TlsSettings} from './url.js';

/** What a server says of itself. */
interface NodeFacts {
  /** `unknown` when the user may not ask (Redis below 6 with few rights). */
  mode: 'standalone' | 'cluster' | 'sentinel' | 'unknown';
  role: 'primary' | 'replica' | 'unknown';
  version: string | undefined;
  /** The number that the server has given this connection. It grows with each connection, until the server restarts. */
  clientId?: number | undefined;
  /** The reply to the greeting. */
  greeted?: unknown;
}

export interface NodeOptions {
  kind: FailureContext['kind'];
  endpoint: Endpoint;
  credentials: Credentials;
  database: number;
  tls: TlsSettings | undefined;
  /** Limit for connecting, and for each answer, in milliseconds. */
  timeoutMs: number;
  /** By `performance.now()`: when all work on this connection has to be finished. */
  deadline?: number | undefined;
  /** By `performance.now()`: an earlier time limit for connecting. */
  connectBy?: number | undefined;
  /** Ends every operation that is under way with INTERRUPTED. */
  signal?: AbortSignal | undefined;
  /** A command that is sent in the first flight. */
  greeting?: Command | undefined;
}

/** One connection to one server. None of its methods waits for ever. */
export interface RedisNode {
  /** Host and port or socket path; without credentials. */
  readonly address: string;
  readonly facts: NodeFacts;
  /** False once the connection has ended. */
  readonly isOpen: () => boolean;
  /**
   * Sends commands in one flight. Never rejects: the result has a reply, an `ErrorReply` or a `NoReply` for each
   * command.
   *
   * @param options.by by `performance.now()`: an earlier time limit for the answers
   */
  readonly fly: (commands: readonly Command[], options?: {bytes?: boolean; by?: number}) => Promise<unknown[]>;
  /** The error to show for an error reply. */
  readonly explain: (reply: ErrorReply) => TokengateError;
  /** Closes the connection at once; never throws, may be called twice. */
  readonly close: () => void;
}

/** Loads the code for TLS only when the URL asks for it. */
async function prepareTls(settings: TlsSettings, endpoint: Endpoint) {
  const [{readTlsOptions}, {explainTls}] = await Promise.all([import('./tls-files.js'), import('./explain-tls.js')]);
  return {explainTls, socket: {tls: true as const, ...(await readTlsOptions(settings, endpoint))}};
}

/** In bytes. node-redis holds back whatever of a flight exceeds this until the next turn of the event loop. */
const WHOLE_FLIGHTS = {writableHighWaterMark: 1 << 20};

const BYTES = {typeMapping: {[RESP_TYPES.BLOB_STRING]: Buffer}};

/**
 * Connects to one server, logs in, and asks what it is.
 *
 * @throws TokengateError REDIS_UNREACHABLE, REDIS_TIMEOUT, REDIS_AUTH_FAILED, REDIS_TLS_FAILED, …
 */
export async function openNode(options: NodeOptions): Promise<RedisNode> {
  const {kind, endpoint, credentials, timeoutMs, signal, deadline = Infinity} = options;
  const connectBy = Math.min(deadline, options.connectBy ?? Infinity, performance.now() + timeoutMs);
  const secrets = credentials.password === undefined ? [] : [credentials.password];
  const tls = options.tls && (await prepareTls(options.tls, endpoint));
  const context: FailureContext = {
    ...{kind, address: addressOf(endpoint), timeoutMs, secrets, stage: 'connecting'},
    explainTls: tls?.explainTls,
  };
  const line = new Line({endpoint, tls: tls?.socket, context, signal});
  try {
    await line.connect(connectBy);
    const facts = await logIn(options, context, (commands) => line.fly(commands, connectBy));
    context.stage = 'answered';
    return {
      address: context.address,
      facts,
      close: () => {
        line.close();
      },
      isOpen: () => line.isOpen,
      fly: (commands, {bytes, by = Infinity} = {}) =>
        line.fly(commands, Math.min(deadline, by, performance.now() + timeoutMs), bytes),
      explain: (reply) => explainFailure(reply, context),
    };
  } catch (error) {
    line.close();
    throw error;
  }
}

type TlsSocket = Awaited<ReturnType<typeof prepareTls>>['socket'];

interface LineOptions {
  endpoint: Endpoint;
  tls: TlsSocket | undefined;
  context: FailureContext;
  signal: AbortSignal | undefined;
}

function makeClient(endpoint: Endpoint, tls: TlsSocket | undefined, hold: object) {
  return new RedisClient({
    RESP: 2,
    maintNotifications: 'disabled',
    disableClientInfo: true,
    disableOfflineQueue: true,
    // node-redis limits how long a command waits to be sent, and never how long its answer takes. `#until` limits both.
    commandOptions: {timeout: 0},
    socket: {
      ...endpoint,
      ...tls,
      // Its own limit would count time in which this process was stopped; `#until` does not.
      connectTimeout: 0,
      // By default node-redis reconnects for ever.
      reconnectStrategy: false,
      ...WHOLE_FLIGHTS,
      ...hold,
    },
  });
}

/** A connection of node-redis on which no wait lasts for ever. */
class Line {
  readonly #context: FailureContext;
  readonly #signal: AbortSignal | undefined;
  readonly #client: ReturnType<typeof makeClient>;
  /** Ends a socket that is still connecting. */
  #endSocket = (): void => undefined;
  #isClosed = false;
  /**
   * Rejects everyone who waits on the connection. One promise for as long as the connection would keep every answer in
   * memory.
   */
  readonly #waiting = new Set<(error: unknown) => void>();
  /** The error that ended the connection. */
  #firstError: unknown;

  /** @throws TokengateError INTERRUPTED when it is interrupted already */
  constructor({endpoint, tls, context, signal}: LineOptions) {
    this.#context = context;
    this.#signal = signal;
    this.#client = makeClient(endpoint, tls, tls === undefined ? this.#holdSocket() : this.#holdTlsSocket());
    this.#client.on('error', (error: unknown) => {
      this.#fail(error ?? new Error('unknown error'));
    });
    this.#client.on('connect', () => {
      context.stage = 'accepted';
    });
    if (signal?.aborted) throw interrupted();
    signal?.addEventListener('abort', this.#interrupt);
  }

  get isOpen(): boolean {
    return this.#firstError === undefined;
  }

  async connect(by: number): Promise<void> {
    await this.#until(by, this.#client.connect());
  }

  /** @param by by `performance.now()` */
  async fly(commands: readonly Command[], by: number, isBytes = false): Promise<unknown[]> {
    const mapping = isBytes ? BYTES : undefined;
    const slots = commands.map((command) => this.#client.sendCommand<unknown>(command, mapping).catch(this.#toSlot));
    const all = Promise.all(slots);
    await this.#until(by, all).catch(() => {
      // Closing the connection has put an error into every empty slot.
    });
    return all;
  }

  close(): void {
    this.#isClosed = true;
    this.#signal?.removeEventListener('abort', this.#interrupt);
    try {
      this.#client.destroy();
    } catch {
      // Already closed.
    }
    // The client lets go of a socket that is still connecting, which would then stay open.
    this.#endSocket();
  }

  /** An option of streams: Node.js calls it with each one, soon after it is made. Of sockets of TLS it does not. */
  #holdSocket(): {construct: (this: Socket, done: () => void) => void} {
    const keep = (socket: Socket): void => {
      this.#endSocket = () => socket.destroy();
      if (this.#isClosed) this.#endSocket();
    };
    return {
      construct(done) {
        keep(this);
        done();
      },
    };
  }

  /** With much more code of Node.js. */
  #holdTlsSocket(): {signal: AbortSignal} {
    const ended = new AbortController();
    this.#endSocket = () => {
      ended.abort();
    };
    return {signal: ended.signal};
  }

  readonly #interrupt = (): void => {
    this.#fail(interrupted());
  };

  readonly #toSlot = (error: unknown): ErrorReply | NoReply =>
    error instanceof ErrorReply ? error : new NoReply(this.#explain(error));

  #explain(error: unknown): TokengateError {
    return explainFailure(error, this.#context, this.#firstError);
  }

  /** Ends the connection. node-redis then answers everything that was sent with an error. */
  #fail(error: unknown): void {
    this.#firstError ??= error;
    this.close();
    for (const reject of this.#waiting) reject(this.#firstError);
  }

  /** Waits for the promise; past the time it ends the connection. */
  async #until<T>(time: number, promise: Promise<T>): Promise<T> {
    const {promise: answer, resolve, reject} = withResolvers<T>();
    this.#waiting.add(reject);
    promise.then(resolve, reject);
    const stopWaiting = afterSilence(time, () => {
      this.#fail(new DeadlineError());
    });
    try {
      if (this.#firstError !== undefined) reject(this.#firstError);
      return await answer;
    } catch (error) {
      throw this.#explain(error);
    } finally {
      stopWaiting();
      this.#waiting.delete(reject);
    }
  }
}

/** How often to check that this process has been running. */
const TICK_MS = 1000;
/** A clock that jumps by more than this was not watched: the process or its terminal was stopped, or it was busy. */
const LATE_MS = 50;

/**
 * Calls `over` at a time by `performance.now()`. Time in which this process was stopped does not count as the server's
 * silence: the limit moves, and whatever has arrived is read first. Returns a function that ends the waiting.
 */
function afterSilence(time: number, over: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let last: NodeJS.Immediate | undefined;
  let end = time;
  const wait = (): void => {
    const now = performance.now();
    const due = Math.min(end, now + TICK_MS);
    timer = setTimeout(
      () => {
        const late = performance.now() - due;
        if (late > LATE_MS) end += late;
        if (performance.now() < end) wait();
        else last = setImmediate(over);
      },
      Math.max(0, due - now),
    );
  };
  wait();
  return () => {
    clearTimeout(timer);
    clearImmediate(last);
  };
}

function interrupted(): TokengateError {
  return new TokengateError('INTERRUPTED', 'Interrupted.');
}

/** Sends user, password and database in the same flight as the question what the server is. */
async function logIn(
  {credentials: {username, password}, database, greeting}: NodeOptions,
  context: FailureContext,
  fly: (commands: readonly Command[]) => Promise<unknown[]>,
): Promise<NodeFacts> {
  const login = password === undefined ? [] : [['AUTH', ...(username === undefined ? [] : [username]), password]];
  const select = database === 0 ? [] : [['SELECT', String(database)]];
  // A server that refuses every client (protected mode, too many clients) answers the first command, then closes.
  const replies = await fly([...login, ['HELLO', '2'], ...select, ...(greeting === undefined ? [] : [greeting])]);
  const refuse = (reply: unknown): void => {
    if (reply instanceof NoReply) throw reply.error;
    if (reply instanceof ErrorReply) throw explainFailure(reply, context);
  };
  if (login.length > 0) refuse(replies[0]);
  const hello = replies[login.length];
  const facts = Array.isArray(hello) ? pairs(hello) : await factsFromInfo(hello, fly, refuse);
  const {mode = 'unknown', role, version, id} = Object.fromEntries(facts);
  // A Sentinel and a cluster's node have no databases. What they are is the better error message.
  if (select.length > 0 && mode !== 'sentinel' && mode !== 'cluster') refuse(replies[login.length + 1]);
  return {
    mode: mode as NodeFacts['mode'],
    role: role === 'master' ? 'primary' : role === 'replica' || role === 'slave' ? 'replica' : 'unknown',
    version,
    clientId: id === undefined ? undefined : Number(id),
    greeted: greeting === undefined ? undefined : replies.at(-1),
  };
}

/** For servers without HELLO (Redis below 6, or renamed). Without the right to INFO, nothing is known of the server. */
async function factsFromInfo(
  hello: unknown,
  fly: (commands: readonly Command[]) => Promise<unknown[]>,
  refuse: (reply: unknown) => void,
): Promise<Map<string, string>> {
  if (!(hello instanceof ErrorReply && /unknown command/i.test(hello.message))) refuse(hello);
  const [info] = await fly([['INFO']]);
  if (info instanceof NoReply) throw info.error;
  const lines = typeof info === 'string' ? info.split('\r\n') : [];
  return new Map(lines.map((line) => line.replace(/^redis_(?=mode:|version:)/, '').split(':', 2) as [string, string]));
}

function pairs(list: unknown[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let index = 0; index + 1 < list.length; index += 2) map.set(String(list[index]), String(list[index + 1]));
  return map;
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
