import type {ChildProcess} from 'node:child_process';

import {type Output, runBinary} from './run.js';

/**
 * Runs the command, and strikes when this many lines of its report have been read. Nothing is read until the strike has
 * met its mark: a full pipe holds the command back, which could be through by then on a busy machine.
 */
export async function runAndStrike(
  argv: string[],
  options: {url: string; lines: number; strike: (child: ChildProcess) => unknown},
): Promise<Output> {
  let count = 0;
  return runBinary(argv, {
    url: options.url,
    onStart(child) {
      child.stdout!.on('data', (text: string) => {
        const before = count;
        count += text.split('\n').length - 1;
        if (before >= options.lines || count < options.lines) return;
        child.stdout!.pause();
        void Promise.resolve(options.strike(child)).finally(() => child.stdout!.resume());
      });
    },
  });
}
