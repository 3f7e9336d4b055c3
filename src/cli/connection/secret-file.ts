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
  /** The file's kind in messages, as in "The URL file '…' is a folder". */
  what: string;
  /** The code of the errors. */
  code: string;
  maxBytes: number;
}

/**
 * Reads a file with a secret. It must be a regular file of the user or of root that no one else can read or write. The
 * checks apply to the opened file, so that it cannot be exchanged in between; a link counts as its target.
 *
 * @throws TokengateError with the given code
 */
export function readOwnFile(path: string, options: OwnFileOptions): string {
  const {text, refuseShared} = readPlainFile(path, options);
  refuseShared();
  return text;
}

/**
 * Reads a file whose text decides whether it is a secret: if so, call `refuseShared`.
 *
 * @throws TokengateError with the given code
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
    // Opening a pipe without a writer would block for ever.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(file);
    const {uid, mode, size} = stats;
    if (stats.isDirectory()) refuse('is a folder');
    if (!stats.isFile()) refuse('is not an ordinary file');
    if (size > maxBytes) refuse(`is larger than ${maxBytes / 1024} KiB`);
    const text = readFileSync(file, 'utf8');
    return {
      // Some editors begin a text with a byte order mark.
      text: text.replace(/^\ufeff/, ''),
      mode: mode & 0o777,
      refuseShared() {
        const user = process.geteuid?.();
        if (user === undefined) return;
        if (uid !== user && uid !== 0) refuse('belongs to another user', 'It has to belong to you or to root.');
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
