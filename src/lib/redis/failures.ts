import {TokengateError} from '../values/errors.js';
import {ErrorReply} from './contract.js';

export interface FailureContext {
  kind: 'Redis' | 'Sentinel';
  /** Without credentials. */
  address: string;
  timeoutMs: number;
  /** Explains failures of TLS; undefined without it. */
  explainTls: ((error: unknown, context: FailureContext) => TokengateError | undefined) | undefined;
  /** Texts that must not be shown, even if the server repeats them. */
  secrets: readonly string[];
  /** How far this connection has got. */
  stage: 'connecting' | 'accepted' | 'answered';
}

interface Failure {
  code: string;
  message: (context: FailureContext) => string;
  hint?: string | ((context: FailureContext) => string);
}

/** The server in a sentence. */
export const serverOf = ({kind, address}: FailureContext): string => `${kind} at ${address}`;

const seconds = ({timeoutMs}: FailureContext): string => `${timeoutMs / 1000} s`;

const UNREACHABLE_HINT = 'Check --redis-url or TOKENGATE_REDIS_URL.';

const connectFailure = (why: string, hint = UNREACHABLE_HINT): Failure => ({
  code: 'REDIS_UNREACHABLE',
  message: (context) => `Cannot connect to ${serverOf(context)}: ${why}.`,
  hint,
});

const LOST: Failure = {
  code: 'REDIS_CONNECTION_LOST',
  message: (context) =>
    context.stage === 'answered'
      ? `Lost the connection to ${serverOf(context)}.`
      : `The server at ${context.address} closed the connection at once.`,
};
const CLOSED_AT_ONCE: Failure = {
  ...LOST,
  hint: ({explainTls}) =>
    explainTls === undefined ? 'Does it expect TLS? Then use rediss://.' : 'Does it speak TLS? If not, use redis://.',
};
/** A reset connection loses the server's refusal of a client certificate. */
const CLOSED_AFTER_HANDSHAKE: Failure = {
  code: 'REDIS_TLS_FAILED',
  message: (context) => `TLS to ${serverOf(context)} failed: the server closed the connection after the handshake.`,
  hint: 'It may want a client certificate that it trusts: --tls-cert FILE and --tls-key FILE.',
};

const SILENT: Failure = {
  code: 'REDIS_TIMEOUT',
  message: (context) => `${serverOf(context)} did not answer within ${seconds(context)}.`,
  hint: 'The server may be overloaded, stopped, or behind a firewall.',
};
const SILENT_ON_CONNECT: Failure = {
  code: 'REDIS_TIMEOUT',
  message: (context) => `Cannot connect to ${serverOf(context)}: no answer within ${seconds(context)}.`,
  hint: ({explainTls}) =>
    explainTls === undefined ? UNREACHABLE_HINT : 'Is it a TLS port? If not, use redis://; else check the address.',
};

/** By the error's class in node-redis. */
const BY_CLASS: Record<string, Failure> = {
  ConnectionTimeoutError: SILENT_ON_CONNECT,
  DeadlineError: SILENT,
  SocketClosedUnexpectedlyError: LOST,
  ClientClosedError: LOST,
  DisconnectsClientError: LOST,
};

export const PRIMARY_HINT = "Use the primary's address.";

/** By the system's error code. */
const BY_CODE: Record<string, Failure> = {
  ECONNREFUSED: connectFailure('connection refused (is Redis running?)'),
  ENOTFOUND: connectFailure('host name not found'),
  EAI_AGAIN: connectFailure('the name server did not answer'),
  ENOENT: connectFailure('no such socket file'),
  EACCES: connectFailure('permission denied'),
  ETIMEDOUT: connectFailure('no answer'),
  EHOSTUNREACH: connectFailure('no route to the host'),
  ENETUNREACH: connectFailure('the network is unreachable'),
  ECONNRESET: LOST,
  EPIPE: LOST,
};

