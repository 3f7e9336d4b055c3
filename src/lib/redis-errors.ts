import {ErrorReply} from 'redis';

import {TokengateError} from './errors.js';

export interface FailureContext {
  /** Without credentials. */
  address: string;
  timeoutMs: number;
  tls: boolean;
  /** True once the server has answered on this connection. */
  connected: boolean;
}

interface Failure {
  code: string;
  message: (context: FailureContext) => string;
  hint?: string;
}

const seconds = ({timeoutMs}: FailureContext): string => `${timeoutMs / 1000} s`;

const UNREACHABLE_HINT = 'Check --redis-url or TOKENGATE_REDIS_URL.';

const connectFailure = (why: string, hint = UNREACHABLE_HINT): Failure => ({
  code: 'REDIS_UNREACHABLE',
  message: ({address}) => `Cannot connect to Redis at ${address}: ${why}.`,
  hint,
});

const LOST: Failure = {
  code: 'REDIS_CONNECTION_LOST',
  message: ({address, connected}) =>
    connected
      ? `Lost the connection to Redis at ${address}.`
      : `The server at ${address} closed the connection at once (does it expect TLS? then use rediss://).`,
};

const SILENT: Failure = {
  code: 'REDIS_TIMEOUT',
  message: (context) => `Redis at ${context.address} did not answer within ${seconds(context)}.`,
  hint: 'The server may be overloaded, stopped, or behind a firewall.',
};

/** By the error's class in node-redis. */
const BY_CLASS: Record<string, Failure> = {
  ConnectionTimeoutError: {
    code: 'REDIS_TIMEOUT',
    message: (context) =>
      `Cannot connect to Redis at ${context.address}: no answer within ${seconds(context)}${context.tls ? ' (is it a TLS port?)' : ''}.`,
    hint: UNREACHABLE_HINT,
  },
  DeadlineError: SILENT,
  SocketClosedUnexpectedlyError: LOST,
  ClientClosedError: LOST,
  DisconnectsClientError: LOST,
};

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
    message: ({address}) => `Redis at ${address} requires a password.`,
    hint: 'Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL).',
  },
  WRONGPASS: {
    code: 'REDIS_AUTH_FAILED',
    message: ({address}) => `Redis at ${address} rejected the user name or password.`,
  },
  NOPERM: {
    code: 'REDIS_NO_PERMISSION',
    message: ({address}) => `Redis at ${address} refused: this user lacks a permission`,
    hint: 'See ACL SETUSER: the user needs the commands and the keys session:* and anomaly:*.',
  },
  LOADING: {
    code: 'REDIS_LOADING',
    message: ({address}) => `Redis at ${address} is still loading its data.`,
    hint: 'Try again shortly.',
  },
  READONLY: {
    code: 'REDIS_READONLY',
    message: ({address}) => `Redis at ${address} is a read-only replica.`,
    hint: "Use the primary's address.",
  },
  MASTERDOWN: {
    code: 'REDIS_MASTERDOWN',
    message: ({address}) => `Redis at ${address} is a replica that lost its primary.`,
    hint: "Use the primary's address.",
  },
  OOM: {
    code: 'REDIS_OUT_OF_MEMORY',
    message: ({address}) => `Redis at ${address} is out of memory (maxmemory) and refused the write.`,
  },
  MISCONF: {
    code: 'REDIS_WRITES_REFUSED',
    message: ({address}) => `Redis at ${address} refuses writes: it cannot save to disk.`,
    hint: "See the server's log, and its disk.",
  },
  NOREPLICAS: {
    code: 'REDIS_WRITES_REFUSED',
    message: ({address}) => `Redis at ${address} refuses writes: not enough replicas.`,
  },
  BUSY: {
    code: 'REDIS_BUSY',
    message: ({address}) => `Redis at ${address} is busy running a script.`,
    hint: 'Try again; SCRIPT KILL ends a script that hangs.',
  },
  DENIED: {
    code: 'REDIS_AUTH_FAILED',
    message: ({address}) => `Redis at ${address} refused the connection (protected mode).`,
  },
  WRONGTYPE: {
    code: 'WRONG_TYPE',
    message: ({address}) => `A key in Redis at ${address} holds the wrong kind of value.`,
  },
  MOVED: {
    code: 'REDIS_CLUSTER',
    message: ({address}) => `${address} is part of a Redis Cluster, which the gateway and tokengate do not support.`,
  },
} satisfies Record<string, Failure>;
const CLUSTER_REPLIES = ['MOVED', 'ASK', 'CROSSSLOT', 'CLUSTERDOWN', 'TRYAGAIN'];

