import {readFile, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';

import {replaceFile} from '../terminal/replace-file.js';
import {showText} from '../text/escape.js';
import {isSetupLine, START_FILES} from './scripts.js';

/** A file below the home folder that only our completion needs. */
const OWN_FILE = '.config/fish/completions/tokengate.fish';

/**
 * Removes the lines that set up completion from the start-up files of a home folder, and deletes a file that holds
 * nothing else. A line that does more than that stays, and is named.
 *
 * @returns what was done, for people
 * @throws TokengateError OUTPUT_FAILED
 */
export async function removeSetups(home: string): Promise<string> {
  const said: string[] = [];
  for (const name of START_FILES) {
    const path = join(home, name);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const isScript = name === OWN_FILE && text.startsWith('# Completion of tokengate for fish.');
    const lines = text.split('\n');
    const kept = isScript ? [] : lines.filter((line) => !isSetupLine(line));
    if (kept.length < lines.length) {
      if (name === OWN_FILE && kept.join('').trim() === '') await rm(path);
      else await replaceFile(path, kept.join('\n'), (await stat(path)).mode & 0o777);
      said.push(`Removed from ~/${name}.`);
    }
    const others = kept.filter((line) => /^[^#]*tokengate autocomplete/.test(line));
    said.push(...others.map((line) => `Left in ~/${name}, since it does more: ${showText(line.trim())}`));
  }
  if (said.length === 0) return 'No start-up file sets completion up.\n';
  return `${said.join('\n')}\nA shell that is open keeps it until it ends.\n`;
}
