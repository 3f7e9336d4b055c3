import {TokengateError} from '../values/errors.js';

/** A server: a host and port, or a socket file. */
export type Endpoint = {host: string; port: number} | {path: string};

export interface Credentials {
  username: string | undefined;
  password: string | undefined;
}

/** Settings of TLS. The files are PEM, and are read when connecting. */
export interface TlsSettings {
  /** Accept only a certificate of a trusted authority. */
  verify: boolean;
  /** Accept only a certificate for the server's name. */
  checkName: boolean;
  /** The authorities to trust in place of the system's. */
  caFile: string | undefined;
  certFile: string | undefined;
  /** Undefined when the key is in `certFile`. */
  keyFile: string | undefined;
  /** The name in the certificate, if it is not the host's. */
  serverName: string | undefined;
}

/** Where and as whom to connect, read from a Redis URL. */
export interface RedisTarget {
  /** One server, or the Sentinels of a deployment. */
  endpoints: [Endpoint, ...Endpoint[]];
  /** The primary to ask the Sentinels for, and the credentials for them. */
  sentinel: {primary: string; credentials: Credentials} | undefined;
  credentials: Credentials;
  database: number;
  tls: TlsSettings | undefined;
}

const HINT =
  'Write redis://[user:password@]host[:port][/db], rediss://… for TLS, unix:///path/to.sock[?db=N], ' +
  'or redis+sentinel://host[:port],…/primary[/db].';

const SCHEMES = ['redis', 'rediss', 'unix', 'redis+sentinel', 'rediss+sentinel'];
const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

const TLS_PARAMETERS = ['ssl_cert_reqs', 'ssl_check_hostname', 'ssl_ca_certs', 'ssl_certfile', 'ssl_keyfile'] as const;
const SENTINEL_PARAMETERS = ['sentinel_username', 'sentinel_password'] as const;
const PARAMETERS = ['db', ...TLS_PARAMETERS, ...SENTINEL_PARAMETERS] as const;
type Parameter = (typeof PARAMETERS)[number];
type Parameters = Map<Parameter, string>;

/**
 * Reads a Redis URL in the forms of the gateway's redis-py, or with Sentinels. Strict, since a URL that is read
 * leniently may name another server. No message holds a part of the URL: any part may be a misplaced secret.
 *
 * @throws TokengateError INVALID_REDIS_URL
 */
export function parseRedisUrl(url: string): RedisTarget {
  const text = url.trim();
  if (text === '') refuse('it is empty');
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) refuse('it has no scheme (did you mean redis://…?)');
  if (!SCHEMES.includes(scheme)) refuse(`its scheme is none of ${SCHEMES.join(', ')}`);
  const isTls = scheme.startsWith('rediss');
  const isSentinel = scheme.endsWith('+sentinel');

  const [beforeQuery, query = ''] = splitOnce(text.slice(scheme.length + 3), '?');
  if (text.includes('#')) refuse('it has a # (percent-encode / ? # @ % in a user name or password)');
  const slash = beforeQuery.indexOf('/');
  const authority = slash === -1 ? beforeQuery : beforeQuery.slice(0, slash);
  const path = slash === -1 ? '' : beforeQuery.slice(slash);
  const at = authority.lastIndexOf('@');
  const hosts = authority.slice(at + 1);
  const known = ['db', ...(isTls ? TLS_PARAMETERS : []), ...(isSentinel ? SENTINEL_PARAMETERS : [])];
  const parameters = readQuery(query, known);
  if (!isTls && TLS_PARAMETERS.some((name) => parameters.has(name))) {
    refuse('it has an ssl_ parameter, but its scheme is not one of TLS (rediss or rediss+sentinel)');
  }
  if (!isSentinel && SENTINEL_PARAMETERS.some((name) => parameters.has(name))) {
    refuse('it has a sentinel_ parameter, but its scheme is not redis+sentinel');
  }
  const target = {
    sentinel: undefined,
    credentials: readCredentials(at === -1 ? '' : authority.slice(0, at)),
    tls: isTls ? readTls(parameters) : undefined,
  };

  if (scheme === 'unix') {
    if (hosts !== '' || path === '' || path === '/') {
      refuse('a socket needs an absolute path, with three slashes: unix:///path/to.sock');
    }
    return {...target, endpoints: [{path: decode(path)}], database: readDatabase('', parameters)};
  }
  if (isSentinel) {
    const [, primary = '', database = '', ...rest] = path.split('/');
    if (primary === '') refuse("the primary's name is missing, as in redis+sentinel://host:26379/mymaster");
    if (rest.length > 0) refuse("it has more after the host than the primary's name and the database");
    const [first = '', ...others] = hosts.split(',');
    return {
      ...target,
      endpoints: [readHostAndPort(first, SENTINEL_PORT), ...others.map((host) => readHostAndPort(host, SENTINEL_PORT))],
      sentinel: {primary: readName(decode(primary), "the primary's name"), credentials: readLogin(parameters)},
      database: readDatabase(database, parameters),
    };
  }
  if (hosts.includes(',')) refuse('it has several hosts, which only redis+sentinel takes');
  return {
    ...target,
    endpoints: [readHostAndPort(hosts, REDIS_PORT)],
    database: readDatabase(path.slice(1), parameters),
  };
}

/** Paths of PEM files, and the name in the server's certificate. */
export interface TlsFiles {
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  serverName?: string | undefined;
}

