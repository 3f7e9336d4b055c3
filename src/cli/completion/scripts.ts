import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

const FILES: Record<Shell, string> = {
  bash: 'tokengate.bash',
  zsh: 'tokengate.zsh',
  fish: 'tokengate.fish',
  powershell: 'tokengate.ps1',
};

/**
 * The line that sets up a shell, and the start-up file for it. If the program is gone, the shell prints nothing. fish
 * prefers its own folder of completions to those that it derives from man pages, and never mixes them.
 */
export const SETUPS: Record<Shell, {name: string; file: string; line: string}> = {
  bash: {
    name: 'bash',
    file: '~/.bashrc',
    line: 'command -v tokengate >/dev/null && eval "$(tokengate autocomplete script bash)"',
  },
  zsh: {
    name: 'zsh',
    file: '~/.zshrc',
    line: 'command -v tokengate >/dev/null && eval "$(tokengate autocomplete script zsh)"',
  },
  fish: {
    name: 'fish',
    file: '~/.config/fish/completions/tokengate.fish',
    line: 'type -q tokengate; and tokengate autocomplete script fish | source',
  },
  powershell: {
    name: 'PowerShell',
    file: '$PROFILE',
    line: 'if (Get-Command tokengate -ErrorAction Ignore) { tokengate autocomplete script powershell | Out-String | Invoke-Expression }',
  },
};

/** Start-up files below the home folder that may hold the line. */
export const START_FILES = [
  '.bashrc',
  '.bash_profile',
  '.zshrc',
  '.config/fish/config.fish',
  '.config/fish/completions/tokengate.fish',
  '.config/powershell/Microsoft.PowerShell_profile.ps1',
];

/** True for a line that only sets up completion, in the present form of `autocomplete` or an earlier one. */
export function isSetupLine(line: string): boolean {
  const bare = Object.values(SETUPS).map((setup) => setup.line);
  const before = SHELLS.flatMap((shell) => [
    `eval "$(tokengate autocomplete script ${shell})"`,
    `tokengate autocomplete script ${shell} | source`,
    `tokengate autocomplete script ${shell} | Out-String | Invoke-Expression`,
  ]);
  return [...bare, ...before].includes(line.trim());
}

/**
 * The script that teaches a shell to complete. It holds no commands: at each TAB it asks the installed `tokengate`, so
 * it never goes out of date.
 *
 * @param root the package's folder
 */
export function readScript(shell: Shell, root: string): Promise<string> {
  return readFile(join(root, 'completions', FILES[shell]), 'utf8');
}
