import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';

import {BIN, NODE, userEnv} from './run.js';

export interface Terminal {
  /** Types characters like a person at the keyboard. */
  type(keys: string): void;
  /** Resolves when the screen has shown this text; rejects when the command ends without it. */
  shows(text: string): Promise<void>;
  /** Resolves when the condition holds for the screen; rejects if the command ends without it. */
  until(isThere: (screen: string) => boolean, what: string): Promise<void>;
  /** Sends a signal to the command. */
  signal(signal: NodeJS.Signals): void;
  /** Closes the terminal, as when a window is closed or a connection is lost. */
  hangUp(): void;
  /** Resolves with the exit code and everything shown, when the command has ended. */
  ended: Promise<{code: number | null; screen: string}>;
}

interface TerminalOptions {
  url?: string | undefined;
  env?: Record<string, string>;
  /** More for the shell, such as `> file`. */
  redirect?: string;
  columns?: number;
  /** The shell's line in place of the command itself, with the words of the command. */
  line?: (words: string) => string;
}

/**
 * Runs the built binary with a terminal for all its streams. `script` opens the terminal and passes data through pipes,
 * so the test itself needs no terminal.
 */
export function openTerminal(argv: string[], options: TerminalOptions = {}): Terminal {
  const {redirect = '', columns = 100, line = (command: string) => `exec ${command}`} = options;
  const words = [NODE, BIN, ...argv].map(quote).join(' ');
  const child = spawn(
    'script',
    ['-qec', `stty cols ${columns} rows ${columns === 0 ? 0 : 30}; ${line(`${words} ${redirect}`)}`, '/dev/null'],
    {
      env: {...userEnv(options), TERM: options.env?.['TERM'] ?? 'xterm-256color'},
      stdio: 'pipe',
    },
  );
  let screen = '';
  let watch = (): void => {
    // Nobody is waiting yet.
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      watch();
    });
  }
  child.stdin.on('error', () => {
    // The command may end before it has read everything that was typed.
  });
  const ended = new Promise<{code: number | null; screen: string}>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({code, screen});
    });
  });
  const until: Terminal['until'] = async (isThere, what) => {
    const shown = new Promise<void>((resolve) => {
      watch = () => {
        if (isThere(screen)) resolve();
      };
      watch();
    });
    const over = ended.then(({code}) => {
      if (!isThere(screen)) throw new Error(`ended with ${code} before ${what}:\n${screen}`);
    });
    await Promise.race([shown, over]);
  };
  return {
    type: (keys) => void child.stdin.write(keys),
    signal: (signal) =>
      process.kill(Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')), signal),
    hangUp: () => void child.kill('SIGKILL'),
    ended,
    until,
    shows: (text) => until((shown) => shown.includes(text), `it showed '${text}'`),
  };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
