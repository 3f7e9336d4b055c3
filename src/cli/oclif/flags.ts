import {Args, Flags} from '@oclif/core';

import {DEFAULT_GRACE} from '../../lib/periods/schedule.js';
import {TokengateError} from '../../lib/values/errors.js';
import {type Money, parseAmount, type TypedAmount} from '../../lib/values/money.js';
import {parseSessionId, type RawId} from '../../lib/values/session-id.js';
import {DEFAULT_REDIS_URL} from '../connection/connection-flags.js';

const SESSION_ID = 'exactly as the API client sends it; quote spaces, put -- before a leading dash';

/** Changes in the journal. */
export const changeIdsArg = Args.string({
  description: 'IDs of changes, from list-changes',
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

/** Any number of sessions, including none. */
export const sessionIdsArg = sessionId({
  description: `IDs of sessions, ${SESSION_ID}`,
  ignoreStdin: true,
  multiple: true,
});

export const amountArg = Args.custom<TypedAmount>({parse: (typed) => Promise.resolve(parseAmount(typed))})({
  description: 'US dollars as plain digits, such as 25.50',
  ignoreStdin: true,
  required: true,
});

export const signedAmountArg = Args.custom<Money>({
  parse: (typed) =>
    Promise.resolve(typed.startsWith('-') ? parseAmount(typed.slice(1)).value.neg() : parseAmount(typed).value),
})({
  description: 'US dollars as plain digits; put -- before a negative amount',
  ignoreStdin: true,
  required: true,
});

/** A flag whose value is an amount of money. */
export const amountFlag = Flags.custom<Money>({
  parse: (typed) => Promise.resolve(parseAmount(typed).value),
  helpValue: 'AMOUNT',
});

/** A flag whose value is a count. A count beyond every possible number means the largest. */
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
  description: 'Only IDs that match a Redis glob: * any text, ? one byte, [ab] [^a] [a-z] a set, \\* a star',
  helpValue: 'GLOB',
});

export const whereFlag = Flags.string({
  helpGroup: 'SELECTION',
  description:
    "Only sessions that match an expression of id, budget, spent, remaining, used (percent) and frozen, such as 'used > 90 && !frozen'",
  helpValue: 'EXPR',
});

export const idleFlag = Flags.string({
  helpGroup: 'SELECTION',
  description: 'Only sessions without spending and requests for this long, by the ledger of record-spending',
  helpValue: 'TIME',
});

/** Seconds between the two readings that give a rate. */
export const DEFAULT_SAMPLE = '3s';
export const sampleFlag = Flags.string({
  description: `Time between two readings, which give the rate of spending (default: ${DEFAULT_SAMPLE})`,
  helpValue: 'TIME',
});

export const graceFlag = Flags.string({
  description: `How late a renewal may be (default: ${DEFAULT_GRACE})`,
  dependsOn: ['overdue'],
  helpValue: 'TIME',
});

export const nullFlag = Flags.boolean({
  // oclif's types allow only letters, but its parser takes any character.
  char: '0' as 'z',
  description: 'IDs end with NUL instead of a line feed',
});

const YES = {char: 'y', description: 'Do not ask'} as const;
const CONFIRM = {
  description: 'Name of the protected store or context, to answer its question',
  helpValue: 'NAME',
} as const;
export const yesFlag = Flags.boolean(YES);

/** For commands that print lists. */
export const pagerFlag = {
  'no-pager': Flags.boolean({description: 'Never open $PAGER for a list longer than the screen', helpGroup: 'OUTPUT'}),
};

/** @param more what differs, such as the group in the help */
export function formatFlag<const Formats extends readonly string[]>(
  options: Formats,
  more: {description?: string; helpGroup?: 'OUTPUT'} = {},
) {
  return Flags.option({char: 'o', options, description: 'Output format; --json is short for --format json', ...more})();
}

/** For commands whose output is one document. */
export const answerFormatFlag = () => formatFlag(['text', 'json']);

/** For commands that replace spending. */
export const secondLookFlag = Flags.boolean({
  description: 'Skip the second look for a request that has undone the change',
});

/** How to record a change. */
export const recordFlags = {
  note: Flags.string({description: 'Note for the journal of changes', helpValue: 'TEXT'}),
  'no-journal': Flags.boolean({
    description: 'Record nothing, so that the change cannot be undone',
  }),
};

/** How to record and confirm a change. */
export const journalFlags = {...recordFlags, confirm: Flags.string(CONFIRM)};

/** How commands that change many sessions run, and report what they did. */
export const reportFlags = {
  max: countFlag({description: 'Refuse a batch of more than N sessions', helpGroup: 'SELECTION'}),
  'dry-run': Flags.boolean({description: 'Show what would be done and change nothing'}),
  yes: yesFlag,
  quiet: Flags.boolean({
    char: 'q',
    description: 'Print only the total',
    helpGroup: 'OUTPUT',
  }),
  format: formatFlag(['text', 'json', 'ndjson'], {helpGroup: 'OUTPUT'}),
  ...journalFlags,
};

/** Which sessions to change, how to run, and how to report what was done. */
export const batchFlags = {
  match: matchFlag,
  where: whereFlag,
  idle: idleFlag,
  stdin: Flags.boolean({
    description: 'Read IDs from stdin, one a line, or NDJSON from list-sessions',
    helpGroup: 'SELECTION',
  }),
  null: {...nullFlag, helpGroup: 'SELECTION'},
  all: Flags.boolean({description: 'Every session that has a budget', helpGroup: 'SELECTION'}),
  ...reportFlags,
};

export const globalFlags = {
  'redis-url': Flags.string({
    default: DEFAULT_REDIS_URL,
    description: "URL of the gateway's Redis: redis://, rediss:// (TLS), unix:// or redis+sentinel://",
    env: 'TOKENGATE_REDIS_URL',
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
  }),
  'redis-url-file': Flags.string({
    description: 'File with the URL, readable by you alone',
    env: 'TOKENGATE_REDIS_URL_FILE',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  context: Flags.string({
    description: 'Server by its name in the context file: see list-contexts',
    env: 'TOKENGATE_CONTEXT',
    helpGroup: 'GLOBAL',
    helpValue: 'CONTEXT',
  }),
  timeout: Flags.string({
    description: 'Time limit for connecting and for each reply (default: 5)',
    env: 'TOKENGATE_TIMEOUT',
    helpGroup: 'GLOBAL',
    helpValue: 'SECONDS',
  }),
  'tls-ca': Flags.string({
    description: 'Certificate authority to trust instead of those of Node.js (PEM)',
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
    description: 'Private key of the client certificate, if not in the same file (PEM)',
    env: 'TOKENGATE_TLS_KEY',
    helpGroup: 'GLOBAL',
    helpValue: 'FILE',
  }),
  'tls-server-name': Flags.string({
    description: "Name that the server's certificate must have, if not the host's",
    env: 'TOKENGATE_TLS_SERVER_NAME',
    helpGroup: 'GLOBAL',
    helpValue: 'NAME',
  }),
  // Accepted by all commands, and shown by those that ask.
  yes: Flags.boolean({...YES, helpGroup: 'GLOBAL', hidden: true}),
  confirm: Flags.string({...CONFIRM, helpGroup: 'GLOBAL', hidden: true}),
  json: Flags.boolean({description: 'Print JSON; errors are JSON on stderr', helpGroup: 'GLOBAL'}),
  help: Flags.help({char: 'h', description: 'Show help', helpGroup: 'GLOBAL'}),
};
