import {EXIT, endWith} from './exit-code.js';

let stopWork: (() => void) | undefined;

/** A first Ctrl-C or SIGTERM stops work that has to report what it did; any other ends the process at once. */
export function watchInterrupts(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopWork === undefined) process.exit(EXIT[signal]);
      endWith(EXIT[signal]);
      stopWork();
      stopWork = undefined;
    });
  }
}

/** What the first interrupt calls in place of ending the process. */
export function onInterrupt(stop: () => void): void {
  stopWork = stop;
}
