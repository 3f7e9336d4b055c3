import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {removeSetups} from '../../../../src/cli/completion/remove.js';
import {readScript, SETUPS} from '../../../../src/cli/completion/scripts.js';
import {ROOT} from '../../../support/root.js';

let home: string;
beforeEach(async () => (home = await mkdtemp(join(tmpdir(), 'tokengate-home-'))));
afterEach(() => rm(home, {recursive: true}));

const FISH = '.config/fish/completions/tokengate.fish';

async function write(name: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(home, name)), {recursive: true});
  await writeFile(join(home, name), text, {mode});
}

const read = (name: string): Promise<string> => readFile(join(home, name), 'utf8');

describe('removing what sets completion up', () => {
  test.each([
    ['.bashrc', SETUPS.bash.line],
    ['.bash_profile', 'eval "$(tokengate autocomplete script bash)"'],
    ['.zshrc', SETUPS.zsh.line],
    ['.config/fish/config.fish', 'tokengate autocomplete script fish | source'],
    ['.config/powershell/Microsoft.PowerShell_profile.ps1', SETUPS.powershell.line],
  ])('the line in %s goes, and nothing else', async (name, line) => {
    await write(name, `before\n  ${line}\nafter\n`, 0o600);
    expect(await removeSetups(home)).toContain(`Removed from ~/${name}.`);
    expect(await read(name)).toBe('before\nafter\n');
    expect((await stat(join(home, name))).mode & 0o777).toBe(0o600);
  });

  test('a file that holds nothing else goes', async () => {
    await write(FISH, `${SETUPS.fish.line}\n`);
    await removeSetups(home);
    expect(await readdir(join(home, dirname(FISH)))).toEqual([]);
    await write(FISH, await readScript('fish', ROOT));
    await removeSetups(home);
    expect(await readdir(join(home, dirname(FISH)))).toEqual([]);
  });

  test('a line that does more stays, and is named', async () => {
    const line = `test -f x && ${SETUPS.bash.line}\u001b[2J`;
    await write('.bashrc', `${line}\n# tokengate autocomplete\n`);
    const said = await removeSetups(home);
    expect(await read('.bashrc')).toContain(line);
    expect(said).toMatch(/Left in ~\/\.bashrc, since it does more: test -f x/);
    expect(said).not.toContain('\u001b');
  });

  test('without any it says so', async () => {
    await write('.bashrc', 'alias ll="ls -l"\n');
    expect(await removeSetups(home)).toBe('No start-up file sets completion up.\n');
  });
});
