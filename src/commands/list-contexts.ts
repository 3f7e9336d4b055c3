import {chooseServer} from '../cli/connection/choice.js';
import {readContextFile} from '../cli/connection/context-file.js';
import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag} from '../cli/oclif/flags.js';
import {CONTEXT_FORMATS, renderContexts} from '../cli/views/contexts.js';
import {unknownContext} from '../lib/contexts/config.js';

export default class ListContexts extends BaseCommand<typeof ListContexts> {
  static override summary = 'List named servers (contexts)';
  static override description = `Lists the contexts in the context file, and shows which one a command with the same flags would use, and why. It connects to nothing and prints no password.

The file is ~/.config/tokengate/config.yaml, unless XDG_CONFIG_HOME or TOKENGATE_CONFIG says otherwise. A command uses the first server that is given by: --context, --redis-url or --redis-url-file; TOKENGATE_CONTEXT, TOKENGATE_REDIS_URL or TOKENGATE_REDIS_URL_FILE; the default of the file; redis://localhost:6379.`;
  static group = 'Set-up';
  static override examples = [
    {
      description: 'Which servers are there, and which one is in effect?',
      command: '<%= config.bin %> <%= command.id %>',
    },
    {
      description: 'Names for a script',
      command: `<%= config.bin %> <%= command.id %> --json | jq -r '.[].name'`,
    },
  ];
  static related = ['add-context', 'remove-context', 'health'];

  static override flags = {
    format: formatFlag(CONTEXT_FORMATS),
  };

  protected override readonly isOffline = true;

  async run(): Promise<void> {
    const {json, format = json ? 'json' : 'table'} = this.flags;
    const choice = chooseServer(this.flags, this.typed);
    const {path, config} = await readContextFile();
    const inEffect = choice === undefined ? config.default : choice.kind === 'context' ? choice.value : undefined;
    if (inEffect !== undefined && !config.contexts.has(inEffect)) throw unknownContext(inEffect, config, path);
    await this.write(renderContexts(config, {format, inEffect}));
    if (format !== 'table') return;
    if (config.contexts.size === 0) this.print(`No contexts in ${path}`);
    this.print(`In effect: ${inEffect ?? 'no context'}, ${describeReason(choice?.by, inEffect)}`);
  }
}

function describeReason(by: string | undefined, inEffect: string | undefined): string {
  if (by !== undefined) return `by ${by}`;
  return inEffect === undefined ? 'but redis://localhost:6379' : 'by the default of the file';
}
