import type {Hook} from '@oclif/core';

import {TokengateError} from '../lib/errors.js';

/**
 * oclif joins the words after a command without arguments to its ID: `list-sessions extra` becomes the unknown command
 * `list-sessions:extra`. This runs the command that was meant, so that its parser says what is wrong.
 */
const hook: Hook.CommandNotFound = async function ({id, config}) {
  const [wrong = id, ...others] = process.argv.slice(2);
  if (config.findCommand(wrong)) return config.runCommand(wrong, others);
  const [code, what] = wrong.startsWith('-') ? ['INVALID_USAGE', 'flag'] : ['UNKNOWN_COMMAND', 'command'];
  throw new TokengateError(code, `Unknown ${what} '${wrong}'.`, {
    hint: `See them all with: ${config.bin} help`,
  });
};

export default hook;
