import type {ConnectOptions} from '../../lib/redis/connect.js';
import {secretsOfUrl} from '../../lib/redis/url.js';
import {TokengateError} from '../../lib/values/errors.js';
import {keepSecretUrl, redactStderr} from '../terminal/redact.js';

/** What the global flags, and the variables in their place, say about the connection. */
interface ConnectionFlags {
  'redis-url': string;
  'redis-url-file'?: string | undefined;
  timeout?: string | undefined;
  'tls-ca'?: string | undefined;
  'tls-cert'?: string | undefined;
  'tls-key'?: string | undefined;
  'tls-server-name'?: string | undefined;
}

export interface Connection extends ConnectOptions {
  /** What the user should know about how the URL was given. */
  warnings: string[];
}

const URL_VARIABLE = 'TOKENGATE_REDIS_URL';
const FILE_VARIABLE = 'TOKENGATE_REDIS_URL_FILE';
const MAX_TIMEOUT_SECONDS = 3600;
/** The size is what a URL takes many times over. */
const URL_FILE = {what: 'URL file', code: 'INVALID_URL_FILE', maxBytes: 64 * 1024};

/**
 * Settles where and how to connect. A flag wins over a variable, whichever of URL and file it is; two of the same kind
 * contradict each other.
 *
 * @param typed the names of the flags that were typed, as opposed to set by a variable
 * @throws TokengateError INVALID_USAGE, INVALID_TIMEOUT, INVALID_REDIS_URL, INVALID_URL_FILE
 */
export async function readConnection(flags: ConnectionFlags, typed: ReadonlySet<string>): Promise<Connection> {
  const {url, warnings} = await findUrl(flags, typed);
  const timeoutMs = flags.timeout === undefined ? undefined : parseTimeout(flags.timeout);
  limitNameServers(timeoutMs);
  return {
    url,
    warnings,
    timeoutMs,
    tls: {
      caFile: flags['tls-ca'],
      certFile: flags['tls-cert'],
      keyFile: flags['tls-key'],
      serverName: flags['tls-server-name'],
    },
  };
}

/** Seconds in plain digits, as milliseconds. */
function parseTimeout(typed: string): number {
  const milliseconds = /^(\d+\.?\d*|\.\d+)$/.test(typed) ? Math.round(Number(typed) * 1000) : 0;
  if (milliseconds >= 1 && milliseconds <= MAX_TIMEOUT_SECONDS * 1000) return milliseconds;
  throw new TokengateError('INVALID_TIMEOUT', `'${typed}' is not a time limit in seconds.`, {
    hint: `Write a number from 0.001 to ${MAX_TIMEOUT_SECONDS}, such as 5 or 0.5.`,
  });
}

async function findUrl(flags: ConnectionFlags, typed: ReadonlySet<string>): Promise<{url: string; warnings: string[]}> {
  const {'redis-url': url, 'redis-url-file': file} = flags;
  const [isUrlTyped, isFileTyped] = [typed.has('redis-url'), typed.has('redis-url-file')];
  if (isUrlTyped && isFileTyped) {
    throw new TokengateError('INVALID_USAGE', 'Both --redis-url and --redis-url-file are given.', {hint: 'Give one.'});
  }
  if (isUrlTyped) {
    keepSecretUrl(url);
    const warning = 'Other users of this machine can see the password in --redis-url.';
    const advice = `Give the URL in ${URL_VARIABLE} or in a --redis-url-file.`;
    return {url, warnings: secretsOfUrl(url).length === 0 ? [] : [`${warning} ${advice}`]};
  }
  // An empty variable is what is left of one that was never set: no reason to change things on localhost.
  const [fromVariable, fileFromVariable] = [process.env[URL_VARIABLE], process.env[FILE_VARIABLE]];
  if (!isFileTyped && fromVariable === '') throw emptyVariable(URL_VARIABLE);
  if (!isFileTyped && fileFromVariable === '') throw emptyVariable(FILE_VARIABLE);
  if (!isFileTyped && fromVariable !== undefined && fileFromVariable !== undefined) {
    throw new TokengateError('INVALID_USAGE', `Both ${URL_VARIABLE} and ${FILE_VARIABLE} are set.`, {
      hint: 'Unset one, or give --redis-url or --redis-url-file.',
    });
  }
  if (file === undefined) {
    keepSecretUrl(url);
    return {url, warnings: []};
  }
  const {readOwnFile} = await import('./secret-file.js');
  const text = (await readOwnFile(file, URL_FILE)).trim();
  keepSecretUrl(text);
  redactStderr();
  if (/[\r\n]/.test(text)) {
    throw new TokengateError('INVALID_URL_FILE', `The URL file '${file}' holds more than one line.`);
  }
  return {url: text, warnings: []};
}

function emptyVariable(name: string): TokengateError {
  return new TokengateError('INVALID_REDIS_URL', `${name} is set, but empty.`, {
    hint: 'Unset it for redis://localhost:6379, or give --redis-url.',
  });
}

/** glibc waits 10 s for a silent name server, even when the process wants to exit. */
function limitNameServers(timeoutMs = 5000): void {
  const seconds = Math.min(2, Math.max(1, Math.floor(timeoutMs / 2000)));
  process.env['RES_OPTIONS'] ??= `timeout:${seconds} attempts:1`;
}
