import {TokengateError} from '../../lib/values/errors.js';
import {EXIT, endWith} from './exit-code.js';
import {whenInterrupted} from './interrupts.js';
import {isStderrUsed, onceStderrIsUsed} from './late-stderr.js';

/** The reader of stdout has gone (`| head`): a reason to stop, not an error. */
export class OutputClosed extends Error {
  override message = 'The reader of the output has gone.';
}

/** Nobody has read stdout by the time the work was interrupted. */
class OutputUnread extends OutputClosed {
  override message = 'Nobody reads the output.';
}

/** Maximum output that waits for the reader while work goes on. */
const BUFFER = 1 << 20;
/** How long to wait for a reader after an interrupt if it takes nothing. */
const PATIENCE_MS = 300;

/** The number of pieces that readers have taken. */
let taken = 0;
let failure: Error | undefined;
let isReported = false;
/** What a change has reported, in pieces. */
const answer: string[] = [];

/** Replaces oclif's listener, which crashes on every error but a closed pipe. Call it after oclif is loaded. */
export function watchOutput(): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  onceStderrIsUsed(() => {
    process.stderr.on('error', () => {
      // There is nowhere left to report it.
    });
  });
}

/**
 * Keeps a piece of a change's report. The change was made, even if stdout does not take the report; the error then
 * repeats it.
 */
export function keepAnswer(text: string): void {
  answer.push(text);
}

/**
 * Writes to stdout as fast as it is read, in pieces of about 64 KB. A full disk, or any other failure, must not pass
 * for success.
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
 * The output of work that continues even if it cannot be reported: a failure of stdout does not end it, and a slow
 * reader delays it only when a megabyte is waiting.
 */
export class WorkOutput {
  /** Why stdout takes no more; undefined while it does. */
  closedBy: string | undefined;
  /** True if the only reason is that nobody has read it. */
  isUnread = false;
  /** Written, but not taken yet. */
  private readonly waiting = new Set<{text: string}>();

  /** Writes to stdout, and to stderr once stdout takes no more. */
  async write(text: string): Promise<void> {
    if (this.closedBy === undefined) {
      const piece = {text};
      this.waiting.add(piece);
      const taken = writeTo(process.stdout, text).then((error) => {
        failure ??= error;
        if (error === undefined) this.waiting.delete(piece);
      });
      const {writableLength} = process.stdout;
      const isBuffered = writableLength > 0 && writableLength <= BUFFER;
      await this.attempt(async () => {
        if (!isBuffered) await taken;
        throwFailure();
      });
    } else if (!this.isUnread) {
      process.stderr.write(text);
    }
  }

  /** Waits until stdout has taken everything, or takes no more. */
  async drain(): Promise<void> {
    await this.attempt(drainOutput);
  }

  private async attempt(output: () => Promise<void>): Promise<void> {
    if (this.closedBy !== undefined) return;
    try {
      await output();
    } catch (error) {
      this.closedBy = explainClosing(error);
      this.isUnread = error instanceof OutputUnread;
      if (!this.isUnread) for (const {text} of this.waiting) process.stderr.write(text);
      this.waiting.clear();
    }
  }
}

/** A sentence saying why stdout takes no more. Throws any other error on. */
export function explainClosing(error: unknown): string {
  if (error instanceof OutputClosed || error instanceof TokengateError) return error.message;
  throw error;
}

/**
 * Waits until stdout has taken everything; after an interrupt only for a moment. Without this the end of the process
 * would cut off what a slow reader has not read.
 *
 * @throws like `writeOutput`
 */
export async function drainOutput(): Promise<void> {
  // A full disk refuses even an empty text, and an error of its own may be all that there is to say.
  if (process.stdout.writableLength > 0) await writeChunk('');
  // The 'error' event may follow the callback of the failed write.
  await new Promise(setImmediate);
  throwFailure();
}

/** Waits until stderr has taken everything, or takes no more; after an interrupt only for a moment. */
export async function drainErrors(): Promise<void> {
  if (isStderrUsed()) await writeTo(process.stderr, '');
}

/** Waits for the reader of stderr when a megabyte is waiting. */
export async function boundErrors(): Promise<void> {
  if (process.stderr.writableLength > BUFFER) await drainErrors();
}

async function writeChunk(chunk: string): Promise<void> {
  throwFailure();
  if (failure !== undefined) return;
  failure ??= await writeTo(process.stdout, chunk);
  throwFailure();
}

/** Resolves when the text is taken, or with the reason why not: `OutputUnread` a moment after an interrupt. */
function writeTo(stream: NodeJS.WriteStream, text: string): Promise<Error | undefined> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const unwatch = whenInterrupted(() => {
      let before = taken;
      timer = setInterval(() => {
        // A reader that is merely slow gets everything.
        const isSlow = taken !== before;
        before = taken;
        if (isSlow) return;
        clearInterval(timer);
        resolve(new OutputUnread());
      }, PATIENCE_MS);
    });
    stream.write(text, (error) => {
      taken++;
      clearInterval(timer);
      unwatch();
      resolve(error ?? undefined);
    });
  });
}

/** Throws once: a command that could not write its output fails, and its remaining output fails for the same reason. */
function throwFailure(): void {
  if (failure === undefined || isReported) return;
  isReported = true;
  const {code} = failure as NodeJS.ErrnoException;
  // The terminal is gone; the signal may come later.
  const isHungUp = code === 'EIO' && process.stdout.isTTY;
  if (isHungUp) endWith(EXIT.SIGHUP);
  if (code === 'EPIPE' || isHungUp) throw new OutputClosed();
  if (failure instanceof OutputUnread && answer.length === 0) throw failure;
  const reason = code === 'ENOSPC' ? 'no space left on the device' : (code ?? failure.message);
  const message = failure instanceof OutputUnread ? failure.message : `Cannot write the output: ${reason}.`;
  throw new TokengateError('OUTPUT_FAILED', message, {
    hint: answer.length === 0 ? undefined : `What it would have said: ${answer.join('; ')}`,
  });
}
