import {secretsOfUrl} from '../../lib/redis/url.js';
import {onceStderrIsUsed} from './late-stderr.js';

/** What must not be shown, and what is shown in its place. */
const secrets = new Map<string, string>();
let isWatching = false;
/** What is shorter can stand in messages that have nothing to do with it. */
const MIN_SECRET_LENGTH = 8;
/** A part of a path that is no word. */
const MIN_TOKEN_LENGTH = 16;

/** Remembers the password in a text that may hold a URL. */
export function keepSecret(text: string): void {
  for (const secret of secretsOfUrl(text)) addSecret(secret);
}

/**
 * Remembers the password in a Redis URL, and the URL as a whole when it may hold one: in a malformed URL the password
 * can stand anywhere.
 */
export function keepSecretUrl(url: string): void {
  keepSecret(url);
  if (/[@?]/.test(url)) addSecret(url);
}

/** Remembers a webhook's URL, as a whole and without its host: a path alone lets whoever knows it post there. */
export function keepWebhookUrl(url: string): void {
  if (url === '') return;
  keepSecret(url);
  const [, path = ''] = /^https?:\/\/[^/?#]*(.*)$/is.exec(url) ?? [];
  // What Node.js says of a request under NODE_DEBUG has path and query apart.
  const parts = [...path.split(/[?#]/), ...path.split(/[/?#&=]/).filter((part) => part.length >= MIN_TOKEN_LENGTH)];
  for (const secret of [url, path, ...parts]) if (secret.length >= MIN_SECRET_LENGTH) addSecret(secret);
  redactStderr();
}

/** The text without any password that is known. */
export function redact(text: string): string {
  let safe = text;
  for (const [secret, shown] of [...secrets].sort(([a], [b]) => b.length - a.length)) {
    safe = safe.replaceAll(secret, shown);
  }
  return safe;
}

/** Keeps passwords out of what libraries write to stderr too, such as the command line that `DEBUG=*` shows. */
export function redactStderr(): void {
  if (secrets.size === 0 || isWatching) return;
  isWatching = true;
  onceStderrIsUsed(replaceWrite);
}

function replaceWrite(): void {
  const write = process.stderr.write.bind(process.stderr) as (
    chunk: string | Uint8Array,
    ...rest: unknown[]
  ) => boolean;
  process.stderr.write = (chunk: string | Uint8Array, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? redact(chunk) : chunk, ...rest);
}

/**
 * A password that may be a part of any message by chance, such as `redis` or `a`, is hidden only where a URL has it: to
 * take it out elsewhere would garble the message, and give it away at that. A server that repeats it is another matter,
 * see `redis-errors.ts`.
 */
function addSecret(secret: string): void {
  const isDistinct = secret.length >= 16 || (secret.length >= 6 && /[^a-z]/i.test(secret));
  if (isDistinct) addForms(secret, '***');
  else for (const [before, after] of IN_URL) addForms(`${before}${secret}${after}`, `${before}***${after}`);
}

/** What stands around a password in a URL. */
const IN_URL = [
  [':', '@'],
  ['sentinel_password=', ''],
] as const;

/** In each form in which some text may hold it. */
function addForms(secret: string, shown: string): void {
  secrets.set(secret, shown);
  // As util.inspect and JSON show it.
  secrets.set(secret.replaceAll('\\', '\\\\'), shown);
  secrets.set(secret.replaceAll('\\', '\\\\').replaceAll("'", "\\'"), shown);
  secrets.set(JSON.stringify(secret).slice(1, -1), shown);
}
