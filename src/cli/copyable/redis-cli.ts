import type {ConnectOptions} from '../../lib/redis/connect.js';
import type {ServerInfo} from '../../lib/redis/contract.js';
import {type Endpoint, parseRedisUrl, withTlsFiles} from '../../lib/redis/url.js';

/**
 * The options with which redis-cli reaches the same server; empty where its defaults do. It asks for a password itself.
 * It does not know Sentinels, so behind them it gets the present primary.
 */
export function redisCliOptions({url, tls: files}: ConnectOptions, {address, role}: ServerInfo): string[] {
  const {endpoints, sentinel, credentials, database, tls} = withTlsFiles(parseRedisUrl(url), files);
  const {username, password} = credentials;
  const words = placeOf(sentinel === undefined ? endpoints[0] : readAddress(address));
  if (role === 'cluster') words.push('-c');
  if (database !== 0) words.push('-n', String(database));
  if (username !== undefined) words.push('--user', username);
  if (password !== undefined) words.push('--askpass');
  if (tls === undefined) return words;
  const {verify, caFile, certFile, keyFile = certFile, serverName} = tls;
  words.push('--tls', ...(verify ? [] : ['--insecure']));
  const named = {'--cacert': caFile, '--cert': certFile, '--key': keyFile, '--sni': serverName};
  for (const [option, value] of Object.entries(named)) if (value !== undefined) words.push(option, value);
  return words;
}

function placeOf(endpoint: Endpoint): string[] {
  if ('path' in endpoint) return ['-s', endpoint.path];
  const {host, port} = endpoint;
  const isHere = host === 'localhost' || host === '127.0.0.1';
  return [...(isHere ? [] : ['-h', host]), ...(port === 6379 ? [] : ['-p', String(port)])];
}

/** The address of a server that the Sentinels have named: see `addressOf`. */
function readAddress(address: string): Endpoint {
  const at = address.lastIndexOf(':');
  return {host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1))};
}
