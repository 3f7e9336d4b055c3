import type {Context, UrlSource} from '../../lib/contexts/config.js';
import type {ConnectOptions} from '../../lib/redis/connect.js';
import {secretsOfUrl} from '../../lib/redis/url.js';
import {TokengateError} from '../../lib/values/errors.js';
import {parseTimeout} from '../../lib/values/time.js';
import {keepSecretUrl} from '../terminal/redact.js';
import {chooseServer, contextPath, type NamingFlags} from './choice.js';

/** What the global flags, or the variables in their place, say about the connection. */
interface ConnectionFlags extends NamingFlags {
  timeout?: string | undefined;
  'tls-ca'?: string | undefined;
  'tls-cert'?: string | undefined;
  'tls-key'?: string | undefined;
  'tls-server-name'?: string | undefined;
}

export interface Connection extends ConnectOptions {
  /** Warnings about how the URL was given. */
  warnings: string[];
  /** Undefined when the server is not named by a context. */
  context: Context | undefined;
}

export const DEFAULT_REDIS_URL = 'redis://localhost:6379';

/**
 * Decides where and how to connect: a flag wins over a variable, and a variable over the default of the context file.
 * Flags and variables also win over the other settings of a context.
 *
 * @param typed the names of the flags that were typed, not set by a variable
 * @param options.mayRun false to fail instead of running a program for the URL
 * @throws TokengateError INVALID_USAGE, INVALID_TIMEOUT, INVALID_REDIS_URL, INVALID_URL_FILE, INVALID_CONFIG, …
 */
export async function readConnection(
  flags: ConnectionFlags,
  typed: ReadonlySet<string>,
  {mayRun} = {mayRun: true},
): Promise<Connection> {
  const {source, context, warnings = []} = await findSource(flags, typed);
  if (source.from === 'redis-url-command' && !mayRun) {
    throw new TokengateError('URL_COMMAND_FAILED', 'The redis-url-command is not run here.');
  }
  const timeout = flags.timeout ?? context?.timeout;
  const timeoutMs = timeout === undefined ? undefined : parseTimeout(timeout);
  limitNameServers(timeoutMs);
  const {caFile, certFile, keyFile, serverName} = context?.tls ?? {};
  return {
    url: await readUrl(source, timeoutMs),
    context,
    warnings,
    timeoutMs,
    tls: {
      caFile: flags['tls-ca'] ?? caFile,
      certFile: flags['tls-cert'] ?? certFile,
      keyFile: flags['tls-key'] ?? keyFile,
      serverName: flags['tls-server-name'] ?? serverName,
    },
  };
}

interface Source {
  source: UrlSource;
  context?: Context;
  warnings?: string[];
}

async function findSource(flags: ConnectionFlags, typed: ReadonlySet<string>): Promise<Source> {
  const choice = chooseServer(flags, typed);
  if (choice?.kind === 'file') return {source: {from: 'redis-url-file', file: choice.value}};
  if (choice?.kind === 'url') {
    const {value, by} = choice;
    const isSeen = by === '--redis-url' && secretsOfUrl(value).length > 0;
    const warning = 'Other users of this machine can see the password in --redis-url.';
    const advice = 'Give the URL in TOKENGATE_REDIS_URL or in a --redis-url-file.';
    return {source: {from: 'redis-url', url: value}, warnings: isSeen ? [`${warning} ${advice}`] : []};
  }
  // Without contexts, a start only looks for the file.
  if (choice !== undefined || contextPath().isExpected) {
    const {findContext} = await import('./context-file.js');
    const context = await findContext(choice?.value);
    if (context !== undefined) return {source: context.source, context};
  }
  return {source: {from: 'redis-url', url: DEFAULT_REDIS_URL}};
}

async function readUrl(source: UrlSource, timeoutMs: number | undefined): Promise<string> {
  if (source.from === 'redis-url') {
    keepSecretUrl(source.url);
    return source.url;
  }
  const {readUrl: read} = await import('./url-source.js');
  return read(source, {timeoutMs});
}

/** glibc waits 10 s for a silent name server, even in a process that wants to exit. */
function limitNameServers(timeoutMs = 5000): void {
  const seconds = Math.min(2, Math.max(1, Math.floor(timeoutMs / 2000)));
  process.env['RES_OPTIONS'] ??= `timeout:${seconds} attempts:1`;
}
