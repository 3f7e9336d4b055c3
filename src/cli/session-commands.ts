import {isText, nameOf, type RawId} from '../lib/ids.js';
import {toCommandLine} from './shell-words.js';

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

/** What `--match` takes for this ID alone. */
export function toGlob(id: string): string {
  return id.replace(/[\\*?[\]]/g, '\\$&');
}
