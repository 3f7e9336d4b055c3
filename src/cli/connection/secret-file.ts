import {closeSync, constants, fstatSync, openSync, readFileSync} from 'node:fs';

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
export function readOwnFile(path: string, options: OwnFileOptions): string {
  const {text, refuseShared} = readPlainFile(path, options);
  refuseShared();
  return text;
}

/**
 * The same of a file of which the text says whether it is a secret: then `refuseShared` is to be called.
 *
 * @throws TokengateError of the code that is given
 */
export function readPlainFile(
  path: string,
  {what, code, maxBytes}: OwnFileOptions,
): {text: string; mode: number; refuseShared: () => void} {
  const refuse = (why: string, hint?: string): never => {
    throw new TokengateError(code, `The ${what} '${path}' ${why}.`, {hint});
  };
  let file: number | undefined;
  try {
    // Opening a pipe that nobody writes to would wait for ever.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(file);
    const {uid, mode, size} = stats;
    if (stats.isDirectory()) refuse('is a folder');
    if (!stats.isFile()) refuse('is not an ordinary file');
    if (size > maxBytes) refuse(`is larger than ${maxBytes / 1024} KiB`);
    const text = readFileSync(file, 'utf8');
    return {
      // A byte order mark, which some editors put before a text.
      text: text.replace(/^\ufeff/, ''),
      mode: mode & 0o777,
      refuseShared() {
        const user = process.geteuid?.();
        if (user === undefined) return;
        if (uid !== user && uid !== 0) refuse('belongs to another user', 'It has to be your own, or of root.');
        if ((mode & 0o077) !== 0) refuse('can be read by other users', `Make it your own: chmod 600 ${path}`);
      },
    };
  } catch (error) {
    if (error instanceof TokengateError) throw error;
    return refuse(WHY[(error as NodeJS.ErrnoException).code ?? ''] ?? 'cannot be read');
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
