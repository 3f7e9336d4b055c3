import {Args} from '@oclif/core';

import {readContextFile, writeContextFile} from '../cli/connection/context-file.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag} from '../cli/oclif/flags.js';
import {removeContext} from '../lib/contexts/edit.js';

interface Removed {
  name: string;
  was_default: boolean;
  file: string;
}

export default class RemoveContext extends BaseCommand<typeof RemoveContext> {
  static override summary = 'Remove the name of a server';
  static override description = `Removes a context from the context file (see list-contexts). The rest of the file and its comments stay. The server itself is not touched.`;
  static group = 'Set-up';
  static override examples = [
    {description: 'Remove a context', command: '<%= config.bin %> <%= command.id %> staging'},
    {description: 'From a script', command: '<%= config.bin %> <%= command.id %> staging --json'},
  ];
  static related = ['list-contexts', 'add-context'];

  static override args = {
    name: Args.string({description: 'Name of the context', ignoreStdin: true, required: true}),
  };
  static override flags = {format: answerFormatFlag()};

  protected override readonly isOffline = true;

  async run(): Promise<Removed> {
    const {name} = this.args;
    const file = await readContextFile();
    const {text, config, wasDefault} = await removeContext(file, name);
    await writeContextFile(file, {text, isSecret: config.isSecret});
    this.isChange = true;
    this.print(`✓ Context '${name}' removed from ${file.path}`);
    if (wasDefault) this.print('It was the default: now there is none.');
    return {name, was_default: wasDefault, file: file.path};
  }
}
