import {spawn} from 'node:child_process';

import {BIN, NODE, userEnv} from './run.js';

export interface Terminal {
  /** Types characters, as a person at the keyboard would. */
  type(keys: string): void;
  /** Resolves when the screen has shown this text; rejects when the command ends without it. */
  shows(text: string): Promise<void>;
  /** Resolves with the exit code and all that was shown, when the command has ended. */
  ended: Promise<{code: number | null; screen: string}>;
}

interface TerminalOptions {
  url?: string | undefined;
  env?: Record<string, string>;
  /** More for the shell, such as `> file`. */
  redirect?: string;
  columns?: number;
}

/**
 * Runs the built binary with a terminal for all its streams. `script` opens the terminal, and passes on what it gets by
 * pipes, so no terminal is needed to run it.
 */
export function openTerminal(argv: string[], options: TerminalOptions = {}): Terminal {
  const {redirect = '', columns = 100} = options;
  const words = [NODE, BIN, ...argv].map(quote).join(' ');
  const child = spawn(
    'script',
    ['-qec', `stty cols ${columns} rows ${columns === 0 ? 0 : 30}; exec ${words} ${redirect}`, '/dev/null'],
    {
      env: {...userEnv(options), TERM: options.env?.['TERM'] ?? 'xterm-256color'},
      stdio: 'pipe',
    },
  );
  let screen = '';
  let watch = (): void => {
    // Nobody waits for anything yet.
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      watch();
    });
  }
  child.stdin.on('error', () => {
    // The command may end before it has read all that was typed.
  });
  const ended = new Promise<{code: number | null; screen: string}>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({code, screen});
    });
  });
  return {
    type: (keys) => void child.stdin.write(keys),
    ended,
    async shows(text) {
      const shown = new Promise<void>((resolve) => {
        watch = () => {
          if (screen.includes(text)) resolve();
        };
        watch();
      });
      await Promise.race([
        shown,
        ended.then(({code}) => {
          if (!screen.includes(text)) throw new Error(`ended with ${code} before it showed '${text}':\n${screen}`);
        }),
      ]);
    },
  };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