const BY_REPLY_TEXT: [RegExp, Failure][] = [
  [
    /max number of clients/i,
    {code: 'REDIS_UNREACHABLE', message: ({address}) => `Redis at ${address} has no free client connections.`},
  ],
  [
    /DB index is out of range|SELECT is not allowed in cluster/i,
    {code: 'INVALID_REDIS_URL', message: ({address}) => `Redis at ${address} has no such database.`},
  ],
  [
    /without any password configured|no password is set/i,
    {code: 'REDIS_AUTH_FAILED', message: ({address}) => `Redis at ${address} has no password set, but one was given.`},
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
 * Turns whatever node-redis, node:net or node:tls threw into an error that says what is wrong with which server.
 * `firstError` is the connection's first 'error' event: when the client only says that it is closed, that is why.
 */
export function explainFailure(thrown: unknown, context: FailureContext, firstError?: unknown): TokengateError {
  const error = rootOf(thrown, firstError);
  if (error instanceof TokengateError) return error;
  if (error instanceof ErrorReply) return explainReply(error, context);
  const {name, code, message} = describe(error);
  const tlsReason = tlsReasonOf(code, message);
  if (tlsReason !== undefined) {
    return new TokengateError('REDIS_TLS_FAILED', `TLS to Redis at ${context.address} failed: ${tlsReason}.`, {
      hint: 'Set NODE_EXTRA_CA_CERTS to the file of your certificate authority.',
      cause: thrown,
    });
  }
  const failure = BY_CLASS[name] ?? BY_CODE[code];
  if (failure) return toError(failure, context, thrown);
  if (/RESP type|protocol/i.test(message)) {
    return new TokengateError('REDIS_PROTOCOL', `The server at ${context.address} does not speak the Redis protocol.`, {
      hint: UNREACHABLE_HINT,
      cause: thrown,
    });
  }
  return new TokengateError('REDIS_ERROR', `Redis at ${context.address} failed: ${oneLine(code || message || name)}.`, {
    cause: thrown,
  });
}

/** Explains an error that Redis itself answered. */
function explainReply(reply: ErrorReply, context: FailureContext): TokengateError {
  const text = oneLine(reply.message);
  const word = /^-?([A-Z]+)\b/.exec(text)?.[1] ?? '';
  const inScript = /user executing the script can't (run this command|access)/.exec(text)?.[1];
  if (word === 'NOPERM' || inScript !== undefined) {
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
    (CLUSTER_REPLIES.includes(word) ? BY_REPLY.MOVED : (BY_REPLY as Record<string, Failure | undefined>)[word]) ??
    BY_REPLY_TEXT.find(([pattern]) => pattern.test(text))?.[1];
  if (failure) return toError(failure, context, reply);
  return new TokengateError('REDIS_ERROR', `Redis at ${context.address} answered with an error: ${text}.`, {
    cause: reply,
  });
}

function toError(failure: Failure, context: FailureContext, cause: unknown): TokengateError {
  return new TokengateError(failure.code, failure.message(context), {hint: failure.hint, cause});
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

function tlsReasonOf(code: string, message: string): string | undefined {
  const known: Record<string, string> = {
    CERT_HAS_EXPIRED: "the server's certificate has expired",
    DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is self-signed",
    SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate authority is not trusted",
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the server's certificate authority is not known",
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the server's certificate authority is not known",
    ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name",
  };
  if (known[code] !== undefined) return known[code];
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code === 'EPROTO') return code;
  return /\bSSL\b/.test(message) ? oneLine(message) : undefined;
}

function oneLine(text: string): string {
  const line = text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .replace(/\.$/, '');
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
