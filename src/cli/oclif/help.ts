import type {Command, Interfaces} from '@oclif/core';

import {TOPICS} from '../completion/help-topics.js';
import {shortNamesOf} from '../completion/other-spellings.js';
import {bold} from '../text/colour.js';
import {unknownCommand} from '../text/did-you-mean.js';
import {globalFlagsOf} from './global-flags.js';
import {
  environmentOf,
  EXIT_CODES,
  groupCommands,
  type MoreHelp,
  ownFlagsOf,
  relatedTo,
  type Rows,
} from './help-texts.js';

type Shown = Command.Loadable & MoreHelp;

/** Maximum number of characters for flags in the usage line. */
const FLAGS_IN_USAGE = 40;
const WIDTH = {least: 40, usual: 80, most: 100};
/** The meaning of a longer term goes on the next line. */
const LONGEST_TERM = 26;

/**
 * The help, in place of oclif's: the most needed parts come first, and what applies to all commands has pages of its
 * own. oclif calls only these two methods.
 */
export default class TokengateHelp {
  private readonly commands: Shown[];

  constructor(private readonly config: Interfaces.Config) {
    this.commands = config.commands;
  }

  showHelp(argv: string[]): Promise<void> {
    const typed = argv.filter((word) => !word.startsWith('-'));
    const words = typed[0] === 'help' && typed.length > 1 ? typed.slice(1) : typed;
    const [first] = words;
    // A flag alone asks for the general help: `tokengate --help`.
    if (first === undefined) return show(this.rootPage());
    const [command] = [words.slice(0, 2).join(':'), first].flatMap((id) => this.config.findCommand(id) ?? []);
    if (command !== undefined) return this.showCommandHelp(command);
    const topic = [words.join('-'), first].find((name) => Object.hasOwn(TOPICS, name));
    if (topic !== undefined) return show(this.topicPage(topic));
    throw unknownCommand(first, this.config, Object.keys(TOPICS));
  }

  showCommandHelp(command: Command.Loadable): Promise<void> {
    return show(this.commandPage(command));
  }

  private rootPage(): string[] {
    const {bin, pjson} = this.config;
    const groups = groupCommands(this.commands).map(
      ([group, commands]) => [group, commands.map(({id}) => id).join(' ')] as const,
    );
    const width = Math.max(...groups.map(([group]) => group.length));
    const many = ['Many'.padEnd(width), 'freeze-session, unfreeze-session, reset-session --match or --all'] as const;
    const more = [
      [`${bin} help COMMAND`, 'Examples and flags of a command'],
      [`${bin} help TOPIC`, Object.keys(TOPICS).join(', ')],
      [`man ${bin}`, `Everything on one page (${bin} -v: the version)`],
    ] as const;
    return [
      String(pjson['description']),
      section('USAGE', [`  ${bin} COMMAND [ARGUMENTS] [FLAGS]`]),
      section('COMMANDS', [...table(groups, '  '), ...table([many])]),
      section('MORE', table(more)),
    ];
  }

  private topicPage(topic: string): string[] {
    const globals = globalFlagsOf(this.commands);
    switch (topic) {
      case 'commands':
        return groupCommands(this.commands).map(([group, commands]) =>
          section(
            group.toUpperCase(),
            table(
              commands.map((command) => {
                const short = shortNamesOf(command.id).join(', ');
                return [command.id, `${this.summary(command)}${short === '' ? '' : ` (short: ${short})`}`];
              }),
            ),
          ),
        );
      case 'flags':
        return [
          ...fill(
            'Every command takes these flags, before its name or after it. --yes matters where a command asks.',
            '',
          ),
          section('GLOBAL FLAGS', flagTable(globals)),
        ];
      case 'environment':
        return [
          section('ENVIRONMENT', table(environmentOf(globals))),
          ...this.ownRows('environment', (command) => Object.entries(command.environment ?? {})),
        ];
      default:
        return [
          section('EXIT CODES', table(EXIT_CODES)),
          ...this.ownRows('exit code 2', (command) => Object.entries(command.exitCodes ?? {})),
        ];
    }
  }

  /** What single commands add to a topic. */
  private ownRows(what: string, rowsOf: (command: Shown) => Rows): string[] {
    const rows = [...this.commands]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .flatMap((command) =>
        rowsOf(command).map(
          ([term, meaning]) =>
            [term === '2' ? command.id : term, term === '2' ? meaning : `${command.id}: ${meaning}`] as const,
        ),
      );
    return rows.length === 0 ? [] : [section(`${what.toUpperCase()} OF SINGLE COMMANDS`, table(rows))];
  }

