import {constants} from 'node:fs';
import {open} from 'node:fs/promises';

import {TokengateError} from '../../lib/values/errors.js';

const WHY: Record<string, string> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read',
  EISDIR: 'is a folder',
  ELOOP: 'is a link that leads to itself',
};

export interface OwnFileOptions {
  /** As in "The URL file '…' is a folder". */
  what: string;
  /** Of the error. */
  code: string;
  maxBytes: number;
}

/**
 * Reads a file that holds a secret. It must be an ordinary file of the user or of root that no one else can read or
 * write; what is looked at is the file that is open, so that it can't be another one by then, and a link counts as what
 * it leads to.
 *
 * @throws TokengateError of the code that is given
 */
export async function readOwnFile(path: string, {what, code, maxBytes}: OwnFileOptions): Promise<string> {
  const refuse = (why: string, hint?: string): never => {
    throw new TokengateError(code, `The ${what} '${path}' ${why}.`, {hint});
  };
  try {
    // Opening a pipe that nobody writes to would wait for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (stats.isDirectory()) refuse('is a folder');
    if (!stats.isFile()) refuse('is not an ordinary file');
    const user = process.geteuid?.();
    if (user !== undefined) {
      if (stats.uid !== user && stats.uid !== 0)
        refuse('belongs to another user', 'It has to be your own, or of root.');
      if ((stats.mode & 0o077) !== 0) refuse('can be read by other users', `Make it your own: chmod 600 ${path}`);
    }
    if (stats.size > maxBytes) refuse(`is larger than ${maxBytes / 1024} KiB`);
    const text = await file.readFile('utf8');
    // A byte order mark, which some editors put before a text.
    return text.replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof TokengateError) throw error;
    return refuse(WHY[(error as NodeJS.ErrnoException).code ?? ''] ?? 'cannot be read');
  }
}
