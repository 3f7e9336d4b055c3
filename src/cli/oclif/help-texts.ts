/** What holds for every command, for its help and for the man page. Each row is a term and what it means. */
export type Rows = readonly (readonly [term: string, meaning: string])[];

/** Without those that a command of its own adds, by its static `exitCodes`. */
export const EXIT_CODES: Rows = [
  ['0', 'Done; of a batch: every session that was meant'],
  ['1', 'Any error: bad usage, unknown command or session, no Redis, the question answered with no'],
  ['130', 'Interrupted by Ctrl-C (143 by SIGTERM)'],
];

const ENVIRONMENT: Rows = [
  ['TOKENGATE_REDIS_URL', 'The Redis URL, where --redis-url is not given; refused when it is empty'],
  ['TOKENGATE_ACTOR', 'Who makes a change, for the journal; user@host if not set'],
  ['TOKENGATE_JOURNAL', 'off keeps no record of changes'],
  ['TOKENGATE_JOURNAL_LIMIT', 'Entries of the journal that are kept; 100000 if not set'],
  ['NO_COLOR, FORCE_COLOR', 'No colour; colour even in a pipe'],
  ['NODE_EXTRA_CA_CERTS', 'A file with the certificate authority of a rediss:// server'],
  ['TOKENGATE_DEBUG', '1 adds to an error where in the program it arose'],
];

export const EXAMPLES: Rows = [
  ['Look at all sessions', 'tokengate list-sessions'],
  ['Set a budget on another Redis', 'tokengate --redis-url redis://prod-redis:6379 set-budget prod-session 100.00'],
];

export const LEARN_MORE: Rows = [
  ['tokengate help COMMAND', 'The flags and examples of a command'],
  ['tokengate autocomplete', 'How to set up completion, of session IDs too'],
  ['man tokengate', 'All of it as one page'],
];

/** What a command may say of itself besides what oclif knows. */
export interface MoreHelp {
  id: string;
  hidden?: boolean;
  /** IDs of commands to read next. */
  related?: readonly string[];
  /** Codes of its own, such as `{2: 'Differences were found'}`. */
  exitCodes?: Readonly<Record<string, string>>;
  /** Variables of its own. */
  environment?: Readonly<Record<string, string>>;
}

export function exitCodesOf({exitCodes = {}}: MoreHelp): Rows {
  const own = Object.entries(exitCodes);
  const others = EXIT_CODES.filter(([code]) => !Object.hasOwn(exitCodes, code));
  return [...own, ...others].sort(([a], [b]) => Number(a) - Number(b));
}

/** Those of the global flags that have one come first, then a command's own. */
export function environmentOf(
  flags: readonly {name: string; env?: string | undefined}[],
  {environment = {}}: Partial<MoreHelp> = {},
): Rows {
  const [url, ...others] = ENVIRONMENT;
  const own = flags.flatMap(({name, env}) =>
    env === undefined || env === url?.[0] ? [] : [[env, `The same as --${name}`] as const],
  );
  return [...(url ? [url] : []), ...own, ...Object.entries(environment), ...others];
}

/** Those that it names, else those that have a word of its name in theirs; of those only what there is. */
export function relatedTo({id, related}: MoreHelp, commands: readonly MoreHelp[]): string[] {
  const ids = commands.filter(({hidden}) => !hidden).map((command) => command.id);
  if (related !== undefined) return related.filter((one) => ids.includes(one));
  const words = id.split(/[-:]/);
  return ids.filter((one) => one !== id && one.split(/[-:]/).some((word) => words.includes(word)));
}
