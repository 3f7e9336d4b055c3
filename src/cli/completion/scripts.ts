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

/** The line that sets a shell up, and the start-up file that it belongs into. */
export const SETUPS: Record<Shell, {name: string; file: string; line: string}> = {
  bash: {name: 'bash', file: '~/.bashrc', line: 'eval "$(tokengate autocomplete script bash)"'},
  zsh: {name: 'zsh', file: '~/.zshrc', line: 'eval "$(tokengate autocomplete script zsh)"'},
  fish: {name: 'fish', file: '~/.config/fish/config.fish', line: 'tokengate autocomplete script fish | source'},
  powershell: {
    name: 'PowerShell',
    file: '$PROFILE',
    line: 'tokengate autocomplete script powershell | Out-String | Invoke-Expression',
  },
};

/**
 * What a shell runs to know how to complete. The scripts hold no commands: at each TAB they ask the `tokengate` that is
 * installed, so they need not change with it.
 *
 * @param root the package's folder
 */
export function readScript(shell: Shell, root: string): Promise<string> {
  return readFile(join(root, 'completions', FILES[shell]), 'utf8');
}
