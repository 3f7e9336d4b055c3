/** Exit codes of a process that a signal has ended. */
export const SIGNALS = {SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143} as const;

/** All exit codes; docs/reference/exit-codes.md explains them to users. */
export const EXIT = {failed: 1, found: 2, ...SIGNALS} as const;

/**
 * Sets the exit code. A signal outranks a failure, and a failure outranks a finding: a finding that could not be
 * reported is a failure. Of two of a kind, the first counts.
 */
export function endWith(code: number): void {
  if (process.exitCode === undefined || rankOf(code) > rankOf(Number(process.exitCode))) process.exitCode = code;
}

function rankOf(code: number): number {
  if (code > 128) return 3;
  return code === EXIT.found ? 1 : 2;
}
