import {homedir} from 'node:os';

import {Args, Command, Flags} from '@oclif/core';

import {removeSetups} from '../../cli/completion/remove.js';
import {SETUPS, SHELLS} from '../../cli/completion/scripts.js';
import {writeOutput} from '../../cli/terminal/stdout.js';

export default class Autocomplete extends Command {
  static override summary = 'Set up completion in bash, zsh, fish or PowerShell';
  static group = 'Set-up';
  static override description = `Shows the line to add to the shell's start-up file. It completes commands, flags, values and the IDs of sessions in Redis, and need not be changed after an upgrade.`;
  static override examples = [
    {description: 'Show the line of each shell', command: '<%= config.bin %> <%= command.id %>'},
    {description: 'Remove it again', command: '<%= config.bin %> <%= command.id %> --remove'},
    {description: 'Try it in the current bash', command: 'eval "$(<%= config.bin %> <%= command.id %> script bash)"'},
  ];

  static override args = {
    shell: Args.string({description: 'Shell to set up', ignoreStdin: true, options: [...SHELLS]}),
  };
  static override flags = {
    remove: Flags.boolean({description: 'Remove the lines and files that set completion up'}),
    'refresh-cache': Flags.boolean({
      char: 'r',
      description: 'Renew the files of @oclif/plugin-autocomplete, for a set-up that uses them',
    }),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Autocomplete);
    if (flags['refresh-cache']) {
      await this.config.runCommand('autocomplete:create');
      return;
    }
    if (flags.remove) {
      await writeOutput([await removeSetups(homedir())]);
      return;
    }
    const shells = SHELLS.filter((shell) => args.shell === undefined || args.shell === shell);
    const setups = shells.map((shell) => SETUPS[shell]);
    await writeOutput([
      `Add the line of your shell to its start-up file, and open a new terminal:\n`,
      ...setups.map(({name, file, line}) => `\n${name}, in ${file}:\n  ${line}\n`),
      `\nThen press TAB: tokengate get-b<TAB> completes the command, a TAB after it the IDs of your sessions.\n`,
    ]);
  }
}
