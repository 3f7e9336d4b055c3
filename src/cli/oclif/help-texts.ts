import {isGlobal} from './global-flags.js';

/** Rows for the help and the man page that apply to every command: a term and its meaning. */
export type Rows = readonly (readonly [term: string, meaning: string])[];

export const EXIT_CODES: Rows = [
  ['0', 'Success. For a batch: no session failed'],
  ['1', 'Error: bad usage, session not found, Redis unreachable, question answered with no, part of a batch failed'],
  ['2', 'The command worked, and found something: see the exit codes in its help'],
  ['130', 'Interrupted by Ctrl-C (129 by SIGHUP, 131 by SIGQUIT, 143 by SIGTERM)'],
];

const ENVIRONMENT: Rows = [
  ['TOKENGATE_REDIS_URL', 'Redis URL to use without --redis-url; an empty value is an error'],
  ['TOKENGATE_CONFIG', 'File with the contexts (default: ~/.config/tokengate/config.yaml)'],
  ['TOKENGATE_ACTOR', 'Your name in the journal of changes (default: user@host)'],
  ['TOKENGATE_JOURNAL', 'Set to off to keep no record of changes'],
  ['TOKENGATE_JOURNAL_LIMIT', 'Number of entries that the journal keeps (default: 100000)'],
  ['PAGER', 'Shows lists longer than the screen (less); empty: none'],
  ['NO_COLOR, FORCE_COLOR', 'Turn colours off, or on even in a pipe'],
  ['NODE_EXTRA_CA_CERTS', 'File with the certificate authority of a rediss:// server'],
  ['TOKENGATE_DEBUG', 'Set to 1 to see where in the program an error arose'],
];

/** What people want to do, in the order of the help. */
const GROUPS = ['Look', 'Budgets', 'Periods', 'Files', 'Freezes', 'History', 'Monitoring', 'Set-up'];
/** The group of a command that names none of these. */
const OTHER = 'Other';

/** What a command may say about itself, beyond what oclif knows. */
export interface MoreHelp {
  id: string;
  hidden?: boolean;
  group?: string;
  /** The IDs of commands to read next. */
  related?: readonly string[];
  /** The command's own exit codes, such as `{2: 'Differences were found'}`. */
  exitCodes?: Readonly<Record<string, string>>;
  /** The command's own variables. */
  environment?: Readonly<Record<string, string>>;
}

interface AnyFlag {
  name: string;
  env?: string | undefined;
  hidden?: boolean | undefined;
  helpGroup?: string | undefined;
}

/** Commands grouped by what people want to do, sorted by name within a group. */
export function groupCommands<C extends MoreHelp>(commands: readonly C[]): [group: string, commands: C[]][] {
  const shown = commands.filter(({id, hidden}) => !hidden && !id.includes(':')).sort((a, b) => (a.id < b.id ? -1 : 1));
  const groupOf = ({group = OTHER}: C): string => (GROUPS.includes(group) ? group : OTHER);
  const inGroup = (group: string): C[] => shown.filter((command) => groupOf(command) === group);
  return [...GROUPS, OTHER]
    .map((group): [string, C[]] => [group, inGroup(group)])
    .filter(([, some]) => some.length > 0);
}

/** The flags that a command's help shows. */
export function ownFlagsOf<F extends AnyFlag>({flags}: {flags: Record<string, F>}): F[] {
  return Object.values(flags).filter((flag) => !flag.hidden && !isGlobal(flag));
}

/** The flags' variables, with those of global flags first. */
export function environmentOf(flags: readonly AnyFlag[]): Rows {
  const [url, ...others] = ENVIRONMENT;
  const ofFlags = flags.flatMap(({name, env}) =>
    env === undefined || env === url?.[0] ? [] : [[env, `Same as --${name}`] as const],
  );
  return [...(url ? [url] : []), ...ofFlags, ...others];
}

/** The commands that it names, or else those whose names share a word with its own; only existing ones. */
export function relatedTo({id, related}: MoreHelp, commands: readonly MoreHelp[]): string[] {
  const ids = commands.filter(({hidden}) => !hidden).map((command) => command.id);
  if (related !== undefined) return related.filter((one) => ids.includes(one));
  const words = id.split(/[-:]/);
  return ids.filter((one) => one !== id && one.split(/[-:]/).some((word) => words.includes(word)));
}