/** By the first word of Redis's error reply. */
const BY_REPLY = {
  NOAUTH: {
    code: 'REDIS_AUTH_FAILED',
    message: (context) => `${serverOf(context)} requires a password.`,
    hint: ({kind}) =>
      kind === 'Sentinel'
        ? 'Give it in the URL: ?sentinel_password=… (best in TOKENGATE_REDIS_URL or a --redis-url-file).'
        : 'Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL or a --redis-url-file).',
  },
  WRONGPASS: {
    code: 'REDIS_AUTH_FAILED',
    message: (context) => `${serverOf(context)} rejected the user name or password.`,
    hint: 'In a URL, percent-encode / ? # @ % in either.',
  },
  NOPERM: {
    code: 'REDIS_NO_PERMISSION',
    message: (context) => `${serverOf(context)} refused: this user lacks a permission`,
    hint: 'See ACL SETUSER: the user needs the commands, and the keys session:*, anomaly:* and tokengate:*.',
  },
  LOADING: {
    code: 'REDIS_LOADING',
    message: (context) => `${serverOf(context)} is still loading its data.`,
    hint: 'Try again shortly.',
  },
  READONLY: {
    code: 'REDIS_READONLY',
    message: (context) => `${serverOf(context)} is a read-only replica.`,
    hint: PRIMARY_HINT,
  },
  MASTERDOWN: {
    code: 'REDIS_MASTERDOWN',
    message: (context) => `${serverOf(context)} is a replica that lost its primary.`,
    hint: PRIMARY_HINT,
  },
  OOM: {
    code: 'REDIS_OUT_OF_MEMORY',
    message: (context) => `${serverOf(context)} is out of memory (maxmemory) and refused the write.`,
    hint: 'Free some, or raise maxmemory.',
  },
  MISCONF: {
    code: 'REDIS_WRITES_REFUSED',
    message: (context) => `${serverOf(context)} refuses writes: it cannot save to disk.`,
    hint: "See the server's log, and its disk.",
  },
  NOREPLICAS: {
    code: 'REDIS_WRITES_REFUSED',
    message: (context) => `${serverOf(context)} refuses writes: not enough replicas.`,
    hint: 'See min-replicas-to-write, and its replicas.',
  },
  BUSY: {
    code: 'REDIS_BUSY',
    message: (context) => `${serverOf(context)} is busy running a script.`,
    hint: 'Try again; SCRIPT KILL ends a script that hangs.',
  },
  DENIED: {
    code: 'REDIS_AUTH_FAILED',
    message: (context) => `${serverOf(context)} refused the connection (protected mode).`,
    hint: 'It takes no remote clients without a password: set one, or connect from its own machine.',
  },
  WRONGTYPE: {
    code: 'WRONG_TYPE',
    message: (context) => `A key in ${serverOf(context)} holds the wrong kind of value.`,
  },
  CLUSTERDOWN: {
    code: 'REDIS_CLUSTER_DOWN',
    message: (context) => `${serverOf(context)} says that its cluster serves no such key now.`,
    hint: 'A primary may be gone: see CLUSTER NODES on any node. Try again when another has taken over.',
  },
  MOVED: {
    code: 'REDIS_CLUSTER',
    message: (context) => `${serverOf(context)} is part of a Redis Cluster, and redirects to another node.`,
    hint: 'Try again shortly. A cluster is recognised by HELLO or INFO: the user needs the right to one of them.',
  },
  TRYAGAIN: {
    code: 'REDIS_BUSY',
    message: (context) => `${serverOf(context)} is handing keys on to another node of its cluster.`,
    hint: 'Try again shortly.',
  },
} satisfies Record<string, Failure>;
const REDIRECTIONS = ['MOVED', 'ASK', 'CROSSSLOT'];

const BY_REPLY_TEXT: [RegExp, Failure][] = [
  [
    /max number of clients/i,
    {
      code: 'REDIS_UNREACHABLE',
      message: (context) => `${serverOf(context)} has no free client connections.`,
      hint: 'Try again shortly, or raise maxclients.',
    },
  ],
  [
    /DB index is out of range|SELECT is not allowed in cluster/i,
    {
      code: 'INVALID_REDIS_URL',
      message: (context) => `${serverOf(context)} has no such database.`,
      hint: 'See /N or ?db=N in the URL; most servers have 0 to 15.',
    },
  ],
  [
    /without any password configured|no password is set/i,
    {
      code: 'REDIS_AUTH_FAILED',
      message: (context) => `${serverOf(context)} has no password set, but one was given.`,
      hint: 'Is it the right server? Then leave the password out of the URL.',
    },
  ],
  [/WRONGTYPE/, BY_REPLY.WRONGTYPE],
];

/** The time limit of one operation passed. */
export class DeadlineError extends Error {
  constructor() {
    super('no answer in time');
    this.name = 'DeadlineError';
  }
}

/**
 * Turns anything that node-redis, node:net or node:tls throws into an error that says what is wrong with which server.
 * `firstError` is the connection's first 'error' event: the real cause when the client only says that it is closed.
 */
