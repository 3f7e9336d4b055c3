import {TokengateError} from '../../lib/values/errors.js';
import {EXIT, endWith} from './exit-code.js';
import {whenInterrupted} from './interrupts.js';
import {isStderrUsed, onceStderrIsUsed} from './late-stderr.js';

/** Nobody reads stdout any more (`| head`): reason enough to stop, not an error. */
export class OutputClosed extends Error {
  override message = 'The reader of the output has gone.';
}

/** Nobody has read stdout by the time that the work was interrupted. */
class OutputUnread extends OutputClosed {
  override message = 'Nobody reads the output.';
}

/** What is written to stdout of work that goes on, at most, before its reader is waited for. */
const BUFFER = 1 << 20;
/** How long after an interrupt a reader may take nothing of what was written, before it is waited for no more. */
const PATIENCE_MS = 300;

/** How many pieces readers have taken. */
let taken = 0;
let failure: Error | undefined;
let isReported = false;
/** In pieces, what a change says that was made. */
const answer: string[] = [];

/** Takes over from oclif's listener, which crashes on anything but a closed pipe. Call it once oclif is loaded. */
export function watchOutput(): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  onceStderrIsUsed(() => {
    process.stderr.on('error', () => {
      // Nowhere left to say it.
    });
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

/**
 * The output of work that is done, whether or not it can be told of there: failures of stdout end nothing, and a reader
 * that does not read holds it up only when a megabyte waits for it.
 */
export class WorkOutput {
  /** Why stdout takes no more, once it does not. */
  closedBy: string | undefined;
  /** True when it is only that nobody has read it. */
  isUnread = false;
  /** Written, and not taken yet. */
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
      this.isUnread = error instanceof OutputUnread;
      if (!this.isUnread) for (const {text} of this.waiting) process.stderr.write(text);
      this.waiting.clear();
    }
  }
}

/** Why stdout takes no more, as a sentence; any other error is thrown on. */
export function explainClosing(error: unknown): string {
  if (error instanceof OutputClosed || error instanceof TokengateError) return error.message;
  throw error;
}

/**
 * Waits until stdout has taken all that was written; after an interrupt only for a moment.
 *
 * @throws as `writeOutput`
 */
export async function drainOutput(): Promise<void> {
  await writeChunk('');
  // The 'error' event may come after the callback of the write that failed.
  await new Promise(setImmediate);
  throwFailure();
}

/** Waits until stderr has taken all that was written, or takes no more; after an interrupt only for a moment. */
export async function drainErrors(): Promise<void> {
  if (isStderrUsed()) await writeTo(process.stderr, '');
}

/** Waits for a reader of stderr when a megabyte waits for it. */
export async function boundErrors(): Promise<void> {
  if (process.stderr.writableLength > BUFFER) await drainErrors();
}

async function writeChunk(chunk: string): Promise<void> {
  throwFailure();
  if (failure !== undefined) return;
  failure ??= await writeTo(process.stdout, chunk);
  throwFailure();
}

/** Resolves when it is taken, else with why not: `OutputUnread` after a moment that begins with an interrupt. */
function writeTo(stream: NodeJS.WriteStream, text: string): Promise<Error | undefined> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const unwatch = whenInterrupted(() => {
      let before = taken;
      timer = setInterval(() => {
        // A reader that is only slow gets all of it.
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

/** Throws once: a command that could not write its answer fails, and what is left to write fails for the same reason. */
function throwFailure(): void {
  if (failure === undefined || isReported) return;
  isReported = true;
  const {code} = failure as NodeJS.ErrnoException;
  // The terminal has gone, of which the signal may come later.
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
