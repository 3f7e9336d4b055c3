// Writes dist/tokengate.1, the man page, from the sources of the help: the manifests and src/cli/oclif/help-texts.ts.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {shortNamesOf} from '../../build/cli/completion/other-spellings.js';
import {globalFlagsOf} from '../../build/cli/oclif/global-flags.js';
import {environmentOf, EXIT_CODES, ownFlagsOf, relatedTo} from '../../build/cli/oclif/help-texts.js';
import {ROOT} from '../setup.mjs';

const EXAMPLES = [
  ['See what is spending now', 'tokengate watch-sessions'],
  ['Find out why a session is refused', 'tokengate explain-session my-workflow'],
  ['Stop a session for two hours', 'tokengate freeze-session my-workflow --for 2h --reason "incident 42"'],
];

const readJson = (file) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
const {commands: main, version} = readJson('oclif.manifest.json');
const {description} = readJson('package.json');
const commands = Object.values({...main, ...readJson('build/own.manifest.json').commands})
  .filter(({hidden}) => !hidden)
  .sort((a, b) => (a.id < b.id ? -1 : 1));
const globals = globalFlagsOf(commands);

const page = [
  // Without a date, which would change with each build.
  `.TH TOKENGATE 1 "" "tokengate ${version}" "User Commands"`,
  // No hyphenation: readers type what they see.
  '.nh',
  // Nor wider spaces.
  '.ad l',
  '.SH NAME',
  // In the form that whatis and apropos read.
  `tokengate \\- ${description[0].toLowerCase()}${description.slice(1)}`,
  '.SH SYNOPSIS',
  '.B tokengate',
  '[\\fIGLOBAL FLAGS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]',
  '.SH DESCRIPTION',
  text(
    'Reads and changes the budgets and freezes of sessions directly in the Redis that the gateway uses. Results go to stdout; errors, warnings and questions go to stderr. Session IDs match exactly as the API client sends them.',
  ),
  '.SH GLOBAL FLAGS',
  'Every command takes these flags, before its name or after it.',
  ...globals.flatMap(describeFlag),
  '.SH COMMANDS',
  ...commands.flatMap(describeCommand),
  '.SH EXIT STATUS',
  ...EXIT_CODES.flatMap(([code, meaning]) => term(bold(code), meaning)),
  '.SH ENVIRONMENT',
  ...environmentOf(globals).flatMap(([name, meaning]) => term(bold(name), meaning)),
  '.SH FILES',
  ...term(
    italic('~/.cache/tokengate/code'),
    'Compiled code for a faster start, in XDG_CACHE_HOME if that is set. It is safe to remove.',
  ),
  '.SH EXAMPLES',
  ...EXAMPLES.flatMap(([what, command]) => example(what, command)),
  '.SH SEE ALSO',
  '.BR redis\\-cli (1)',
];
writeFileSync(join(ROOT, 'dist/tokengate.1'), `${page.join('\n')}\n`);

function describeCommand(command) {
  const {id, summary, description = '', args, examples = [], environment = {}, exitCodes = {}} = command;
  const words = Object.values(args).map(({name, required, multiple}) => {
    const shown = `${italic(name.toUpperCase())}${multiple ? '...' : ''}`;
    return required ? shown : `[${shown}]`;
  });
  const own = ownFlagsOf(command);
  const short = shortNamesOf(id);
  const usage = [bold(nameOf(id)), ...words, ...(own.length === 0 ? [] : [`[${italic('FLAGS')}]`])].join(' ');
  const related = relatedTo(command, commands).map(nameOf);
  return [
    `.SS ${nameOf(id)}`,
    usage,
    ...(short.length === 0 ? [] : ['.PP', `Short: ${text(short.join(', '))}`]),
    ...[`${summary}.`, ...description.split(/\n{2,}/)]
      .filter((part) => part !== '')
      .flatMap((part) => ['.PP', text(render(part, id))]),
    ...Object.values(args).flatMap(({name, description: what}) => term(italic(name.toUpperCase()), what)),
    ...own.flatMap(describeFlag),
    ...Object.entries(environment).flatMap(([name, meaning]) => term(bold(name), meaning)),
    ...Object.entries(exitCodes).flatMap(([code, meaning]) => term(`Exit status ${bold(code)}`, meaning)),
    ...examples.flatMap(({description: what, command: line}) => example(what, render(line, id))),
    ...(related.length === 0 ? [] : ['.PP', `See also: ${text(related.join(', '))}.`]),
  ];
}

function describeFlag({name, char, type, options, helpValue, description, default: preset, env}) {
  const value =
    type === 'option' ? ` ${options ? text(options.join('|')) : italic(String(helpValue ?? name.toUpperCase()))}` : '';
  const names = [char && bold(`-${char}`), bold(`--${name}`) + value].filter(Boolean).join(', ');
  const facts = [preset !== undefined && type === 'option' && `default ${preset}`, env && `environment ${env}`].filter(
    Boolean,
  );
  return term(names, `${description}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`);
}

function term(name, meaning) {
  return ['.TP', name, text(meaning)];
}

function example(what, line) {
  return ['.PP', `${text(what)}:`, '.PP', '.RS 4', '.nf', text(line), '.fi', '.RE'];
}

function render(source, id) {
  return source.replaceAll('<%= config.bin %>', 'tokengate').replaceAll('<%= command.id %>', nameOf(id));
}

function nameOf(id) {
  return id.replaceAll(':', ' ');
}

function bold(words) {
  return `\\fB${text(words)}\\fR`;
}

function italic(words) {
  return `\\fI${text(words)}\\fR`;
}

/** Escapes text: hyphens for typing, and no line that begins like a request of roff. */
function text(source) {
  return source
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(/[^\x20-\x7e]/g, (character) =>
      character === '\n' ? '\n' : `\\[u${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^\./gm, '\\&.');
}
