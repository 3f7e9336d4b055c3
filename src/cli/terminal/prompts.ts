import {confirmFlag} from '../../lib/redis/describe-server.js';
import {TokengateError} from '../../lib/values/errors.js';
import {roomOf, showMessage} from '../text/escape.js';
import {EXIT, endWith} from './exit-code.js';
import {untilForeground} from './foreground.js';
import {onInterrupt} from './interrupts.js';

const [YES, NO] = [/^y(?:es)?$/i, /^(?:no?)?$/i];

/**
 * Asks a yes-or-no question on the terminal; the default is no.
 *
 * @throws TokengateError INTERRUPTED, DECLINED when the input ends without an answer
 */
export function confirm(question: string): Promise<boolean> {
  return ask(`${question} (y/N)`, (answer) => (YES.test(answer) ? true : NO.test(answer) ? false : undefined));
}

/**
 * Asks for a name, and returns what was typed.
 *
 * @throws TokengateError INTERRUPTED, DECLINED when nothing was typed
 */
export async function askForName(question: string, name: string): Promise<string> {
  const typed = await ask(`${question} To confirm, type ${name}:`, (answer) => answer);
  if (typed === '') throw new TokengateError('DECLINED', 'Cancelled: nothing was changed.');
  return typed;
}

/**
 * Asks until there is an answer. The terminal keeps its mode: Ctrl-C, Ctrl-Z, Ctrl-D and the loss of the terminal work
 * as usual, and nothing has to be restored.
 *
 * @param read returns the meaning of a line; undefined if it is not an answer
 */
async function ask<T>(question: string, read: (line: string) => T | undefined): Promise<T> {
  const {stdin, stderr} = process;
  const {isatty} = await import('node:tty');
  const show = (): void => void stderr.write(`? ${showMessage(question, roomOf(stderr))} `);
  await untilForeground();
  await discardTyped();
  let take: ((typed: string) => void) | undefined;
  let end: (() => void) | undefined;
  let unwatch: (() => void) | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      let line = '';
      take = (typed) => {
        line += typed;
        const [answer = '', rest] = line.split(/[\r\n]/, 2);
        if (rest === undefined) return;
        line = '';
        const meant = read(answer.trim());
        if (meant === undefined) show();
        else resolve(meant);
      };
      end = () => {
        stderr.write('\n');
        // The terminal is gone; the signal may come later.
        if (!isatty(0)) endWith(EXIT.SIGHUP);
        reject(new TokengateError('DECLINED', 'No answer: nothing was changed.'));
      };
      unwatch = onInterrupt(() => {
        stderr.write('\n');
        reject(new TokengateError('INTERRUPTED', 'Interrupted: nothing was changed.'));
      });
      stdin.setEncoding('utf8').on('data', take).on('end', end).on('error', end);
      // After Ctrl-Z and fg the question is off the screen.
      process.on('SIGCONT', show);
      stdin.resume();
      show();
    });
  } finally {
    stdin.pause();
    if (take) stdin.off('data', take);
    if (end) stdin.off('end', end).off('error', end);
    process.off('SIGCONT', show);
    unwatch?.();
  }
}

/**
 * Discards whatever was typed before the question was visible, whether or not the line was finished: it cannot be an
 * answer.
 */
async function discardTyped(): Promise<void> {
  const {stdin} = process;
  const discard = (): void => undefined;
  stdin.on('error', discard);
  try {
    stdin.setRawMode(true);
    stdin.resume();
    // The first turn may come before the terminal is read, when a reply from Redis led here; between two turns it is.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    stdin.pause();
    stdin.setRawMode(false);
  } catch {
    // The terminal is gone; the question notices.
  } finally {
    stdin.off('error', discard);
  }
}

/** A question needs a terminal for input and one for output. Without both it would wait for ever, as in cron or CI. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** @param name the name of the protected store or context */
export function confirmationRequired(name?: string): TokengateError {
  const [what, flag] = name === undefined ? ['This', '--yes'] : [`'${name}' is protected: this`, confirmFlag(name)];
  return new TokengateError(
    'CONFIRMATION_REQUIRED',
    `${what} needs a confirmation, and there is no terminal to ask on.`,
    {
      hint: `Add ${flag} to go ahead without a question.`,
    },
  );
}
