import {lstatSync} from 'node:fs';
import {homedir} from 'node:os';
import {isAbsolute, join} from 'node:path';

import {TokengateError} from '../../lib/values/errors.js';

/** The ways to name a server. */
const WAYS = [
  {kind: 'context', flag: 'context', variable: 'TOKENGATE_CONTEXT'},
  {kind: 'url', flag: 'redis-url', variable: 'TOKENGATE_REDIS_URL'},
  {kind: 'file', flag: 'redis-url-file', variable: 'TOKENGATE_REDIS_URL_FILE'},
] as const;

export type NamingFlags = Partial<Record<(typeof WAYS)[number]['flag'], string | undefined>>;

/** The value that names the server. */
export interface Choice {
  kind: (typeof WAYS)[number]['kind'];
  /** A URL, a file with a URL, or the name of a context. */
  value: string;
  /** The flag or the variable that it comes from. */
  by: string;
}

/**
 * Finds what names the server: a flag, or else a variable; undefined when neither does. Two flags contradict each
 * other, and so do two variables.
 *
 * @param typed the names of the flags that were typed, not set by a variable
 * @throws TokengateError INVALID_USAGE, INVALID_REDIS_URL for an empty variable
 */
export function chooseServer(flags: NamingFlags, typed: ReadonlySet<string>): Choice | undefined {
  const typedWays = WAYS.filter(({flag}) => typed.has(flag));
  const [way, other] = typedWays;
  if (way !== undefined && other !== undefined) {
    throw new TokengateError('INVALID_USAGE', `Both --${way.flag} and --${other.flag} are given.`, {hint: 'Give one.'});
  }
  if (way !== undefined) return {kind: way.kind, value: flags[way.flag] ?? '', by: `--${way.flag}`};
  const set = WAYS.flatMap(({kind, variable}) => {
    const value = process.env[variable];
    // An empty variable usually means that another one was unset: that must not change things on localhost.
    if (value === '') throw emptyVariable(variable);
    return value === undefined ? [] : [{kind, value, by: variable}];
  });
  const [first, second] = set;
  if (first !== undefined && second !== undefined) {
    throw new TokengateError('INVALID_USAGE', `Both ${first.by} and ${second.by} are set.`, {
      hint: 'Unset one, or give --context, --redis-url or --redis-url-file.',
    });
  }
  return first;
}

/** The variables that are set and name a server, which the default of the context file does not replace. */
export function namingVariables(): string[] {
  return WAYS.map(({variable}) => variable).filter((variable) => process.env[variable] !== undefined);
}

function emptyVariable(name: string): TokengateError {
  return new TokengateError('INVALID_REDIS_URL', `${name} is set, but empty.`, {
    hint: 'Unset it for redis://localhost:6379, or give --redis-url.',
  });
}

/** No folder can be in it, whoever makes it. */
const NOWHERE = '/dev/null';

/**
 * The path of the context file: `TOKENGATE_CONFIG`, or a file in the user's settings folder. `isExpected` is true if
 * the file exists, even as a dangling link, or if the variable names it.
 */
export function contextPath(): {path: string; isExpected: boolean} {
  const {TOKENGATE_CONFIG: named = '', XDG_CONFIG_HOME: settings = ''} = process.env;
  if (named !== '') return {path: named, isExpected: true};
  const home = homedir();
  // An empty HOME would mean the present folder.
  const folder = isAbsolute(settings) ? settings : join(isAbsolute(home) ? home : NOWHERE, '.config');
  const path = join(folder, 'tokengate', 'config.yaml');
  return {path, isExpected: isThere(path)};
}

/** A folder that may not be entered belongs to another user, whose settings do not apply. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, {throwIfNoEntry: false}) !== undefined;
  } catch {
    return false;
  }
}
