import type {Hook} from '@oclif/core';

import {TokengateError} from '../lib/errors.js';

/**
 * oclif joins the words after a command without arguments to its ID: `list-sessions extra` becomes the unknown command
 * `list-sessions:extra`. This runs the command that was meant, so that its parser says what is wrong.
 */
const hook: Hook.CommandNotFound = async function ({id, argv = [], config}) {
  const [word = '', ...others] = id.split(':');
  const typed = process.argv.slice(2);
  if (config.findCommand(word)) {
    return config.runCommand(word, typed[0] === word ? typed.slice(1) : [...others, ...argv]);
  }
  const wrong = typed[0] ?? word;
  const [code, what] = wrong.startsWith('-') ? ['INVALID_USAGE', 'flag'] : ['UNKNOWN_COMMAND', 'command'];
  throw new TokengateError(code, `Unknown ${what} '${wrong}'.`, {
    hint: `See them all with: ${config.bin} help`,
  });
};

export default hook;
