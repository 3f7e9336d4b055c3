import {type Command, CommandHelp, Help} from '@oclif/core';

import {unknownCommand} from '../terminal/did-you-mean.js';
import {renderNames, wrapAscii} from './help-rendering.js';
import {
  environmentOf,
  EXAMPLES,
  exitCodesOf,
  EXIT_CODES,
  LEARN_MORE,
  type MoreHelp,
  relatedTo,
  type Rows,
} from './help-texts.js';

type Flags = Command.Flag.Any[];
type Row = [string, string | undefined];

/** More flags than these make the line of the usage unreadable. */
const FLAGS_IN_USAGE = 4;

/** The help of oclif with what else one has to know: exit codes, environment, and where to read on. */
export default class TokengateHelp extends Help {
  protected override CommandHelpClass = TokengateCommandHelp;
  constructor(...options: ConstructorParameters<typeof Help>) {
    super(...options);
    this.render = renderNames({'config.bin': this.config.bin}, this.render);
  }

  override wrap(body: string, spacing = this.indentSpacing): string {
    return wrapAscii(this.render(body), this.opts.maxWidth - spacing) ?? super.wrap(body, spacing);
  }

  /** oclif's goes through `util.format()` and the console, which are not loaded for anything else. */
  protected override log(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  override async showHelp(argv: string[]): Promise<void> {
    const words = argv.filter((word) => word !== 'help' && !word.startsWith('-'));
    const [first] = words;
    if (first === undefined) return this.showRootHelp();
    const longest = [words.slice(0, 2).join(':'), first]
      .map((id) => this.config.findCommand(id))
      .find((one) => one !== undefined);
    if (longest !== undefined) return this.showCommandHelp(longest);
    throw unknownCommand(first, this.config);
  }

  protected override showRootHelp(): Promise<void> {
    const commands = this.sortedCommands.filter(({id}) => !id.includes(':'));
    const health = this.config.findCommand('health', {must: true});
    const globals = Object.values(health.flags)
      .filter(isGlobal)
      .sort((a, b) => Number(b.char !== undefined) - Number(a.char !== undefined));
    const globalFlags = new TokengateCommandHelp(health, this.config, this.opts).listFlags(globals);
    const {bin, pjson, version} = this.config;
    const sections = [
      String(pjson['description']),
      this.section('VERSION', `${bin}/${version}`),
      this.section('USAGE', `$ ${bin} COMMAND [ARGUMENTS] [FLAGS]`),
      this.section(
        'COMMANDS',
        commands.map((command): Row => [command.id, this.summary(command)]),
      ),
      this.section('GLOBAL FLAGS', globalFlags),
      this.section('EXAMPLES', EXAMPLES.map(([what, command]) => `${what}\n\n  $ ${command}`).join('\n\n')),
      this.section('EXIT CODES', toRows(EXIT_CODES)),
      this.section('ENVIRONMENT', toRows(environmentOf(globals))),
      this.section('LEARN MORE', toRows(LEARN_MORE)),
    ];
    this.log(`${sections.join('\n\n')}\n`);
    return Promise.resolve();
  }

  override async showCommandHelp(command: Command.Loadable): Promise<void> {
    this.log(`${this.summary(command) ?? ''}\n\n${this.formatCommand(command)}\n`);
    return Promise.resolve();
  }
}

class TokengateCommandHelp extends CommandHelp {
  constructor(...options: ConstructorParameters<typeof CommandHelp>) {
    super(...options);
    this.render = renderNames({'config.bin': this.config.bin, 'command.id': this.command.id}, this.render);
  }

  override wrap(body: string, spacing = this.indentSpacing): string {
    return wrapAscii(this.render(body), this.opts.maxWidth - spacing) ?? super.wrap(body, spacing);
  }

  listFlags(flags: Flags): Row[] {
    return this.flags(flags) ?? [];
  }

  /** In the same order everywhere; the global ones come last. */
  protected override groupFlags(flags: Flags): {flagGroups: Record<string, Flags>; mainFlags: Flags} {
    const {flagGroups, mainFlags} = super.groupFlags(flags);
    const names = Object.keys(flagGroups).sort(
      (a, b) => Number(isGlobal({helpGroup: a})) - Number(isGlobal({helpGroup: b})) || (a < b ? 1 : -1),
    );
    return {mainFlags, flagGroups: Object.fromEntries(names.map((name) => [name, flagGroups[name] ?? []]))};
  }

  /** oclif repeats the summary, which stands above. */
  protected override description(): string | undefined {
    const {summary, description} = this.command;
    return summary !== undefined && description ? this.wrap(description) : undefined;
  }

  protected override defaultUsage(): string {
    const {id, args, flags} = this.command;
    const words = Object.values(args)
      .filter(({hidden}) => !hidden)
      .map(({name, required, multiple}) => {
        const word = `${name.toUpperCase()}${multiple ? '...' : ''}`;
        return required ? word : `[${word}]`;
      });
    const own = Object.values(flags).filter((flag) => !isGlobal(flag) && !flag.hidden);
    const usages = own.map((flag) => {
      const value =
        flag.type === 'option'
          ? ` ${flag.options?.join('|') ?? String(flag.helpValue ?? flag.name.toUpperCase())}`
          : '';
      return flag.required ? `--${flag.name}${value}` : `[--${flag.name}${value}]`;
    });
    return [id, ...words, ...(usages.length > FLAGS_IN_USAGE ? ['[FLAGS]'] : usages)].join(' ');
  }

  protected override sections(): ReturnType<CommandHelp['sections']> {
    const shown = super.sections().filter(({header}) => header !== 'FLAG DESCRIPTIONS' && header !== 'ALIASES');
    const command = this.command as MoreHelp;
    const related = relatedTo(command, this.config.commands);
    const more = [
      {header: 'EXIT CODES', body: toTable(exitCodesOf(command))},
      {
        header: 'ENVIRONMENT',
        body: toTable(environmentOf(Object.values(this.command.flags).filter(isGlobal), command)),
      },
      {header: 'SEE ALSO', body: related.map((id) => `${this.config.bin} help ${id.replaceAll(':', ' ')}`).join('\n')},
    ];
    const filled = more.filter(({body}) => body.length > 0);
    return [...shown, ...filled.map(({header, body}) => ({header, generate: () => ({header, body})}))];
  }
}

function isGlobal({helpGroup}: {helpGroup?: string | undefined}): boolean {
  return helpGroup === 'GLOBAL';
}

function toRows(rows: Rows): Row[] {
  return rows.map(([term, meaning]) => [term, meaning]);
}

function toTable(rows: Rows): {name: string; description: string}[] {
  return rows.map(([name, description]) => ({name, description}));
}
