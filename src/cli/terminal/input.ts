import {constants, createReadStream, fstatSync, openSync, readFileSync, readlinkSync, statSync} from 'node:fs';
import {Socket} from 'node:net';

import {TokengateError} from '../../lib/values/errors.js';

/** The name of stdin in place of a file. */
export const STDIN = '-';

const WHY: Record<string, string> = {
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
};

/**
 * Reads stdin to its end.
 *
 * @param what the input in messages, as in "the IDs"
 * @throws TokengateError STDIN_UNREADABLE when it is closed, or cannot be read; FILE_TOO_LARGE
 */
export async function readStdin(what: string, most = Infinity): Promise<Buffer> {
  const refuse = (why: string): TokengateError =>
    new TokengateError('STDIN_UNREADABLE', `Cannot read ${what} from stdin: ${why}.`);
  const why = whyUnreadable();
  if (why !== undefined) throw refuse(why);
  return readAll(() => process.stdin, 'The input on stdin', most, refuse);
}

/**
 * Reads a file, or stdin for `-`.
 *
 * @param most bytes
 * @throws TokengateError FILE_UNREADABLE, FILE_TOO_LARGE, STDIN_UNREADABLE
 */
export async function readInput(path: string, most: number): Promise<Buffer> {
  if (path === STDIN) return readStdin('the file', most);
  return readAll(
    () => openToRead(path),
    `The file '${path}'`,
    most,
    (why) => {
      return new TokengateError('FILE_UNREADABLE', `Cannot read '${path}': ${why}.`);
    },
  );
}

/** Opening a named pipe waits for its writer, and no signal ends a process of which a thread waits for that. */
function openToRead(path: string): NodeJS.ReadableStream {
  if (!statSync(path).isFIFO()) return createReadStream(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({fd, readable: true, writable: false});
}

async function readAll(
  open: () => NodeJS.ReadableStream,
  name: string,
  most: number,
  refuse: (why: string) => TokengateError,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of open()) {
      chunks.push(chunk as Buffer);
      length += chunk.length;
      if (length > most) {
        throw new TokengateError('FILE_TOO_LARGE', `${name} is larger than ${Math.floor(most / 2 ** 20)} MiB.`);
      }
    }
    return Buffer.concat(chunks, length);
  } catch (error) {
    if (error instanceof TokengateError) throw error;
    const {code = '', message} = error as NodeJS.ErrnoException;
    throw refuse(WHY[code] ?? (code || message));
  }
}

/** Why Node.js would see an empty input. */
function whyUnreadable(): string | undefined {
  if (fstatSync(0).isDirectory()) return 'it is a folder';
  let flags: number;
  let path: string;
  try {
    const [, octal = '0'] = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1')) ?? [];
    [flags, path] = [Number.parseInt(octal, 8), readlinkSync('/proc/self/fd/0')];
  } catch {
    // Only Linux tells.
    return undefined;
  }
  if ((flags & constants.O_WRONLY) !== 0) return 'it is open for writing';
  // Node.js replaces a closed stream with one that is open for both reading and writing; a shell opens it for one of
  // them.
  return (flags & constants.O_RDWR) !== 0 && path === '/dev/null' ? 'it is closed' : undefined;
}
