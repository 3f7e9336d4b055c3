import {secretsOfUrl} from '../../lib/redis/url.js';
import {onceStderrIsUsed} from './late-stderr.js';

/** Texts that must not be shown, and their replacements. */
const secrets = new Map<string, string>();
let isWatching = false;
/** A shorter text can occur in unrelated messages. */
const MIN_SECRET_LENGTH = 8;
/** The minimum length of a path's part that is a token rather than a word. */
const MIN_TOKEN_LENGTH = 16;

/** Remembers the password in a text that may hold a URL. */
export function keepSecret(text: string): void {
  for (const secret of secretsOfUrl(text)) addSecret(secret);
}

/** A URL's parameters that hold no secret. */
const HARMLESS = /\?(?:(?:db=\d+|ssl_(?!\w*pass)\w+=[^&@]*)(?:&|$))+$/;

/**
 * Remembers the password in a Redis URL; also the whole URL if it may hold one, since in a malformed URL the password
 * can be anywhere.
 */
export function keepSecretUrl(url: string): void {
  keepSecret(url);
  if (/[@?]/.test(url.replace(HARMLESS, ''))) addSecret(url);
}

/** Remembers a webhook's URL, with and without its host: the path alone is enough to post there. */
export function keepWebhookUrl(url: string): void {
  if (url === '') return;
  keepSecret(url);
  const [, path = ''] = /^https?:\/\/[^/?#]*(.*)$/is.exec(url) ?? [];
  // NODE_DEBUG prints path and query of a request separately.
  const parts = [...path.split(/[?#]/), ...path.split(/[/?#&=]/).filter((part) => part.length >= MIN_TOKEN_LENGTH)];
  for (const secret of [url, path, ...parts]) if (secret.length >= MIN_SECRET_LENGTH) addSecret(secret);
  redactStderr();
}

/** The text without any known password. */
export function redact(text: string): string {
  let safe = text;
  for (const [secret, shown] of [...secrets].sort(([a], [b]) => b.length - a.length)) {
    safe = safe.replaceAll(secret, shown);
  }
  return safe;
}

/** Keeps passwords out of what libraries write to stderr as well, such as the command line under `DEBUG=*`. */
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
 * Remembers a secret. A short password such as `redis` or `a` may occur in any message by chance. It is hidden only
 * within a URL: hiding it elsewhere would garble the message, and reveal it. For a server that repeats a password see
 * `redis/failures.ts`.
 */
function addSecret(secret: string): void {
  const isDistinct = secret.length >= 16 || (secret.length >= 6 && /[^a-z]/i.test(secret));
  if (isDistinct) addForms(secret, '***');
  else for (const [before, after] of IN_URL) addForms(`${before}${secret}${after}`, `${before}***${after}`);
}

/** The text around a password in a URL. */
const IN_URL = [
  [':', '@'],
  ['sentinel_password=', ''],
] as const;

/** Remembers a secret in every form in which a text may hold it. */
function addForms(secret: string, shown: string): void {
  secrets.set(secret, shown);
  // The forms of util.inspect and JSON.
  secrets.set(secret.replaceAll('\\', '\\\\'), shown);
  secrets.set(secret.replaceAll('\\', '\\\\').replaceAll("'", "\\'"), shown);
  secrets.set(JSON.stringify(secret).slice(1, -1), shown);
}
