import type {Hook} from '@oclif/core';

import {globalFlagsOf} from '../cli/oclif/global-flags.js';
import {guessNearest, unknownCommand} from '../cli/text/did-you-mean.js';
import {TokengateError} from '../lib/values/errors.js';

/**
 * oclif joins the words after a command without arguments to its ID: `list-sessions extra` becomes the unknown command
 * `list-sessions:extra`. This runs the command that was meant, so that its parser reports what is wrong.
 */
const hook: Hook.CommandNotFound = async function ({id, config}) {
  const [wrong = id, ...others] = process.argv.slice(2);
  if (config.findCommand(wrong)) return config.runCommand(wrong, others);
  if (!wrong.startsWith('-')) throw unknownCommand(wrong, config);
  const globals = globalFlagsOf(config.commands).map(({name}) => `--${name}`);
  throw new TokengateError('INVALID_USAGE', `Unknown flag '${wrong}'.`, {
    hint: `${guessNearest(wrong, globals)}See them all with: ${config.bin} help`,
  });
};

export default hook;