  private commandPage(command: Shown): string[] {
    const {bin} = this.config;
    const {args, description, examples = [], exitCodes = {}, environment = {}} = command;
    const id = command.id.replaceAll(':', ' ');
    const flags = ownFlagsOf(command);
    const short = shortNamesOf(command.id);
    const related = relatedTo(command, this.commands).map((other) => other.replaceAll(':', ' '));
    const shown = (examples as {description: string; command: string}[]).flatMap((example) => [
      ...fill(example.description, '  '),
      `    $ ${this.render(example.command, command)}`,
    ]);
    const paragraphs = this.render(description ?? '', command)
      .split(/\n{2,}/)
      .filter((text) => text !== '')
      .map((text) => fill(text, '  ').join('\n'));
    const takesGlobals = globalFlagsOf([command]).some(({name}) => name !== 'help');
    const parts: [string, string[]][] = [
      [
        'USAGE',
        [
          `  $ ${bin} ${id}${usageOf(command)}`,
          ...(short.length === 0 ? [] : [`  Short: ${short.map((name) => `${bin} ${name}`).join(', ')}`]),
        ],
      ],
      ['EXAMPLES', shown],
      ['ARGUMENTS', table(Object.values(args).map((arg) => [wordOf(arg), describeValue(arg.description ?? '', arg)]))],
      ...groupFlags(flags).map(([group, some]): [string, string[]] => [group, flagTable(some)]),
      ['DESCRIPTION', [paragraphs.join('\n\n')]],
      ['EXIT CODES', table(Object.entries(exitCodes))],
      ['ENVIRONMENT', table(Object.entries(environment))],
      ['SEE ALSO', related.length === 0 ? [] : fill(related.map((other) => `${bin} ${other}`).join(', '), '  ')],
    ];
    return [
      this.summary(command),
      ...parts.filter(([, lines]) => lines.join('') !== '').map(([heading, lines]) => section(heading, lines)),
      ...(takesGlobals ? [`Flags such as --redis-url and --json: ${bin} help flags`] : []),
    ];
  }

  private summary(command: Shown): string {
    return command.summary ?? '';
  }

  private render(text: string, {id}: Shown): string {
    return text
      .replaceAll('<%= config.bin %>', this.config.bin)
      .replaceAll('<%= command.id %>', id.replaceAll(':', ' '));
  }
}

function show(parts: readonly string[]): Promise<void> {
  process.stdout.write(`${parts.join('\n\n')}\n`);
  return Promise.resolve();
}

function section(heading: string, lines: readonly string[]): string {
  return `${bold(heading, process.stdout)}\n${lines.join('\n')}`;
}

function usageOf(command: Shown): string {
  const words = Object.values(command.args)
    .filter(({hidden}) => !hidden)
    .map(wordOf);
  const usages = ownFlagsOf(command).map((flag) => {
    const typed = `--${flag.name}${valueOf(flag)}`;
    return flag.required ? typed : `[${typed}]`;
  });
  const flags = usages.join(' ').length > FLAGS_IN_USAGE ? ['[FLAGS]'] : usages;
  return [...words, ...flags].map((word) => ` ${word}`).join('');
}

function wordOf({name, required, multiple}: Command.Arg.Cached): string {
  const word = `${name.toUpperCase()}${multiple ? '...' : ''}`;
  return required ? word : `[${word}]`;
}

function valueOf(flag: Command.Flag.Cached): string {
  if (flag.type !== 'option') return '';
  return ` ${flag.helpValue === undefined ? (flag.options?.join('|') ?? flag.name.toUpperCase()) : String(flag.helpValue)}`;
}

/** Flags without a group first, then the groups in the order of decisions. */
function groupFlags(flags: Command.Flag.Cached[]): [heading: string, flags: Command.Flag.Cached[]][] {
  const groups = ['', 'SELECTION', 'GROUP', 'OUTPUT'];
  return groups
    .map((group): [string, Command.Flag.Cached[]] => [
      group === '' ? 'FLAGS' : `${group} FLAGS`,
      flags.filter(({helpGroup = ''}) => helpGroup === group),
    ])
    .filter(([, some]) => some.length > 0);
}

function flagTable(flags: readonly Command.Flag.Cached[]): string[] {
  const hasChars = flags.some(({char}) => char !== undefined);
  const rows = flags.map((flag) => {
    const char = flag.char === undefined ? (hasChars ? '    ' : '') : `-${flag.char}, `;
    return [
      `${char}--${flag.name}${valueOf(flag)}`,
      describeValue(flag.summary ?? flag.description ?? '', flag),
    ] as const;
  });
  return table(rows);
}

/** The flag's meaning, and what else applies to its value. */
function describeValue(
  meaning: string,
  value: {helpValue?: unknown; options?: readonly string[]; default?: unknown; env?: string; type?: string},
): string {
  const {helpValue, options = [], default: preset, env, type} = value;
  const isNamed = helpValue !== undefined || type !== 'option';
  const facts = [
    ...(isNamed && options.length > 0 ? [options.join(', ')] : []),
    ...(typeof preset === 'string' || typeof preset === 'number' ? [`default: ${preset}`] : []),
    ...(env === undefined ? [] : [env]),
  ];
  return facts.length === 0 ? meaning : `${meaning} (${facts.join('; ')})`;
}

/** Two columns: terms and meanings. `gap` separates the words of a meaning. */
function table(rows: Rows, gap = ' '): string[] {
  const width = Math.min(LONGEST_TERM, Math.max(...rows.map(([term]) => term.length)));
  return rows.flatMap(([term, meaning]) => {
    const indent = ' '.repeat(width + 4);
    const lines = fill(meaning, indent, gap);
    if (term.length > width) return [`  ${term}`, ...lines];
    return [`  ${term.padEnd(width)}  ${lines[0]?.trimStart() ?? ''}`, ...lines.slice(1)];
  });
}

/** Wraps text at the terminal's width, only between words. */
function fill(text: string, indent: string, gap = ' '): string[] {
  const {isTTY, columns} = process.stdout;
  const width = isTTY && columns > 0 ? Math.min(WIDTH.most, Math.max(WIDTH.least, columns)) : WIDTH.usual;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : line + gap + word;
    if (line !== '' && indent.length + longer.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = longer;
  }
  return line === '' ? lines : [...lines, indent + line];
}
