const EXIT_CODES = {SIGINT: 130, SIGTERM: 143} as const;

let stopWork: (() => void) | undefined;

/** A first Ctrl-C or SIGTERM stops work that has to report what it did; any other ends the process at once. */
export function watchInterrupts(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) {
    process.on(signal, () => {
      if (stopWork === undefined) process.exit(code);
      process.exitCode = code;
      stopWork();
      stopWork = undefined;
    });
  }
}

/** What the first interrupt calls in place of ending the process. */
export function onInterrupt(stop: () => void): void {
  stopWork = stop;
}