/**
 * The target with TLS settings from outside the URL, which override it. A URL without TLS is refused: the settings
 * promise encryption that there would not be.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function withTlsFiles(target: RedisTarget, {caFile, certFile, keyFile, serverName}: TlsFiles = {}): RedisTarget {
  if ([caFile, certFile, keyFile, serverName].every((value) => value === undefined)) return target;
  const {tls} = target;
  if (tls === undefined) {
    throw new TokengateError('INVALID_USAGE', 'There are TLS settings, but the URL does not use TLS.', {
      hint: 'Write rediss:// instead of redis://, or leave out --tls-… and TOKENGATE_TLS_….',
    });
  }
  const cert = certFile ?? tls.certFile;
  if (keyFile !== undefined && cert === undefined) {
    throw new TokengateError('INVALID_USAGE', 'There is a TLS key without its certificate.', {
      hint: 'Give the certificate with --tls-cert (or TOKENGATE_TLS_CERT).',
    });
  }
  return {
    ...target,
    tls: {
      ...tls,
      caFile: caFile ?? tls.caFile,
      certFile: cert,
      // The URL's key belongs to the URL's certificate.
      keyFile: keyFile ?? (certFile === undefined ? tls.keyFile : undefined),
      serverName,
    },
  };
}

/** For display: never with a user name or a password. */
export function addressOf(endpoint: Endpoint): string {
  if ('path' in endpoint) return endpoint.path;
  const {host, port} = endpoint;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Every form of the passwords in a text that holds a URL, such as a mistyped flag with one: as typed and
 * percent-decoded, longest first.
 */
export function secretsOfUrl(text: string): string[] {
  if (!text.includes('@') && !text.includes('=')) return [];
  const authority = /:\/\/([^/?#]*(?:[/?#][^@]*)?)@/.exec(text)?.[1] ?? '';
  const passwords = [splitOnce(authority, ':')[1] ?? ''];
  for (const [, password = ''] of text.matchAll(/[?&]sentinel_password=([^&\s]*)/gi)) passwords.push(password);
  const secrets = passwords.flatMap((password) => {
    try {
      return [password, decodeURIComponent(password), decodeURIComponent(password.replaceAll('+', ' '))];
    } catch {
      // Not percent-encoded: there is only the form that was typed.
      return [password];
    }
  });
  return [...new Set(secrets)].filter((secret) => secret !== '').sort((a, b) => b.length - a.length);
}

function refuse(why: string): never {
  throw new TokengateError('INVALID_REDIS_URL', `Invalid Redis URL: ${why}.`, {hint: HINT});
}

function readCredentials(text: string): Credentials {
  if (text === '') return {username: undefined, password: undefined};
  const [user, password] = splitOnce(text, ':');
  if (password === undefined || password === '') refuse('it has a user name without a password');
  return {username: user === '' ? undefined : decode(user), password: decode(password)};
}

/** The user and password for the Sentinels themselves. */
function readLogin(parameters: Parameters): Credentials {
  const [username, password] = [parameters.get('sentinel_username'), parameters.get('sentinel_password')];
  if (username !== undefined && password === undefined) refuse('it has sentinel_username without sentinel_password');
  return {username, password};
}

function readTls(parameters: Parameters): TlsSettings {
  const requirement = parameters.get('ssl_cert_reqs') ?? 'required';
  if (!['none', 'optional', 'required'].includes(requirement)) {
    refuse('its ssl_cert_reqs is not none, optional or required');
  }
  const [certFile, keyFile] = [parameters.get('ssl_certfile'), parameters.get('ssl_keyfile')];
  if (keyFile !== undefined && certFile === undefined) refuse('it has ssl_keyfile without ssl_certfile');
  // OpenSSL's client treats `optional` as `required`.
  const verify = requirement !== 'none';
  return {
    verify,
    checkName: verify && readBoolean(parameters.get('ssl_check_hostname') ?? 'true'),
    caFile: parameters.get('ssl_ca_certs'),
    certFile,
    keyFile,
    serverName: undefined,
  };
}

function readBoolean(text: string): boolean {
  if (!/^(true|false|yes|no|1|0)$/i.test(text)) refuse('its ssl_check_hostname is not true or false');
  return ['true', 'yes', '1'].includes(text.toLowerCase());
}

function readHostAndPort(text: string, defaultPort: number): {host: string; port: number} {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*))(?::(\d*))?$/.exec(text);
  if (!match) refuse('its host and port are not readable');
  const host = readName(match[1] ?? decode(match[2] ?? ''), 'the host');
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port < 1 || port > 65_535) refuse('its port is not between 1 and 65535');
  return {host, port};
}

function readName(name: string, what: string): string {
  if (name === '') refuse(`${what} is missing`);
  // In most names there is nothing for which a table of Unicode has to be read.
  if (!/^[!-~]*$/.test(name) && /[\s\p{Cc}]/u.test(name)) refuse(`${what} holds a space or a control character`);
  return name;
}

/** The parameter overrides the path, as in redis-py. */
function readDatabase(path: string, parameters: Parameters): number {
  const texts = [parameters.get('db'), path === '' ? undefined : path].filter((text) => text !== undefined);
  if (!texts.every((text) => /^\d{1,9}$/.test(text))) refuse('its database is not a whole number');
  return Number(texts[0] ?? 0);
}

/** @param known the parameters that the URL's scheme takes; any other is refused later, with its reason */
function readQuery(query: string, known: readonly string[]): Parameters {
  const parameters: Parameters = new Map();
  for (const parameter of query === '' ? [] : query.split('&')) {
    const [name, value = ''] = splitOnce(parameter, '=') as [Parameter, string | undefined];
    if (!PARAMETERS.includes(name)) refuse(`it has a parameter other than ${known.join(', ')}`);
    if (parameters.has(name)) refuse(`it has ${name} twice`);
    if (name !== 'db' && value === '') refuse(`its ${name} is empty`);
    parameters.set(name, decode(value.replaceAll('+', ' ')));
  }
  return parameters;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('it has a % that is not part of a percent-encoding such as %40');
  }
}

/** The text before and after the first separator; the second is undefined if there is no separator. */
function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}
