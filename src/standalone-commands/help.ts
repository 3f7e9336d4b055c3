import {Args, Command, loadHelpClass} from '@oclif/core';

export default class Help extends Command {
  static override summary = 'Show help for a command or a topic';
  static override description = `Without a name, the commands by what they are for. Every command has the same page under --help.`;
  static override examples = [
    {description: 'How to freeze a session', command: '<%= config.bin %> <%= command.id %> freeze-session'},
    {description: 'The flags that every command takes', command: '<%= config.bin %> <%= command.id %> flags'},
  ];
  static group = 'Set-up';
  static related = ['autocomplete'];
  static override strict = false;

  static override args = {
    command: Args.string({
      description: 'A command, or commands, flags, environment or exit-codes',
      ignoreStdin: true,
    }),
  };

  async run(): Promise<void> {
    const HelpClass = await loadHelpClass(this.config);
    await new HelpClass(this.config).showHelp(this.argv);
  }
}
