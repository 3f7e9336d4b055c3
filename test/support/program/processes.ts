import {readFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';

import {until} from '../until.js';

/** Resolves when a process has ended, even if it is not a child of this one. */
export async function untilEnded(pid: number): Promise<void> {
  await until(async () => {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    // An ended process stays visible until its parent asks for it.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    return stat.includes(') Z');
  });
}

/** Whether a process waits for something, and not only for its turn. */
export function isAsleep(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') S');
}
