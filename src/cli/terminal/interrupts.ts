import {closeSync, readFileSync} from 'node:fs';

import {EXIT, endWith, SIGNALS} from './exit-code.js';

let stopWork: ((code: number) => void) | undefined;
let isInterrupted = false;
const listeners = new Set<() => void>();

/**
 * Makes the first Ctrl-C, Ctrl-\, SIGTERM or loss of the terminal stop work that has to report what it did; a second
 * one ends the process at once. Listeners for the end of the process run in both cases.
 */
export function watchInterrupts(): void {
  const isNoHangUp = ignoresHangUp();
  process.once('exit', (code) => {
    // Node.js would restore the modes of a terminal that is gone, and crash when that fails.
    if (code === EXIT.SIGHUP) for (const stream of [0, 1, 2]) closeQuietly(stream);
  });
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' && isNoHangUp) return;
      if (stopWork === undefined) process.exit(code);
      endWith(code);
      isInterrupted = true;
      const stop = stopWork;
      stopWork = undefined;
      stop(code);
      for (const listener of listeners) listener();
    });
  }
}

/**
 * Sets what the first interrupt calls, with its exit code, instead of ending the process. Returns a function that
 * undoes that.
 */
export function onInterrupt(stop: (code: number) => void): () => void {
  stopWork = stop;
  return () => {
    if (stopWork === stop) stopWork = undefined;
  };
}

/**
 * Calls the listener at the first interrupt that does not end the process; at once if it has come already. Returns a
 * function that undoes that.
 */
export function whenInterrupted(listener: () => void): () => void {
  if (isInterrupted) listener();
  else listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * True when the parent made this process ignore the loss of its terminal. Node.js reverts that before any code runs, so
 * other traces have to tell: the parent ignores it too, and `nohup`, which the shell names in a variable, also replaces
 * a terminal as stdin by a file that cannot be read.
 */
function ignoresHangUp(): boolean {
  if (`/${process.env['_'] ?? ''}`.endsWith('/nohup')) return true;
  const ignored = readProc(`${process.ppid}/status`, 'SigIgn');
  const flags = readProc('self/fdinfo/0', 'flags');
  return (Number.parseInt(ignored.slice(-1), 16) & 1) === 1 || (Number.parseInt(flags, 8) & 3) === 1;
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // It is closed already.
  }
}

/** A line of a file: without expressions, which would be compiled at every start. */
function readProc(file: string, name: string): string {
  try {
    const text = `\n${readFileSync(`/proc/${file}`, 'utf8')}`;
    const [line = ''] = text.slice(text.indexOf(`\n${name}:`) + 1).split('\n', 1);
    return line.slice(name.length + 1).trim();
  } catch {
    // Only Linux tells.
    return '';
  }
}
