import {Args, Command, Flags} from '@oclif/core';

import {SETUPS, SHELLS} from '../../cli/completion/scripts.js';
import {writeOutput} from '../../cli/terminal/stdout.js';

export default class Autocomplete extends Command {
  static override summary = 'Show how to set up completion in bash, zsh, fish and PowerShell';
  static override description = `One line in the shell's start-up file is enough, and need not be renewed after an upgrade. Commands, flags, their values and the IDs of sessions in Redis are completed.`;
  static override examples = [
    {description: 'Show the line of each shell', command: '<%= config.bin %> <%= command.id %>'},
    {description: 'Set up bash until it ends', command: 'eval "$(<%= config.bin %> <%= command.id %> script bash)"'},
  ];

  static override args = {
    shell: Args.string({description: 'Show that of one shell', ignoreStdin: true, options: [...SHELLS]}),
  };
  static override flags = {
    'refresh-cache': Flags.boolean({
      char: 'r',
      description: 'Only renew the files of @oclif/plugin-autocomplete, for a set-up that uses those',
    }),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Autocomplete);
    if (flags['refresh-cache']) {
      await this.config.runCommand('autocomplete:create');
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
