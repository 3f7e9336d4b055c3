import {type ChildProcess, execFileSync, spawn} from 'node:child_process';

import {Terminal} from '@xterm/headless';

import {BIN, userEnv} from './run.js';

/** A running program in a terminal whose screen a test can read. */
export interface Screen {
  /** The lines of the screen, without blanks at their ends. */
  lines(): string[];
  /** The line that holds this text. */
  line(text: string): string;
  /** Resolves when the condition holds for the screen; rejects if the program ends before. */
  until(isThere: (screen: string) => boolean, what: string): Promise<void>;
  shows(text: string): Promise<void>;
  /** Types characters like a person at the keyboard. */
  type(keys: string): void;
  resize(columns: number, rows: number): void;
  signal(signal: NodeJS.Signals): void;
  /** True while the shell's own lines are hidden. */
  readonly isAlternate: boolean;
  /** Everything that was written. */
  readonly output: string;
  /** Resolves when the program has ended, with its exit code and the state in which it left the terminal. */
  readonly ended: Promise<{code: number; modes: string; isAlternate: boolean; hasCursor: boolean; wraps: boolean}>;
  kill(): void;
}

interface ScreenOptions {
  url?: string | undefined;
  env?: Record<string, string>;
  columns?: number;
  rows?: number;
}

/** Runs the built binary. `script` opens the terminal; @xterm/headless shows what a person would see. */
export function openScreen(argv: string[], {columns = 100, rows = 30, ...options}: ScreenOptions): Screen {
  const terminal = new Terminal({cols: columns, rows, allowProposedApi: true});
  const words = [process.execPath, BIN, ...argv].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
  const line = [
    `stty cols ${columns} rows ${rows}`,
    `sh -c 'echo "@pid=$$ tty=$(tty)@"; exec "$@"' sh ${words}`,
    'echo "@code=$?@"',
    'stty -a',
  ].join('; ');
  const child: ChildProcess = spawn('script', ['-qec', line, '/dev/null'], {
    env: {...userEnv(options), TERM: options.env?.['TERM'] ?? 'xterm-256color'},
    stdio: 'pipe',
  });
  let output = '';
  let watchers: (() => void)[] = [];
  const lines = (): string[] => {
    const {active} = terminal.buffer;
    return Array.from(
      {length: terminal.rows},
      (_, y) =>
        active
          .getLine(active.baseY + y)
          ?.translateToString(true)
          .trimEnd() ?? '',
    );
  };
  child.stdout?.on('data', (bytes: Buffer) => {
    output += bytes.toString('latin1');
    terminal.write(bytes, () => {
      for (const watcher of watchers) watcher();
    });
  });
  child.stdin?.on('error', () => {
    // The program may end before it has read everything that was typed.
  });
  const find = (pattern: RegExp): string => pattern.exec(output)?.[1] ?? '';
  const ended = new Promise<Awaited<Screen['ended']>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      terminal.write('', () => {
        const after = output.slice(output.lastIndexOf('@code='));
        resolve({
          code: Number(find(/@code=(\d+)@/)),
          modes: (after.match(/ -?(icanon|echo)\b/g) ?? [])
            .map((mode) => mode.trim())
            .sort()
            .join(' '),
          isAlternate: terminal.buffer.active.type === 'alternate',
          hasCursor: output.lastIndexOf('\x1b[?25h') >= output.lastIndexOf('\x1b[?25l'),
          wraps: terminal.modes.wraparoundMode,
        });
      });
    });
  });
  const until: Screen['until'] = async (isThere, what) => {
    let watcher!: () => void;
    const there = new Promise<void>((resolve) => {
      watcher = () => {
        if (isThere(lines().join('\n'))) resolve();
      };
      watchers.push(watcher);
      watcher();
    });
    const over = ended.then(({code}) => {
      watcher();
      throw new Error(`ended with ${code} before ${what}:\n${lines().join('\n')}`);
    });
    try {
      await Promise.race([there, over]);
    } finally {
      over.catch(() => undefined);
      watchers = watchers.filter((one) => one !== watcher);
    }
  };
  return {
    lines,
    line: (text) => lines().find((one) => one.includes(text)) ?? '',
    until,
    shows: (text) => until((screen) => screen.includes(text), `it showed '${text}'`),
    type: (keys) => void child.stdin?.write(keys),
    resize(newColumns, newRows) {
      terminal.resize(newColumns, newRows);
      execFileSync('stty', ['-F', find(/tty=(\S+)@/), 'cols', String(newColumns), 'rows', String(newRows)]);
    },
    signal: (signal) => process.kill(Number(find(/@pid=(\d+)/)), signal),
    get isAlternate() {
      return terminal.buffer.active.type === 'alternate';
    },
    get output() {
      return output;
    },
    ended,
    kill: () => void child.kill('SIGKILL'),
  };
}
