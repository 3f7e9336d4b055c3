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
 * Does not use oclif's `execute()`, which cuts off output that a slow reader has not read yet. It ends the process
 * explicitly: a socket that was connecting when its client was destroyed would keep it alive.
 */
export async function main(options: Interfaces.Options): Promise<never> {
  // With NODE_ENV=development, oclif would look for a TypeScript compiler on the user's machine.
  settings.enableAutoTranspile = false;
  // oclif's search for a file with other colours takes longer than Redis takes to answer.
  process.env['TOKENGATE_DISABLE_THEME'] = '1';
  nameUnknownUser();
  // NO_COLOR wins over FORCE_COLOR; Node.js would print a warning about the two.
  if (process.env['NO_COLOR']) delete process.env['FORCE_COLOR'];
  const typed = process.argv.slice(2);
  for (const [index, word] of typed.entries()) {
    if (typed[index - 1] === '--redis-url') keepSecretUrl(word);
    else if (word.startsWith('--redis-url=')) keepSecretUrl(word.slice('--redis-url='.length));
    else keepSecret(word);
    // Someone may type the webhook's URL instead of the file that holds it.
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
    // Without a way to install plugins a user has none, and oclif needs no folder that could fail.
    const config = await Config.load({...options, userPlugins: false});
    const argv = readArgv(typed, config);
    // oclif's help and warnings read these.
    process.argv.splice(2, Infinity, ...argv);
    await run(argv, config);
    await drainOutput();
  } catch (error) {
    reportError(error, {json: wantsJson(typed)});
  }
  await drainErrors();
  process.exit();
}

/** oclif asks the system for the user's shell and home folder, which fails for a user without an entry. */
function nameUnknownUser(): void {
  const {env} = process;
  if (env['SHELL'] !== undefined && env['HOME']) return;
  try {
    userInfo();
    homedir();
  } catch {
    env['SHELL'] ??= '/bin/sh';
    // A folder that does not exist, so nothing is read from anybody's files.
    env['HOME'] = env['HOME'] === undefined || env['HOME'] === '' ? '/nonexistent' : env['HOME'];
  }
}
