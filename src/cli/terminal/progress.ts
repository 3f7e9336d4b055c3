import type {SingleBar} from 'cli-progress';

export interface Progress {
  /** Call after each chunk, with the number of sessions that are done in all. */
  update(count: number): Promise<void>;
  /** Call before any other output, which the bar would garble. */
  hide(): void;
  stop(): void;
}

/** Work that ends sooner shows no progress. */
const PATIENCE_MS = 1000;
/** Pause between two plain lines, where no terminal can show a bar. */
const LINE_MS = 5000;

const SILENT: Progress = {
  update: () => Promise.resolve(),
  hide() {
    // There is no bar to hide.
  },
  stop() {
    // There is no bar to stop.
  },
};

/**
 * Shows the progress of a batch on stderr once it has taken longer than a second: a bar on a terminal, else plain
 * lines.
 */
export function showProgress(total: number, {isQuiet}: {isQuiet: boolean}): Progress {
  if (isQuiet) return SILENT;
  const start = performance.now();
  return process.stderr.isTTY ? barProgress(total, start) : lineProgress(total, start);
}

function barProgress(total: number, start: number): Progress {
  let bar: SingleBar | undefined;
  // Stop it instead of clearing it: a running bar moves the cursor back to its start.
  const hide = (): void => {
    bar?.stop();
    bar = undefined;
  };
  // A second Ctrl-C ends the process while the bar is visible.
  process.once('exit', hide);
  // The bar leaves the cursor and line wrapping alone, so that nothing has to be restored however the process ends.
  const terminal = {stream: process.stderr, linewrap: true, clearOnComplete: true};
  return {
    async update(count) {
      const seconds = (performance.now() - start) / 1000;
      if (seconds * 1000 < PATIENCE_MS || count === total) return;
      const {SingleBar} = await import('cli-progress');
      const rate = Math.round(count / seconds);
      const left = formatSeconds((total - count) / Math.max(rate, 1));
      const format = '{bar} {value}/{total}, {rate} a second, {left} left';
      hide();
      bar = new SingleBar({...terminal, format, barsize: 30});
      bar.start(total, count, {rate, left});
    },
    hide,
    stop() {
      hide();
      process.removeListener('exit', hide);
    },
  };
}

function lineProgress(total: number, start: number): Progress {
  let next = start + PATIENCE_MS;
  return {
    ...SILENT,
    update(count) {
      const now = performance.now();
      if (now >= next && count < total) {
        next = now + LINE_MS;
        const rate = Math.round((count / (now - start)) * 1000);
        process.stderr.write(`${count} of ${total}, ${rate} a second\n`);
      }
      return Promise.resolve();
    },
  };
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
