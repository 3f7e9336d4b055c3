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
  if (/(?:^|\/)nohup$/.test(process.env['_'] ?? '')) return true;
  const [, ignored = '0'] = /^SigIgn:\s*([\da-f]+)$/m.exec(readProc(`${process.ppid}/status`)) ?? [];
  const [, flags = '0'] = /^flags:\s*([0-7]+)$/m.exec(readProc('self/fdinfo/0')) ?? [];
  return (Number.parseInt(ignored.slice(-1), 16) & 1) === 1 || (Number.parseInt(flags, 8) & 3) === 1;
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // It is closed already.
  }
}

function readProc(name: string): string {
  try {
    return readFileSync(`/proc/${name}`, 'latin1');
  } catch {
    // Only Linux tells.
    return '';
  }
}
