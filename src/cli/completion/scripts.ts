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
 * The line that sets a shell up, and the start-up file that it belongs into. A shell says nothing when the program is gone.
 * fish reads its own folder of completions before those that it has made of man pages, and mixes no others with them.
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

/** Start-up files, below the home folder, in which a line may set completion up. */
export const START_FILES = [
  '.bashrc',
  '.bash_profile',
  '.zshrc',
  '.config/fish/config.fish',
  '.config/fish/completions/tokengate.fish',
  '.config/powershell/Microsoft.PowerShell_profile.ps1',
];

/** True for a line that does nothing but set completion up, as `autocomplete` shows it now or did before. */
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
 * What a shell runs to know how to complete. The scripts hold no commands: at each TAB they ask the `tokengate` that is
 * installed, so they need not change with it.
 *
 * @param root the package's folder
 */
export function readScript(shell: Shell, root: string): Promise<string> {
  return readFile(join(root, 'completions', FILES[shell]), 'utf8');
}
