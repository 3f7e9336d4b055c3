import {Args, Flags} from '@oclif/core';

import {parseAmount, type TypedAmount} from '../lib/money.js';
import {parseSessionId} from '../lib/sessions.js';

/** One session. `ignoreStdin`, because oclif would read a missing argument from stdin. */
export const sessionIdArg = Args.custom({parse: (typed) => Promise.resolve(parseSessionId(typed))})({
  description: 'ID of the session, exactly as the API client sends it (after -- if it begins with a dash)',
  ignoreStdin: true,
  required: true,
});

export const amountArg = Args.custom<TypedAmount>({parse: (typed) => Promise.resolve(parseAmount(typed))})({
  description: 'US dollars in plain digits, such as 25.50',
  ignoreStdin: true,
  required: true,
});

export const globalFlags = {
  'redis-url': Flags.string({
    default: 'redis://localhost:6379',
    description: "URL of the gateway's Redis: redis://, rediss:// (TLS) or unix://",
    env: 'TOKENGATE_REDIS_URL',
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
  }),
  yes: Flags.boolean({char: 'y', description: 'Go ahead without asking', helpGroup: 'GLOBAL'}),
  json: Flags.boolean({description: 'Print one JSON document; an error is one on stderr', helpGroup: 'GLOBAL'}),
  help: Flags.help({char: 'h', description: 'Show help', helpGroup: 'GLOBAL'}),
};
