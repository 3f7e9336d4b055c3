import {homedir, userInfo} from 'node:os';

import {Config, type Interfaces, run, settings} from '@oclif/core';

import {watchInterrupts} from '../terminal/interrupts.js';
import {keepSecret, keepSecretUrl, keepWebhookUrl, redactStderr} from '../terminal/redact.js';
import {reportError, wantsJson} from '../terminal/report.js';
import {drainErrors, drainOutput, watchOutput} from '../terminal/stdout.js';
import {readArgv, refuseInvalidText} from './argv.js';

/**
 * Runs the CLI on the process's own arguments and ends the process.
 *
 * Not oclif's `execute()`: it cuts off what a slow reader has not read yet. The process is ended explicitly because a
 * socket that was connecting when its client was destroyed would keep it alive.
 */
export async function main(options: Interfaces.Options): Promise<never> {
  // With NODE_ENV=development oclif would look for a TypeScript compiler on the user's machine.
  settings.enableAutoTranspile = false;
  // The look for a file with other colours takes longer than Redis does to answer.
  process.env['TOKENGATE_DISABLE_THEME'] = '1';
  nameUnknownUser();
  // Of both NO_COLOR wins; Node.js would warn of that.
  if (process.env['NO_COLOR']) delete process.env['FORCE_COLOR'];
  const typed = process.argv.slice(2);
  for (const [index, word] of typed.entries()) {
    if (typed[index - 1] === '--redis-url') keepSecretUrl(word);
    else if (word.startsWith('--redis-url=')) keepSecretUrl(word.slice('--redis-url='.length));
    else keepSecret(word);
    // A webhook's URL in the place of the file that should hold it.
    const [, url] = word.includes(':') ? (/^(?:--[\w-]+=)?(https?:.*)$/is.exec(word) ?? []) : [];
    if (url !== undefined) keepWebhookUrl(url);
  }
  keepSecretUrl(process.env['TOKENGATE_REDIS_URL'] ?? '');
  keepWebhookUrl(process.env['TOKENGATE_WEBHOOK_URL'] ?? '');
  redactStderr();
  watchInterrupts();
  watchOutput();
  try {
    refuseInvalidText(typed);
    // Without a way to install plugins there are none of the user's, and no folder of theirs to fail on.
    const config = await Config.load({...options, userPlugins: false});
    const argv = readArgv(typed, config);
    // oclif's help and its warnings read these.
    process.argv.splice(2, Infinity, ...argv);
    await run(argv, config);
    await drainOutput();
  } catch (error) {
    reportError(error, {json: wantsJson(typed)});
  }
  await drainErrors();
  process.exit();
}

/** oclif asks the system for the user's shell and home, which fails for a user whom the system does not know. */
function nameUnknownUser(): void {
  const {env} = process;
  if (env['SHELL'] !== undefined && env['HOME']) return;
  try {
    userInfo();
    homedir();
  } catch {
    env['SHELL'] ??= '/bin/sh';
    // A folder that there is not: nothing of anybody's is read from it.
    env['HOME'] = env['HOME'] === undefined || env['HOME'] === '' ? '/nonexistent' : env['HOME'];
  }
}
