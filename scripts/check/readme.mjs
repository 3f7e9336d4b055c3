// Fills README.md between `<!-- commands -->` and `<!-- commandsstop -->` with a reference of every command, from
// oclif.manifest.json; with --check it only compares, and fails when that part is stale.
import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

const START = '<!-- commands -->';
const STOP = '<!-- commandsstop -->';
const WIDTH = 120;
/** More flags than these are not worth a heading. */
const FLAGS_IN_HEADING = 3;

const root = fileURLToPath(new URL('../..', import.meta.url));
const file = `${root}README.md`;

const [manifest, readme] = await Promise.all([readFile(`${root}oclif.manifest.json`, 'utf8'), readFile(file, 'utf8')]);
const start = readme.indexOf(START);
const stop = readme.indexOf(STOP);
if (start === -1 || stop < start) throw new Error(`README.md has no ${START} before a ${STOP}.`);
const filled = `${readme.slice(0, start)}${START}\n\n${describeCommands(JSON.parse(manifest))}\n\n${readme.slice(stop)}`;

if (!process.argv.includes('--check')) {
  await writeFile(file, filled);
} else if (readme !== filled) {
  console.error('README.md is stale: run node scripts/check/readme.mjs, and commit it.');
  process.exitCode = 1;
}

function describeCommands({commands}) {
  const shown = Object.values(commands)
    .filter(({hidden}) => !hidden)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const globals = Object.assign({}, ...shown.map(({flags}) => pick(flags, (flag) => isGlobal(flag) && !flag.hidden)));
  return [
    'Every command but `help` and `autocomplete` takes these flags, before its name or after it:',
    listFlags(globals),
    ...shown.flatMap(describeCommand),
  ].join('\n\n');
}

function describeCommand({id, summary, description = '', args, flags, examples = []}) {
  const name = `tokengate ${id.replaceAll(':', ' ')}`;
  const own = pick(flags, (flag) => !isGlobal(flag) && !flag.hidden);
  const flagUsage = Object.values(own).map(showFlagUsage);
  const shownFlags = flagUsage.length > FLAGS_IN_HEADING ? ['[FLAGS]'] : flagUsage;
  const usage = [name, ...Object.values(args).map(showArg), ...shownFlags].join(' ');
  const render = (text) => text.replaceAll('<%= config.bin %>', 'tokengate').replaceAll('<%= command.id %>', id);
  const paragraphs = [asSentence(summary), ...render(description).split(/\n{2,}/)].filter((text) => text !== '');
  const parts = [
    `### \`${usage}\``,
    ...paragraphs.map((text) => wrap(asMarkdown(text))),
    [...Object.values(args).map(describeArg), listFlags(own)].filter((text) => text !== '').join('\n'),
    render(showExamples(examples)),
  ];
  return parts.filter((text) => text !== '');
}

function showArg({name, required, multiple}) {
  const shown = `${name.toUpperCase()}${multiple ? '...' : ''}`;
  return required ? shown : `[${shown}]`;
}

function describeArg({name, description, multiple}) {
  return item(`\`${name.toUpperCase()}${multiple ? '...' : ''}\`: ${asMarkdown(description)}`);
}

function listFlags(flags) {
  return Object.values(flags)
    .map((flag) => {
      const names = [flag.char && `-${flag.char}`, `--${flag.name}${valueOf(flag)}`].filter(Boolean).join(', ');
      const facts = [
        flag.required && 'required',
        flag.multiple && 'may be repeated',
        flag.default !== undefined && flag.type === 'option' && `default \`${flag.default}\``,
        flag.env && `environment \`${flag.env}\``,
      ].filter(Boolean);
      return item(`\`${names}\`: ${asMarkdown(flag.description)}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`);
    })
    .join('\n');
}

function showFlagUsage(flag) {
  const shown = `--${flag.name}${valueOf(flag)}`;
  return flag.required ? shown : `[${shown}]`;
}

function valueOf({type, options, helpValue, name}) {
  if (type !== 'option') return '';
  return ` ${options?.join('|') ?? helpValue ?? name.toUpperCase()}`;
}

function showExamples(examples) {
  if (examples.length === 0) return '';
  const lines = examples.map((example) => {
    if (typeof example === 'string') return example;
    return `# ${example.description}\n${example.command}`;
  });
  return ['```bash', lines.join('\n\n'), '```'].join('\n');
}

function isGlobal({helpGroup}) {
  return helpGroup === 'GLOBAL';
}

function pick(flags, wanted) {
  return Object.fromEntries(Object.entries(flags).filter(([, flag]) => wanted(flag)));
}

function asSentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function item(text) {
  return wrap(`- ${text}`, '  ');
}

/** Text that is not Markdown; what stands in backquotes is left alone. */
function asMarkdown(text) {
  return text.replace(/`[^`]*`|[<*\\]/g, (match) => (match.startsWith('`') ? match : `\\${match}`));
}

/** Breaks between words only, so that a line is longer than the width only when one word is. */
function wrap(text, indent = '') {
  const lines = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= WIDTH || line === '') {
      line = longer;
    } else {
      lines.push(line);
      line = indent + word;
    }
  }
  return [...lines, line].join('\n');
}
