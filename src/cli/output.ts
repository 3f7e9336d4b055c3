import {TokengateError} from '../lib/errors.js';

/** Nobody reads stdout any more (`| head`): reason enough to stop, not an error. */
export class OutputClosed extends Error {}

let failure: NodeJS.ErrnoException | undefined;
let isReported = false;

/** Takes over from oclif's listener, which crashes on anything but a closed pipe. Call it once oclif is loaded. */
export function watchOutput(): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  process.stderr.on('error', () => {
    // Nowhere left to say it.
  });
}

/**
 * Writes to stdout no faster than it is read, in pieces of about 64 KB.
 *
 * @throws OutputClosed when the reader has gone, TokengateError OUTPUT_FAILED when the text cannot be written
 */
export async function writeOutput(pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
  let chunk = '';
  for await (const piece of pieces) {
    chunk += piece;
    if (chunk.length < 65_536) continue;
    await writeChunk(chunk);
    chunk = '';
  }
  if (chunk !== '') await writeChunk(chunk);
}

/**
 * Waits until stdout has taken all that was written.
 *
 * @throws as `writeOutput`
 */
export async function drainOutput(): Promise<void> {
  if (failure === undefined)
    await new Promise<void>((resolve) =>
      process.stdout.write('', () => {
        resolve();
      }),
    );
  // The 'error' event comes after the callback of the write that failed.
  await new Promise(setImmediate);
  throwFailure();
}

async function writeChunk(chunk: string): Promise<void> {
  throwFailure();
  await new Promise<void>((resolve) =>
    process.stdout.write(chunk, () => {
      resolve();
    }),
  );
  throwFailure();
}

/** Throws once: a command that could not write its answer fails, and what is left to write fails for the same reason. */
function throwFailure(): void {
  if (failure === undefined || isReported) return;
  isReported = true;
  if (failure.code === 'EPIPE') throw new OutputClosed();
  const reason = failure.code === 'ENOSPC' ? 'no space left on the device' : (failure.code ?? failure.message);
  throw new TokengateError('OUTPUT_FAILED', `Cannot write the output: ${reason}.`);
}
