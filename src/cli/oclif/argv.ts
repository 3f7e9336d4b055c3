import {isUtf8} from 'node:buffer';
import {readFileSync} from 'node:fs';

import type {Config} from '@oclif/core';

import {TokengateError} from '../../lib/values/errors.js';
import {findSpelling} from '../completion/other-spellings.js';
import {globalFlagsOf} from './global-flags.js';

/**
 * oclif reads flags only after the command. This moves global flags from before the command to directly after it, so
 * that `tokengate --redis-url URL set-budget …` works, and replaces other words for a command by its name. The parser
 * does the rest.
 *
 * @throws TokengateError INVALID_USAGE when a command name is where a flag's value should be
 */
export function readArgv(argv: readonly string[], config: Config): string[] {
  const isValued = (word: string): boolean | undefined => {
    if (!word.startsWith('-')) return undefined;
    for (const command of config.commands) {
      // One by one: the flags of all commands take longer to read than everything else here.
      const flag = globalFlagsOf([command]).find(
        ({name, char}) => word === `--${name}` || (char && word === `-${char}`),
      );
      if (flag !== undefined) return flag.name === 'help' ? undefined : flag.type === 'option';
    }
    return undefined;
  };

  const collected: string[] = [];
  let commandAsValue: [flag: string, command: string] | undefined;
  let rest = [...argv];
  for (;;) {
    const [word = '', next] = rest;
    const [name = ''] = word.split('=', 1);
    const valued = isValued(name);
    if (valued === undefined) break;
    const length = valued && name === word ? 2 : 1;
    if (length === 2 && next === undefined) throw missingValue(name);
    if (length === 2 && next !== undefined && config.findCommand(next)) commandAsValue = [name, next];
    collected.push(...rest.slice(0, length));
    rest = rest.slice(length);
  }
  const isHelp = rest[0] === 'help';
  const words = isHelp ? rest.slice(1) : rest;
  const spelling = findSpelling(words, (name) => config.findCommand(name) !== undefined);
  if (spelling) rest = [...(isHelp ? ['help'] : []), spelling.name, ...words.slice(spelling.length)];
  if (rest[0] === 'version' && !config.findCommand('version')) return ['--version'];
  const [command] = rest;
  if (command === undefined && commandAsValue !== undefined) {
    throw missingValue(commandAsValue[0], ` (the next word, '${commandAsValue[1]}', is a command)`);
  }
  if (command === undefined) return collected.length === 0 ? [] : ['--help'];
  if (command.startsWith('-')) return rest;
  if (collected.length === 0) return [command, ...rest.slice(1)];
  const found = config.findCommand(command);
  const takesGlobals = found === undefined || found.flags['redis-url'] !== undefined;
  return [command, ...(takesGlobals ? collected : []), ...rest.slice(1)];
}

function missingValue(flag: string, why = ''): TokengateError {
  return new TokengateError('INVALID_USAGE', `Flag ${flag} expects a value${why}.`, {hint: 'See: tokengate --help'});
}

/**
 * Node.js replaces arguments that are not UTF-8 with U+FFFD: such an ID would name another session. Where the system
 * does not tell what was typed, U+FFFD counts as typed.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function refuseInvalidText(argv: readonly string[]): void {
  if (!argv.some((word) => word.includes('\ufffd'))) return;
  let typed: Buffer;
  try {
    typed = readFileSync('/proc/self/cmdline');
  } catch {
    return;
  }
  const words = typed.toString('latin1').split('\0').slice(0, -1).slice(-argv.length);
  if (words.every((word) => isUtf8(Buffer.from(word, 'latin1')))) return;
  throw new TokengateError('INVALID_USAGE', 'An argument is not UTF-8 text.', {
    hint: 'Select a session whose ID is not UTF-8 with --match, --where or --stdin.',
  });
}
