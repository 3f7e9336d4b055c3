import {Args, Command} from '@oclif/core';

import {readScript, type Shell, SHELLS} from '../../cli/completion/scripts.js';
import {writeOutput} from '../../cli/terminal/stdout.js';

export default class AutocompleteScript extends Command {
  static override summary = 'Print the completion script of a shell';
  static override description = `For the line that <%= config.bin %> autocomplete shows, or for a file in the shell's completions folder.`;
  static override examples = [
    {
      description: 'Try it in the current zsh',
      command: 'eval "$(<%= config.bin %> <%= command.id %> zsh)"',
    },
    {
      description: 'Set it up for all users of a machine',
      command: '<%= config.bin %> <%= command.id %> bash > /etc/bash_completion.d/tokengate',
    },
  ];

  static override args = {
    shell: Args.string({
      description: 'Shell to print the script for',
      ignoreStdin: true,
      options: [...SHELLS],
      required: true,
    }),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(AutocompleteScript);
    await writeOutput([await readScript(args.shell as Shell, this.config.root)]);
  }
}
