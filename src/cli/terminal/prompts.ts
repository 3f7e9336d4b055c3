import {TokengateError} from '../../lib/values/errors.js';
import {showText} from './escape.js';

/**
 * Asks on the terminal; the default is no.
 *
 * @throws TokengateError INTERRUPTED on Ctrl-C
 */
export async function confirm(question: string): Promise<boolean> {
  const {default: inquirer} = await import('inquirer');
  const prompt = inquirer.createPromptModule({output: process.stderr});
  try {
    const {yes} = await prompt<{yes: boolean}>([
      {type: 'confirm', name: 'yes', message: showText(question), default: false},
    ]);
    return yes;
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') {
      throw new TokengateError('INTERRUPTED', 'Interrupted: nothing was changed.', {cause: error});
    }
    throw error;
  }
}

/** A question needs a terminal to be read from and one to be shown on. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

export function confirmationRequired(): TokengateError {
  return new TokengateError('CONFIRMATION_REQUIRED', 'This needs a confirmation, and there is no terminal to ask on.', {
    hint: 'Add --yes to go ahead without a question.',
  });
}
