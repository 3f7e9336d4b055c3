import {isText, nameOf, type RawId} from '../../lib/values/session-id.js';
import {toCommandLine} from './shell-quote.js';

/** What a command that is shown for copying needs to reach the same server, beside what the variables say. */
export interface SameServer {
  /** Flags of this CLI. */
  flags: readonly string[];
  /** Options of redis-cli, for which no variable speaks. */
  redisCli: readonly string[];
}

/**
 * A command of this CLI on one session, to paste into a shell; null when no command line can hold the ID. `words` are
 * what follows the ID, `flags` what stands before it.
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

/** The command that deletes a key of a session, where no command of this CLI does; null as above. */
export function toKeyDeletion(id: RawId, key: string, {redisCli}: SameServer): string | null {
  return isText(id) ? toCommandLine(['redis-cli', ...redisCli, 'DEL', key]) : null;
}

/** What `--match` takes for this ID alone. */
export function toGlob(id: string): string {
  return id.replace(/[\\*?[\]]/g, '\\$&');
}
