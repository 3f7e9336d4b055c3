import {spawn} from 'node:child_process';

import type {LimitFinding} from '../../lib/monitoring/limits.js';
import {TokengateError} from '../../lib/values/errors.js';
import {type Money, toPlainDigits} from '../../lib/values/money.js';
import {onInterrupt} from '../terminal/interrupts.js';
import {showText} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {capitalize, countOf} from '../text/words.js';
import {describeFinding, toFindingJson} from './limits.js';
import {postWebhook, type Webhook} from './webhook.js';

export interface Notifiers {
  webhook: Webhook | undefined;
  /** A shell command, run once for each crossing. */
  exec: string | undefined;
}

export interface NotifyOptions {
  /** Which Redis it is, without credentials, for people who watch over several. */
  address: string;
  /** The environment variables that point a command at the same Redis. */
  server: Readonly<Record<string, string | undefined>>;
  limits?: Limits;
}

interface Limits {
  webhookMs: number;
  /** For each command. */
  execMs: number;
  /** No command starts after this time. */
  allExecMs: number;
}

/** The result of one way to notify, in the form for scripts, which is a contract. */
export interface NotificationJson {
  via: 'webhook' | 'exec';
  delivered: number;
  failed: number;
  /** The first failure. */
  error: string | null;
}

export interface Notified {
  ways: NotificationJson[];
  /** The crossings that did not get through in every way. */
  failed: ReadonlySet<LimitFinding>;
  interrupted: boolean;
}

const LIMITS: Limits = {webhookMs: 10_000, execMs: 30_000, allExecMs: 300_000};
/** Longer than all notifications together can take. */
export const LEASE_MS = LIMITS.webhookMs + LIMITS.allExecMs + LIMITS.execMs + 30_000;

/** Crossings to list in a message; the others are counted. */
const MAX_LISTED = 20;
const MAX_LINE_LENGTH = 300;
/** Maximum bytes of one environment variable that every system accepts. */
const MAX_VARIABLE_BYTES = 30_000;

/** Reports crossings in every given way. Never throws: returns what did not get through. */
export async function notify(
  findings: readonly LimitFinding[],
  {webhook, exec}: Notifiers,
  {address, server, limits = LIMITS}: NotifyOptions,
): Promise<Notified> {
  const controller = new AbortController();
  const {signal} = controller;
  onInterrupt(() => {
    controller.abort();
  });
  const failed = new Set<LimitFinding>();
  const ways: NotificationJson[] = [];
  if (findings.length > 0 && webhook !== undefined) {
    const body = JSON.stringify({text: toMessage(findings, address)});
    const error = await reasonOf(postWebhook(webhook, body, {signal, timeoutMs: limits.webhookMs}));
    if (error !== null) for (const finding of findings) failed.add(finding);
    ways.push(toWay('webhook', findings.length, error === null ? 0 : findings.length, error));
  }
  if (findings.length > 0 && exec !== undefined) {
    const end = Date.now() + limits.allExecMs;
    let first: string | null = null;
    let count = 0;
    for (const finding of findings) {
      const run =
        Date.now() < end
          ? runCommand(exec, {...server, ...toVariables(finding, address)}, signal, limits.execMs)
          : Promise.reject(
              new TokengateError(
                'EXEC_FAILED',
                `it was not started: commands may take ${limits.allExecMs / 1000} s in all`,
              ),
            );
      const error = await reasonOf(run);
      if (error === null) continue;
      first ??= `for session '${finding.subject.id}': ${error}`;
      count++;
      failed.add(finding);
    }
    ways.push(toWay('exec', findings.length, count, first));
  }
  return {ways, failed, interrupted: signal.aborted};
}

/** An error that says what failed in which way, and what did not. */
export function notificationError({ways, failed, interrupted}: Notified): TokengateError {
  const names = {webhook: 'The webhook', exec: 'The command of --exec'};
  const sentences = ways.map(({via, delivered, failed: count, error}) => {
    const total = delivered + count;
    const of = via === 'webhook' || total === 1 ? '' : ` for ${count} of ${total} crossings, first`;
    if (error === null) return `${names[via]} got ${countOf(total, 'crossing')}.`;
    return via === 'webhook' ? error : `${names[via]} failed${of} ${error}.`;
  });
  const code = interrupted ? 'INTERRUPTED' : 'NOTIFICATION_FAILED';
  const before = interrupted ? 'Interrupted. ' : '';
  return new TokengateError(code, `${before}${sentences.join(' ')}`, {
    hint: `${capitalize(countOf(failed.size, 'crossing'))} will be reported again by the next check, in every way.`,
  });
}

function toWay(via: 'webhook' | 'exec', total: number, failed: number, error: string | null): NotificationJson {
  return {via, delivered: total - failed, failed, error};
}

async function reasonOf(promise: Promise<void>): Promise<string | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return error.message;
  }
}

