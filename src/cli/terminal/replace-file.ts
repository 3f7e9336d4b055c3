import {randomBytes} from 'node:crypto';
import {unlinkSync} from 'node:fs';
import {open, realpath, rename, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

import {TokengateError} from '../../lib/values/errors.js';

const WHY: Record<string, string> = {
  EACCES: 'permission denied',
  EBUSY: 'it is a mount of its own, which cannot be replaced; name a file in a folder that is mounted',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'it would be larger than is allowed',
  EISDIR: 'it is a folder',
  ENOENT: 'there is no such folder',
  ENOSPC: 'no space left on the device',
  EXDEV: 'it is on another device than its folder, and cannot be replaced',
  EPERM: 'the system does not permit it',
  ENOTDIR: 'there is no such folder',
  EROFS: 'the file system is read-only',
};

/**
 * Writes a file that others may read at any time. They see the old file or the new one, each complete; if anything
 * fails, the old one stays. Everybody may read it, unless `mode` says otherwise.
 *
 * @throws TokengateError OUTPUT_FAILED
 */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  let temporary: string | undefined;
  const remove = (): void => {
    if (temporary === undefined) return;
    try {
      unlinkSync(temporary);
    } catch {
      // It was not made, or has its final name already.
    }
  };
  // Ctrl-C ends the process at once.
  process.once('exit', remove);
  try {
    const target = await findTarget(path);
    const folder = dirname(target);
    // In the same file system, under a name that node_exporter does not read.
    temporary = join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
    temporary = undefined;
    await syncFolder(folder);
  } catch (error) {
    remove();
    throw outputFailure(path, error);
  } finally {
    process.off('exit', remove);
  }
}

/** The error for a file that cannot be written. */
export function outputFailure(path: string, error: unknown): TokengateError {
  if (error instanceof TokengateError) return error;
  const {code = '', message} = error as NodeJS.ErrnoException;
  return failure(path, WHY[code] ?? (code || message));
}

/** The target of a link, so that the link stays. */
async function findTarget(path: string): Promise<string> {
  try {
    const target = await realpath(path);
    if (!(await stat(target)).isFile()) throw failure(path, 'it is not a file');
    return target;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
}

/** Makes the new name survive a loss of power. Some systems cannot do that for a folder. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file is there anyway.
  }
}

function failure(path: string, why: string): TokengateError {
  return new TokengateError('OUTPUT_FAILED', `Cannot write '${path}': ${why}.`);
}

/** Like `replaceFile`, for text that comes in pieces. */
export async function replaceWithPieces(path: string, pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
  let text = '';
  for await (const piece of pieces) text += piece;
  await replaceFile(path, text);
}
