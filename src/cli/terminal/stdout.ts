import {TokengateError} from '../../lib/values/errors.js';

/** Nobody reads stdout any more (`| head`): reason enough to stop, not an error. */
export class OutputClosed extends Error {}

let failure: NodeJS.ErrnoException | undefined;
let isReported = false;
/** In pieces, what a change says that was made. */
const answer: string[] = [];

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

/** Keeps a piece of what a change prints: it was made, whether or not stdout takes it, so that a failure repeats it. */
export function keepAnswer(text: string): void {
  answer.push(text);
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

/** The output of work that is done, whether or not it can be told of there: failures of stdout end nothing. */
export class WorkOutput {
  /** Why stdout takes no more, once it does not. */
  closedBy: string | undefined;

  /** Writes to stdout, and to stderr once stdout takes no more. */
  async write(text: string): Promise<void> {
    await this.attempt(() => writeOutput([text]));
    if (this.closedBy !== undefined) process.stderr.write(text);
  }

  /** Waits until stdout has taken all that was written, or takes no more. */
  async drain(): Promise<void> {
    await this.attempt(drainOutput);
  }

  private async attempt(output: () => Promise<void>): Promise<void> {
    if (this.closedBy !== undefined) return;
    try {
      await output();
    } catch (error) {
      this.closedBy = explainClosing(error);
    }
  }
}

/** Why stdout takes no more, as a sentence; any other error is thrown on. */
export function explainClosing(error: unknown): string {
  if (error instanceof OutputClosed) return 'The reader of the output has gone.';
  if (error instanceof TokengateError) return error.message;
  throw error;
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
  throw new TokengateError('OUTPUT_FAILED', `Cannot write the output: ${reason}.`, {
    hint: answer.length === 0 ? undefined : `What it would have said: ${answer.join('; ')}`,
  });
}