/** The message as Slack shows it, and receivers of the same JSON. Untrusted text in it is shown literally. */
function toMessage(findings: readonly LimitFinding[], address: string): string {
  const lines = findings.slice(0, MAX_LISTED).map((finding) => {
    const {rule, subject} = finding;
    const text = cut(describeFinding(finding));
    const isOurs = rule.kind === 'used' || rule.kind === 'left';
    return `• *${rule.severity.toUpperCase()}* ${toCode(cut(subject.id))} ${isOurs ? escapeMarkup(text) : toCode(text)}`;
  });
  const more = findings.length - MAX_LISTED;
  if (more > 0) lines.push(`… and ${more} more: tokengate check-sessions`);
  return [`*TokenGate* on ${toCode(cut(address))}: ${countOf(findings.length, 'crossing')}`, ...lines].join('\n');
}

function cut(text: string): string {
  const shown = showText(text.slice(0, MAX_LINE_LENGTH + 1));
  // Half a character would make a receiver refuse the whole post.
  return shown.length > MAX_LINE_LENGTH ? `${shown.slice(0, MAX_LINE_LENGTH).toWellFormed()}…` : shown;
}

/** In a code span nothing is formatted, no link is made, and no `@name` calls anybody. */
function toCode(text: string): string {
  return `\`${escapeMarkup(text).replaceAll('`', 'ˋ')}\``;
}

/**
 * Escapes as Slack does; and takes the effect from `@channel`, which some receivers look for anywhere, so that an ID
 * cannot call everybody. E-mail addresses stay.
 */
function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/(?<![\w.-])@/g, '@\u200b');
}

/**
 * The facts as environment variables. The command line is the same for every crossing: text from Redis is never a part
 * of it.
 */
function toVariables(finding: LimitFinding, address: string): Record<string, string> {
  const {message, ...json} = toFindingJson(finding);
  const amount = (value: Money | null): string => (value === null ? '' : toPlainDigits(value));
  const variables = {
    SESSION_ID: json.session_id,
    SEVERITY: json.severity,
    CHECK: json.check,
    THRESHOLD: amount(json.threshold),
    BUDGET: amount(json.budget),
    SPENT: amount(json.spent),
    REMAINING: amount(json.remaining),
    PERCENTAGE_USED: amount(json.percentage_used),
    FROZEN_UNTIL: json.frozen_until?.toISOString() ?? '',
    FREEZE_REASON: json.freeze_reason ?? '',
    MESSAGE: cut(message),
    REDIS: address,
    JSON: stringifyJson({...json, message}),
  };
  const entries = Object.entries(variables).map(([name, value]) => [`TOKENGATE_ALERT_${name}`, orEmpty(value)]);
  return Object.fromEntries(entries) as Record<string, string>;
}

/**
 * Empty where a variable can't hold the value: it may have no NUL and no excess length. A part of an ID would be
 * another ID.
 */
function orEmpty(value: string): string {
  return value.includes('\0') || Buffer.byteLength(value) > MAX_VARIABLE_BYTES ? '' : value;
}

/**
 * Runs a shell command. Its output goes to stderr, since stdout is for the answer. At the time limit, the command and
 * everything that it has started are ended.
 *
 * @throws TokengateError EXEC_FAILED
 */
async function runCommand(
  line: string,
  variables: Record<string, string | undefined>,
  signal: AbortSignal,
  limitMs: number,
): Promise<void> {
  const failure = (why: string): TokengateError => new TokengateError('EXEC_FAILED', why);
  if (signal.aborted) throw failure('interrupted');
  const isWindows = process.platform === 'win32';
  const child = spawn(line, {
    shell: true,
    // In a process group of its own, which can be ended as a whole.
    detached: !isWindows,
    env: {...process.env, TOKENGATE_WEBHOOK_URL: undefined, ...variables},
    stdio: ['ignore', 2, 2],
    windowsHide: true,
  });
  const end = (): void => {
    if (child.pid === undefined) return;
    try {
      if (isWindows) child.kill('SIGKILL');
      else process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  };
  let why: string | undefined;
  const stop = (reason: string): void => {
    why ??= reason;
    end();
  };
  const timer = setTimeout(stop, limitMs, `still running after ${limitMs / 1000} s`);
  const onAbort = (): void => {
    stop('interrupted');
  };
  signal.addEventListener('abort', onAbort, {once: true});
  process.once('exit', end);
  try {
    const outcome = await new Promise<string | undefined>((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        resolve(`it cannot be started (${error.code ?? error.message})`);
      });
      child.once('exit', (code, killedBy) => {
        resolve(code === 0 ? undefined : killedBy === null ? `exit code ${String(code)}` : `ended by ${killedBy}`);
      });
    });
    if (outcome !== undefined) throw failure(why ?? outcome);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    process.off('exit', end);
  }
}
