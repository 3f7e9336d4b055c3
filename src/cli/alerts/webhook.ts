import {TokengateError} from '../../lib/values/errors.js';
import {readOwnFile} from '../connection/secret-file.js';
import {keepWebhookUrl} from '../terminal/redact.js';

/** Where to post crossings. The URL is a secret: whoever knows it can post there. */
export interface Webhook {
  url: URL;
  headers: Record<string, string>;
}

const WEBHOOK_FILE = {what: 'webhook file', code: 'INVALID_WEBHOOK', maxBytes: 8192};
const TIMEOUT_MS = 10_000;

/**
 * The webhook whose URL is in a file, or else in TOKENGATE_WEBHOOK_URL; undefined when neither is given. No message
 * holds any part of the URL.
 *
 * @throws TokengateError INVALID_WEBHOOK
 */
export function readWebhook(file: string | undefined): Webhook | undefined {
  if (file !== undefined) return toWebhook(readUrlFile(file), `The webhook file '${file}'`);
  const url = process.env['TOKENGATE_WEBHOOK_URL'];
  return url === undefined ? undefined : toWebhook(url, 'TOKENGATE_WEBHOOK_URL');
}

/**
 * Posts JSON. It follows no redirect, which could take the message to a host that nobody has named.
 *
 * @throws TokengateError WEBHOOK_FAILED unless the receiver answers with a 2xx status in time
 */
export async function postWebhook(
  {url, headers}: Webhook,
  body: string,
  {signal, timeoutMs = TIMEOUT_MS}: {signal: AbortSignal; timeoutMs?: number},
): Promise<void> {
  const late = AbortSignal.timeout(timeoutMs);
  let status: number;
  try {
    status = await post({url, headers}, body, AbortSignal.any([signal, late]));
  } catch (error) {
    if (signal.aborted) throw new TokengateError('INTERRUPTED', 'Interrupted.');
    throw failure(late.aborted ? `did not answer within ${timeoutMs / 1000} s` : whyNotReached(error));
  }
  if (status >= 200 && status < 300) return;
  const isRedirect = status >= 300 && status < 400;
  throw failure(`answered with HTTP ${status}${isRedirect ? ', a redirect, which is not followed' : ''}`);
}

/**
 * Returns the status. It does not use `fetch`, which reserves 10 GB of addresses: more than some shells allow a
 * process.
 */
async function post({url, headers}: Webhook, body: string, signal: AbortSignal): Promise<number> {
  const {request} = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  return new Promise((resolve, reject) => {
    const own = {'content-type': 'application/json', 'user-agent': 'tokengate'};
    const sent = request(url, {method: 'POST', headers: {...own, ...headers}, signal, agent: false}, (response) => {
      resolve(response.statusCode ?? 0);
      // The text of the response does not matter, and may be long.
      response.destroy();
    });
    sent.on('error', reject).end(body);
  });
}

function failure(why: string): TokengateError {
  return new TokengateError('WEBHOOK_FAILED', `The webhook ${why}.`);
}

/** Only codes: messages hold the address. */
function whyNotReached(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const first = cause instanceof AggregateError ? (cause.errors as unknown[])[0] : cause;
  const {code = ''} = (first ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code.startsWith('HPE_')) return 'did not answer in HTTP';
  const known: Record<string, string> = {
    ECONNREFUSED: 'refused the connection',
    ENOTFOUND: 'was not found: no such host name',
    EAI_AGAIN: 'was not found: the name server did not answer',
    ECONNRESET: 'closed the connection',
  };
  return known[code] ?? `could not be reached${/^[A-Z_0-9]+$/.test(code) ? ` (${code})` : ''}`;
}

function toWebhook(text: string, what: string): Webhook {
  keepWebhookUrl(text.trim());
  const refuse = (why: string): never => {
    throw new TokengateError('INVALID_WEBHOOK', `${what} ${why}.`, {
      hint: 'It has to hold one URL and nothing else, such as https://hooks.example.com/…',
    });
  };
  const trimmed = text.trim();
  if (trimmed === '') refuse('is empty');
  if (/\s/.test(trimmed)) refuse('holds more than a URL');
  const url = /^https?:\/\//i.test(trimmed) && URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  if (url === undefined) return refuse('holds no https:// or http:// URL');
  const {username, password} = url;
  // Keeps the URL out of what the request says about itself.
  url.username = url.password = '';
  if (username === '' && password === '') return {url, headers: {}};
  const credentials = `${decode(username)}:${decode(password)}`;
  return {url, headers: {authorization: `Basic ${Buffer.from(credentials).toString('base64')}`}};
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readUrlFile(path: string): string {
  if (!/^https?:/i.test(path)) return readOwnFile(path, WEBHOOK_FILE);
  keepWebhookUrl(path);
  throw new TokengateError('INVALID_WEBHOOK', '--webhook-file takes the path of a file that holds the URL.');
}