export function explainFailure(thrown: unknown, context: FailureContext, firstError?: unknown): TokengateError {
  const error = rootOf(thrown, firstError);
  if (error instanceof TokengateError) return error;
  if (error instanceof ErrorReply) return explainReply(error, context);
  const tlsError = context.explainTls?.(error, context);
  if (tlsError !== undefined) return tlsError;
  const {name, code, message} = describe(error);
  const failure = BY_CLASS[name] ?? BY_CODE[code];
  if (failure) return toError(atStage(failure, context), context, thrown);
  if (/RESP type|protocol/i.test(message)) {
    return new TokengateError('REDIS_PROTOCOL', `The server at ${context.address} does not speak the Redis protocol.`, {
      hint: UNREACHABLE_HINT,
      cause: thrown,
    });
  }
  const what = withoutSecrets(code || message || name, context);
  return new TokengateError('REDIS_ERROR', `${serverOf(context)} failed: ${what}.`, {cause: thrown});
}

/** A lost connection means something else before the server has answered. */
function atStage(failure: Failure, {stage, explainTls}: FailureContext): Failure {
  if (failure === LOST && stage === 'accepted' && explainTls !== undefined) return CLOSED_AFTER_HANDSHAKE;
  if (failure === LOST && stage !== 'answered') return CLOSED_AT_ONCE;
  if (failure === SILENT && stage === 'connecting') return SILENT_ON_CONNECT;
  return failure;
}

/** Explains an error that Redis itself answered. */
function explainReply(reply: ErrorReply, context: FailureContext): TokengateError {
  const text = withoutSecrets(reply.message, context);
  const word = /^-?([A-Z]+)\b/.exec(text)?.[1] ?? '';
  const inScript = /user executing the script can't (run this command|access)/.exec(text)?.[1];
  // The last one is Valkey's.
  if (word === 'NOPERM' || inScript !== undefined || text.startsWith('ERR ACL failure in script')) {
    const ofScript = inScript === 'run this command' ? 'a command that a script runs' : undefined;
    const what =
      /'[^']*' command/.exec(text)?.[0] ?? ofScript ?? (/\bkeys?\b/.test(text) ? 'access to a key' : undefined);
    const error = toError(BY_REPLY.NOPERM, context, reply);
    return new TokengateError(error.code, `${error.message}${what === undefined ? '' : ` (${what})`}.`, {
      hint: error.hint,
      cause: reply,
    });
  }
  const failure =
    (REDIRECTIONS.includes(word) ? BY_REPLY.MOVED : (BY_REPLY as Record<string, Failure | undefined>)[word]) ??
    BY_REPLY_TEXT.find(([pattern]) => pattern.test(text))?.[1];
  if (failure) return toError(failure, context, reply);
  return new TokengateError('REDIS_ERROR', `${serverOf(context)} answered with an error: ${text}.`, {
    cause: reply,
  });
}

/** True when scripts as such are refused: to this user, or by a server without EVAL. */
export function isScriptRefusal({message}: ErrorReply): boolean {
  return /^(NOPERM.*'eval|ERR unknown command ['`]eval)/is.test(message);
}

/** True when a key is refused to this user: to the command, to one in a script, or to one in a script of Valkey. */
export function isKeyRefusal({message}: ErrorReply): boolean {
  return /^(NOPERM.* key|ERR The user executing the script can't access|ERR ACL failure in script.* key)/is.test(
    message,
  );
}

function toError(failure: Failure, context: FailureContext, cause: unknown): TokengateError {
  const hint = typeof failure.hint === 'function' ? failure.hint(context) : failure.hint;
  return new TokengateError(failure.code, failure.message(context), {hint, cause});
}

function rootOf(thrown: unknown, firstError: unknown): unknown {
  const {name} = describe(thrown);
  const closed = ['ClientClosedError', 'DisconnectsClientError', 'SocketClosedUnexpectedlyError'].includes(name);
  if (closed && firstError !== undefined && firstError !== thrown) return rootOf(firstError, undefined);
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return thrown.errors[0];
  const original = (thrown as {originalError?: unknown} | undefined)?.originalError;
  return original === undefined ? thrown : original;
}

function describe(error: unknown): {name: string; code: string; message: string} {
  if (!(error instanceof Error)) return {name: '', code: '', message: String(error)};
  const {code} = error as NodeJS.ErrnoException;
  return {name: error.constructor.name, code: typeof code === 'string' ? code : '', message: error.message};
}

/** One line of a server's answer, without passwords: a server may repeat the one it was sent, whole or cut off. */
function withoutSecrets(text: string, {secrets}: FailureContext): string {
  let safe = text.replace(/,? with args beginning with\b[^]*/i, '');
  for (const secret of secrets) {
    // A short password can be part of a word by chance: removing it there would garble the message.
    const pattern = secret.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
    safe =
      secret.length < 4
        ? safe.replace(new RegExp(`(?<!\\w)${pattern}(?!\\w)`, 'g'), '***')
        : safe.replaceAll(secret, '***');
  }
  return oneLine(safe);
}

/** Without line breaks, and cut to a readable length. */
export function oneLine(text: string): string {
  const line = text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .replace(/\.$/, '');
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
