import {Args, Flags} from '@oclif/core';

import {TokengateError} from '../../lib/values/errors.js';
import {type Money, parseAmount, type TypedAmount} from '../../lib/values/money.js';
import {parseSessionId, type RawId} from '../../lib/values/session-id.js';

const SESSION_ID = 'exactly as the API client sends it (after -- if it begins with a dash)';

/** Changes in the journal. */
export const changeIdsArg = Args.string({
  description: 'IDs of changes, as list-changes shows them',
  ignoreStdin: true,
  multiple: true,
});

const sessionId = Args.custom<RawId>({parse: (typed) => Promise.resolve(parseSessionId(typed))});

/** One session. `ignoreStdin`, because oclif would read a missing argument from stdin. */
export const sessionIdArg = sessionId({
  description: `ID of the session, ${SESSION_ID}`,
  ignoreStdin: true,
  required: true,
});

/** Any number of sessions, none too. */
export const sessionIdsArg = sessionId({
  description: `IDs of sessions, each ${SESSION_ID}`,
  ignoreStdin: true,
  multiple: true,
});

export const amountArg = Args.custom<TypedAmount>({parse: (typed) => Promise.resolve(parseAmount(typed))})({
  description: 'US dollars in plain digits, such as 25.50',
  ignoreStdin: true,
  required: true,
});

export const signedAmountArg = Args.custom<Money>({
  parse: (typed) =>
    Promise.resolve(typed.startsWith('-') ? parseAmount(typed.slice(1)).value.neg() : parseAmount(typed).value),
})({
  description: 'US dollars in plain digits; negative after --',
  ignoreStdin: true,
  required: true,
});

/** A flag whose value is an amount of money. */
export const amountFlag = Flags.custom<Money>({
  parse: (typed) => Promise.resolve(parseAmount(typed).value),
  helpValue: 'AMOUNT',
});

/** A flag whose value is a count. One beyond all that there can be is as good as the largest. */
export const countFlag = Flags.custom<number, {min?: number}>({
  parse(typed, _, {name, min = 0}) {
    const count = Math.min(Number(typed), Number.MAX_SAFE_INTEGER);
    if (/^\d+$/.test(typed) && count >= min) return Promise.resolve(count);
    throw new TokengateError('INVALID_USAGE', `Invalid number '${typed}' for --${name}.`, {
      hint: `Write a whole number, ${min} or more.`,
    });
  },
  helpValue: 'N',
});

export const matchFlag = Flags.string({
  helpGroup: 'SELECTION',
  description: 'Only IDs that match a Redis glob: * any text, ? one byte, [ab] [^a] [a-z] one of a set, \\* a star',
  helpValue: 'GLOB',
});

export const whereFlag = Flags.string({
  helpGroup: 'SELECTION',
  description:
    'Only sessions with a budget for which this holds: comparisons of id, budget, spent, remaining, used (percent) and frozen, with && || ! ( )',
  helpValue: 'EXPR',
});

export const nullFlag = Flags.boolean({
  // oclif's types know letters only; its parser takes any character.
  char: '0' as 'z',
  description: 'IDs end with NUL in place of a line feed',
});

/** How the commands that change sessions record it. */
export const journalFlags = {
  note: Flags.string({description: 'Why, for the journal of changes', helpValue: 'TEXT'}),
  'no-journal': Flags.boolean({
    description: 'Keep no record of the change, so that it cannot be undone; TOKENGATE_JOURNAL=off does the same',
  }),
};

/** How the commands that change many sessions go about it, and how they say what they did. */
export const reportFlags = {
  max: countFlag({description: 'Refuse a batch of more sessions', helpGroup: 'SELECTION'}),
  'dry-run': Flags.boolean({description: 'Print what would be done, and change nothing'}),
  quiet: Flags.boolean({
    char: 'q',
    description: 'Print neither a line a session nor the progress',
    helpGroup: 'OUTPUT',
  }),
  format: Flags.option({
    options: ['text', 'json', 'ndjson'] as const,
    description: 'How to print what was done to each; --json is the same as --format json',
    helpGroup: 'OUTPUT',
  })(),
  ...journalFlags,
};

/** How the commands that change sessions are told which, and how they say what they did. */
export const batchFlags = {
  match: matchFlag,
  where: whereFlag,
  stdin: Flags.boolean({
    description: 'Read IDs from stdin: one a line, or lines of list-sessions --format ndjson',
    helpGroup: 'SELECTION',
  }),
  null: {...nullFlag, helpGroup: 'SELECTION'},
  all: Flags.boolean({description: 'Every session that there is', helpGroup: 'SELECTION'}),
  ...reportFlags,
};

const DEFAULT_REDIS_URL = 'redis://localhost:6379';

export const globalFlags = {
  'redis-url': Flags.string({
    default: DEFAULT_REDIS_URL,
    description: "URL of the gateway's Redis: redis://, rediss:// (TLS), unix:// or redis+sentinel://",
    env: 'TOKENGATE_REDIS_URL',
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
  }),
  'redis-url-file': Flags.string({
    description: 'File that holds the URL, and that no one else may read',
    env: 'TOKENGATE_REDIS_URL_FILE',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  timeout: Flags.string({
    description: 'Limit for connecting, and for each answer: 5 when it is not given',
    env: 'TOKENGATE_TIMEOUT',
    helpGroup: 'GLOBAL',
    helpValue: 'SECONDS',
  }),
  'tls-ca': Flags.string({
    description: "Certificate authority to trust in the place of Node.js's own (PEM)",
    env: 'TOKENGATE_TLS_CA',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  'tls-cert': Flags.string({
    description: 'Client certificate (PEM)',
    env: 'TOKENGATE_TLS_CERT',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  'tls-key': Flags.string({
    description: 'Its private key (PEM), where that is not in the same file',
    env: 'TOKENGATE_TLS_KEY',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  'tls-server-name': Flags.string({
    description: "Name that the server's certificate must be for, where it is not the host's",
    env: 'TOKENGATE_TLS_SERVER_NAME',
    helpGroup: 'GLOBAL',
    helpValue: 'NAME',
  }),
  yes: Flags.boolean({char: 'y', description: 'Go ahead without asking', helpGroup: 'GLOBAL'}),
  json: Flags.boolean({description: 'Print one JSON document; an error is one on stderr', helpGroup: 'GLOBAL'}),
  help: Flags.help({char: 'h', description: 'Show help', helpGroup: 'GLOBAL'}),
};
