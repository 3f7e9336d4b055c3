import {secretsOfUrl} from '../lib/redis-url.js';

const secrets = new Set<string>();
/** What is shorter can stand in messages that have nothing to do with it. */
const MIN_SECRET_LENGTH = 8;
/** A part of a path that is no word. */
const MIN_TOKEN_LENGTH = 16;
let isRedacting = false;

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
  keepSecret(url);
  const [, path = ''] = /^https?:\/\/[^/?#]*(.*)$/is.exec(url) ?? [];
  for (const secret of [url, path, ...path.split(/[/?#&=]/).filter((part) => part.length >= MIN_TOKEN_LENGTH)]) {
    if (secret.length >= MIN_SECRET_LENGTH) addSecret(secret);
  }
  redactStderr();
}

/** The text without any password that is known. */
export function redact(text: string): string {
  let safe = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) safe = safe.replaceAll(secret, '***');
  return safe;
}

/** Keeps passwords out of what libraries write to stderr too, such as the command line that `DEBUG=*` shows. */
export function redactStderr(): void {
  if (secrets.size === 0 || isRedacting) return;
  isRedacting = true;
  const write = process.stderr.write.bind(process.stderr) as (
    chunk: string | Uint8Array,
    ...rest: unknown[]
  ) => boolean;
  process.stderr.write = (chunk: string | Uint8Array, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? redact(chunk) : chunk, ...rest);
}

/** In each form in which some text may hold it. */
function addSecret(secret: string): void {
  secrets.add(secret);
  // As util.inspect and JSON show it.
  secrets.add(secret.replaceAll('\\', '\\\\'));
  secrets.add(secret.replaceAll('\\', '\\\\').replaceAll("'", "\\'"));
  secrets.add(JSON.stringify(secret).slice(1, -1));
}
