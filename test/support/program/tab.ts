import {spawn} from 'node:child_process';
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {userEnv} from './run.js';

export type ShellName = 'bash' | 'zsh' | 'fish';

export interface InteractiveShell {
  /** Its start-up file, where a user would look for it. */
  readonly file: string;
  /** Types keys, such as TABs, on an empty line, and returns the resulting line. It is not run. */
  lineAfter(keys: string): Promise<string>;
  /** Runs a line, and returns everything shown until the shell is ready again. */
  run(keys: string): Promise<string>;
  close(): Promise<void>;
}

interface Options {
  /** The home folder for the start-up file. */
  home: string;
  /** More lines for the start-up file, after those that the test needs. */
  setup: string;
  url?: string | undefined;
  env?: Record<string, string>;
}

const PROMPT = 'ready>';
const CLEAR = '\x15';
const SHOW = '\x18\x04';
const AS_HEX = "od -An -v -tx1 | tr -d ' \\n'";

/** How to start each shell, where its start-up file is, and how it shows its line as `<<hex>>` on Ctrl-X Ctrl-D. */
const SHELLS: Record<ShellName, {start: string; file: string; setupFile?: string; prepare: string}> = {
  bash: {
    start: 'bash',
    file: '.bashrc',
    prepare: `PS1='${PROMPT}'; bind 'set enable-bracketed-paste off'
show() { printf '<<%s>>' "$(printf %s "$READLINE_LINE" | ${AS_HEX})"; }
bind -x '"\\C-x\\C-d": show'`,
  },
  zsh: {
    start: 'zsh',
    file: '.zshrc',
    prepare: `PS1='${PROMPT}'; unsetopt promptsp zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste
show() { print -n -- "<<$(print -rn -- "$BUFFER" | ${AS_HEX})>>" }
zle -N show; bindkey '^X^D' show`,
  },
  fish: {
    start: 'fish',
    file: '.config/fish/config.fish',
    setupFile: '.config/fish/completions/tokengate.fish',
    prepare: `function fish_prompt; printf '${PROMPT}'; end; set -g fish_greeting
function show; printf '<<%s>>' (commandline -b | string collect | ${AS_HEX}); end
bind \\cx\\cd show`,
  },
};

/** A real shell in a terminal of its own, with `setup` in its start-up file. */
export async function openShell(name: ShellName, {home, setup, url, env = {}}: Options): Promise<InteractiveShell> {
  const {start, file, setupFile = file, prepare} = SHELLS[name];
  const [path, setupPath] = [join(home, file), join(home, setupFile)];
  for (const one of [path, setupPath]) await mkdir(dirname(one), {recursive: true});
  // Otherwise fish would generate completions into it during the whole test.
  await mkdir(join(home, '.local/share/fish/generated_completions'), {recursive: true});
  await writeFile(path, `${prepare}\n${setupFile === file ? setup : ''}\n`);
  if (setupFile !== file) await writeFile(setupPath, `${setup}\n`);
  const child = spawn('script', ['-qec', `stty cols 200 rows 300; exec ${start} -i`, '/dev/null'], {
    env: {
      ...userEnv({url, env}),
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      LANG: 'C.UTF-8',
      TERM: 'xterm',
      SHELL: '/bin/sh',
    },
    stdio: 'pipe',
    cwd: home,
  });
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
    // It may have ended.
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
  });
  /** Resolves with the match when the text since `from` matches. */
  const shown = async (pattern: RegExp, from: number): Promise<RegExpExecArray> =>
    Promise.race([
      new Promise<RegExpExecArray>((resolve) => {
        watch = () => {
          const match = pattern.exec(screen.slice(from));
          if (match) resolve(match);
        };
        watch();
      }),
      ended.then(() => Promise.reject(new Error(`${name} ended:\n${screen}`))),
    ]);
  await shown(new RegExp(PROMPT), 0);
  return {
    file: `~/${setupFile}`,
    async lineAfter(keys) {
      const from = screen.length;
      child.stdin.write(keys + SHOW);
      const [, hex = ''] = await shown(/<<([0-9a-f]*)>>/, from);
      child.stdin.write(CLEAR);
      return Buffer.from(hex, 'hex').toString();
    },
    async run(keys) {
      const from = screen.length;
      child.stdin.write(`${keys}\r`);
      await shown(new RegExp(`\\n[^]*${PROMPT}`), from);
      return screen.slice(from);
    },
    async close() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
