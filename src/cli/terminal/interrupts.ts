import {closeSync, readFileSync} from 'node:fs';

import {EXIT, endWith, SIGNALS} from './exit-code.js';

let stopWork: ((code: number) => void) | undefined;
let isInterrupted = false;
const listeners = new Set<() => void>();

/**
 * A first Ctrl-C, Ctrl-\, SIGTERM or loss of the terminal stops work that has to report what it did; any other ends the
 * process at once. What listens for the end of the process is called then too.
 */
export function watchInterrupts(): void {
  const isNoHangUp = ignoresHangUp();
  process.once('exit', (code) => {
    // Node.js would put back the modes of a terminal that has gone, and crash where that fails.
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

/** What the first interrupt calls, with its exit code, in place of ending the process. Gives what takes it back. */
export function onInterrupt(stop: (code: number) => void): () => void {
  stopWork = stop;
  return () => {
    if (stopWork === stop) stopWork = undefined;
  };
}

/** Calls it at the first interrupt that did not end the process, at once when that has come. Gives what takes it back. */
export function whenInterrupted(listener: () => void): () => void {
  if (isInterrupted) listener();
  else listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * True when whoever started this process has it ignore the loss of its terminal. Node.js itself takes that back before any
 * code runs, so it is told by what is left of it: that the parent ignores it, and what `nohup` does besides, which the
 * shell names in a variable, and which gives a stdin that cannot be read in place of a terminal.
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
    const text = `\n${readFileSync(`/proc/${file}`, 'latin1')}`;
    const [line = ''] = text.slice(text.indexOf(`\n${name}:`) + 1).split('\n', 1);
    return line.slice(name.length + 1).trim();
  } catch {
    // Only Linux tells.
    return '';
  }
}
