import {readFile} from 'node:fs/promises';

/** Resolves when a process has ended, that need not be a child of this one. */
export async function untilEnded(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    // A process that has ended and that nobody has asked after is still there.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    if (stat.includes(') Z')) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
