import {readFileSync} from 'node:fs';

import {SIGNALS} from './exit-code.js';
import {reportWarning} from './report.js';

/** How often to look: a shell does not tell a process that it has been brought to the foreground. */
const LOOK_MS = 200;

/**
 * False while another process group has the terminal: reading from it, or changing its modes, would stop this process.
 */
export function isForeground(): boolean {
  let stat: string;
  try {
    stat = readFileSync('/proc/self/stat', 'latin1');
  } catch {
    // Only Linux tells.
    return true;
  }
  const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return terminal === '0' || group === foreground;
}

/** Waits until the process has the terminal. An interrupt still ends it, as it could not end a stopped process. */
export async function untilForeground(): Promise<void> {
  if (isForeground()) return;
  reportWarning('Waiting for the terminal, which another process has: use fg, or timeout --foreground.');
  while (!isForeground()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

/** Keeps libraries from changing the terminal's modes in the background, which would stop the process. */
export function guardRawMode(): void {
  const {stdin} = process;
  const setRawMode = stdin.setRawMode.bind(stdin);
  stdin.setRawMode = (isRaw) => (isForeground() ? setRawMode(isRaw) : stdin);
  // When Node.js exits it restores the modes, and in the background that would stop it for ever: a signal ends it
  // without.
  process.once('exit', (code) => {
    const [signal] = Object.entries(SIGNALS).find(([, one]) => one === code) ?? [];
    if (signal === undefined || isForeground()) return;
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
