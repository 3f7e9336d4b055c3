import {isText, nameOf, type RawId} from '../../lib/values/session-id.js';
import {toCommandLine} from './shell-quote.js';

/** What a command to copy needs to reach the same server, apart from the environment variables. */
export interface SameServer {
  /** Flags of this CLI. */
  flags: readonly string[];
  /** Options of redis-cli, which reads none of the variables. */
  redisCli: readonly string[];
}

/**
 * A command of this CLI for one session, to paste into a shell; null if no command line can hold the ID. `words` follow
 * the ID, `flags` come before it.
 */
export function toSessionCommand(
  command: string,
  id: RawId,
  {flags = [], words = []}: {flags?: readonly string[]; words?: readonly string[]},
): string | null {
  if (!isText(id)) return null;
  const name = nameOf(id);
  return toCommandLine(['tokengate', command, ...flags, ...(name.startsWith('-') ? ['--'] : []), name, ...words]);
}

/** A command that deletes a key of a session, where no command of this CLI does; null as above. */
export function toKeyDeletion(id: RawId, key: string, {redisCli}: SameServer): string | null {
  return isText(id) ? toCommandLine(['redis-cli', ...redisCli, 'DEL', key]) : null;
}

/** The value of `--match` for this ID alone. */
export function toGlob(id: string): string {
  return id.replace(/[\\*?[\]]/g, '\\$&');
}
