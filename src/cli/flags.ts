import {Args, Flags} from '@oclif/core';

import {parseSessionId, type RawId} from '../lib/ids.js';
import {type Money, parseAmount, type TypedAmount} from '../lib/money.js';

const SESSION_ID = 'exactly as the API client sends it (after -- if it begins with a dash)';

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

export const matchFlag = Flags.string({
  description: 'Only IDs that match a Redis glob: * any text, ? one byte, [ab] [^a] [a-z] one of a set, \\* a star',
  helpValue: 'GLOB',
});

export const whereFlag = Flags.string({
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

/** How the commands that change sessions are told which, and how they say what they did. */
export const batchFlags = {
  match: matchFlag,
  where: whereFlag,
  stdin: Flags.boolean({description: 'Read IDs from stdin: one a line, or lines of list-sessions --format ndjson'}),
  null: nullFlag,
  all: Flags.boolean({description: 'Every session that there is'}),
  max: Flags.integer({description: 'Refuse a batch of more sessions', min: 0, helpValue: 'N'}),
  'dry-run': Flags.boolean({description: 'Print what would be done, and change nothing'}),
  quiet: Flags.boolean({char: 'q', description: 'Print neither a line a session nor the progress'}),
  format: Flags.option({
    options: ['text', 'json', 'ndjson'] as const,
    description: 'How to print what was done to each; --json is the same as --format json',
  })(),
  ...journalFlags,
};

export const DEFAULT_REDIS_URL = 'redis://localhost:6379';

export const globalFlags = {
  'redis-url': Flags.string({
    default: DEFAULT_REDIS_URL,
    description: "URL of the gateway's Redis: redis://, rediss:// (TLS) or unix://",
    env: 'TOKENGATE_REDIS_URL',
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
  }),
  yes: Flags.boolean({char: 'y', description: 'Go ahead without asking', helpGroup: 'GLOBAL'}),
  json: Flags.boolean({description: 'Print one JSON document; an error is one on stderr', helpGroup: 'GLOBAL'}),
  help: Flags.help({char: 'h', description: 'Show help', helpGroup: 'GLOBAL'}),
};
