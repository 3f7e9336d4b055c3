import {TokengateError} from './errors.js';

/** Where and as whom to connect, read from a Redis URL. */
export interface RedisTarget {
  socket: {host: string; port: number; tls: boolean} | {path: string};
  username: string | undefined;
  password: string | undefined;
  database: number;
  /** Host and port, or the socket's path: never a user name or a password. */
  address: string;
}

const HINT = 'Write redis://[user:password@]host[:port][/db], rediss://… for TLS, or unix:///path/to.sock[?db=N].';

/**
 * Reads a Redis URL in the forms that the gateway's redis-py knows. Strict, with messages of its own that never hold a
 * part of the URL, since any part may be a secret that is in the wrong place.
 *
 * @throws TokengateError INVALID_REDIS_URL
 */
export function parseRedisUrl(url: string): RedisTarget {
  const text = url.trim();
  if (text === '') refuse('it is empty');
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) refuse('it has no scheme (did you mean redis://…?)');
  if (!['redis', 'rediss', 'unix'].includes(scheme)) refuse('its scheme is not redis, rediss or unix');

  const [beforeQuery, query = ''] = splitOnce(text.slice(scheme.length + 3), '?');
  if (text.includes('#')) refuse('it has a # (percent-encode / ? # @ % in a user name or password)');
  const slash = beforeQuery.indexOf('/');
  const authority = slash === -1 ? beforeQuery : beforeQuery.slice(0, slash);
  const path = slash === -1 ? '' : beforeQuery.slice(slash);
  const at = authority.lastIndexOf('@');
  const credentials = readCredentials(at === -1 ? '' : authority.slice(0, at));
  const hostAndPort = authority.slice(at + 1);
  const queryDatabase = readQuery(query);

  if (scheme === 'unix') {
    if (hostAndPort !== '' || path === '' || path === '/') {
      refuse('a socket needs an absolute path, with three slashes: unix:///path/to.sock');
    }
    const socketPath = decode(path);
    return {socket: {path: socketPath}, ...credentials, database: queryDatabase ?? 0, address: socketPath};
  }
  const {host, port} = readHostAndPort(hostAndPort);
  const database = queryDatabase ?? readDatabase(path.slice(1) || '0');
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {socket: {host, port, tls: scheme === 'rediss'}, ...credentials, database, address};
}

/**
 * Every form of the password in a text that holds a URL, such as a flag with a mistyped name: as typed and
 * percent-decoded, longest first.
 */
export function secretsOfUrl(text: string): string[] {
  const authority = /:\/\/([^/?#]*(?:[/?#][^@]*)?)@/i.exec(text)?.[1];
  if (authority === undefined) return [];
  const password = splitOnce(authority, ':')[1] ?? '';
  const secrets = [password];
  try {
    secrets.push(decodeURIComponent(password));
  } catch {
    // Not percent-encoded: the text as typed is the only form.
  }
  return [...new Set(secrets)].filter((secret) => secret !== '').sort((a, b) => b.length - a.length);
}

function refuse(why: string): never {
  throw new TokengateError('INVALID_REDIS_URL', `Invalid Redis URL: ${why}.`, {hint: HINT});
}

function readCredentials(text: string): {username: string | undefined; password: string | undefined} {
  if (text === '') return {username: undefined, password: undefined};
  const [user, password] = splitOnce(text, ':');
  if (password === undefined || password === '') refuse('it has a user name without a password');
  return {username: user === '' ? undefined : decode(user), password: decode(password)};
}

function readHostAndPort(text: string): {host: string; port: number} {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(\d*))?$/i.exec(text);
  if (!match) refuse('its host and port are not readable');
  const host = match[1] ?? decode(match[2] ?? '');
  if (host === '') refuse('the host is missing');
  if (/[\s\p{Cc}]/u.test(host)) refuse('its host holds a space or a control character');
  const port = match[3] === undefined ? 6379 : Number(match[3]);
  if (port < 1 || port > 65_535) refuse('its port is not between 1 and 65535');
  return {host, port};
}

function readDatabase(text: string): number {
  if (!/^\d{1,9}$/.test(text)) refuse('its database is not a whole number');
  return Number(text);
}

function readQuery(query: string): number | undefined {
  let database: number | undefined;
  for (const parameter of query === '' ? [] : query.split('&')) {
    const [name, value = ''] = splitOnce(parameter, '=');
    if (name !== 'db') refuse('it has a parameter other than db');
    database = readDatabase(value);
  }
  return database;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('it has a % that is not part of a percent-encoding such as %40');
  }
}

/** The text before and after the first separator; the second is undefined without one. */
function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}
