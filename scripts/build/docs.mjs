// Writes docs/commands, a page for each command and an index, from oclif.manifest.json, and docs/reference/schemas, a JSON
// Schema for each command, from json-documents.mjs or else the type of its result; with --check it only compares, and fails
// when a file is stale.
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {shortNamesOf} from '../../build/cli/completion/other-spellings.js';
import {globalFlagsOf, isGlobal} from '../../build/cli/oclif/global-flags.js';
import {groupCommands} from '../../build/cli/oclif/help-texts.js';
import {DOCUMENTS, ERROR, listFields, toSchemaFile} from './json-documents.mjs';

const WIDTH = 120;
/** More flags than these are not worth a place in the usage line. */
const FLAGS_IN_USAGE = 3;

const root = fileURLToPath(new URL('../..', import.meta.url));

const {commands} = JSON.parse(readFileSync(`${root}oclif.manifest.json`, 'utf8'));
const shown = Object.values(commands)
  .filter(({hidden}) => !hidden)
  .sort((a, b) => (a.id < b.id ? -1 : 1));
const undescribed = shown.map(({id}) => id).filter((id) => DOCUMENTS[id] === undefined && existsSync(sourceOf(id)));
const documents = {...DOCUMENTS};
if (undescribed.length > 0) {
  const {describeResult} = await import('./result-types.mjs');
  for (const id of undescribed) documents[id] = describeResult(sourceOf(id));
}
const FOLDERS = {
  'docs/commands/': new Map([
    ['README.md', describeAll()],
    ...shown.map((command, index) => [`${command.id}.md`, describeCommand(command, shown[index + 1])]),
  ]),
  'docs/reference/schemas/': new Map([
    ...Object.entries(documents)
      .filter(([, some]) => some !== undefined)
      .map(([id, some]) => [`${id}.schema.json`, asJson(toSchemaFile(`tokengate ${id} --json`, some))]),
    ['error.schema.json', asJson(toSchemaFile('An error of tokengate --json, on stderr', {documents: [{is: ERROR}]}))],
  ]),
};

const stale = [];
for (const [folder, files] of Object.entries(FOLDERS)) {
  mkdirSync(root + folder, {recursive: true});
  const gone = readdirSync(root + folder).filter((name) => !files.has(name));
  stale.push(...gone.map((name) => folder + name));
  for (const [name, text] of files) if (read(folder + name) !== text) stale.push(folder + name);
  if (process.argv.includes('--check')) continue;
  for (const name of gone) rmSync(root + folder + name);
  for (const [name, text] of files) writeFileSync(root + folder + name, text);
}
if (process.argv.includes('--check') && stale.length > 0) {
  console.error(`Stale: ${stale.join(', ')}. Run npm run build, and commit what it writes.`);
  process.exitCode = 1;
}

function read(file) {
  try {
    return readFileSync(root + file, 'utf8');
  } catch {
    return undefined;
  }
}

function sourceOf(id) {
  return `${root}src/commands/${id}.ts`;
}

function asJson(value) {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function describeAll() {
  const globals = globalFlagsOf(shown).filter(({hidden}) => !hidden);
  return asPage([
    '# Commands',
    ...groupCommands(shown).flatMap(([group, some]) => [`## ${group}`, some.map(listCommand).join('\n')]),
    '## Global flags',
    'Every command but `help` and `autocomplete` takes these flags, before its name or after it:',
    listFlags(globals),
  ]);
}

function describeCommand({id, summary, description = '', args, flags, examples = []}, next) {
  const name = `tokengate ${nameOf(id)}`;
  const own = pick(flags, (flag) => !isGlobal(flag) && !flag.hidden);
  const flagUsage = Object.values(own).map(showFlagUsage);
  const shownFlags = flagUsage.length > FLAGS_IN_USAGE ? ['[FLAGS]'] : flagUsage;
  const usage = [name, ...Object.values(args).map(showArg), ...shownFlags].join(' ');
  const render = (text) => text.replaceAll('<%= config.bin %>', 'tokengate').replaceAll('<%= command.id %>', id);
  return asPage([
    `# ${name}`,
    asSentence(asMarkdown(summary)),
    ['```text', usage, '```'].join('\n'),
    ...(examples.length === 0 ? [] : ['## Examples', render(showExamples(examples))]),
    ...(description === '' ? [] : ['## Description']),
    ...render(description)
      .split(/\n{2,}/)
      .filter((text) => text !== '')
      .map((text) => wrap(asMarkdown(text))),
    ...(Object.keys(args).length === 0 ? [] : ['## Arguments', Object.values(args).map(describeArg).join('\n')]),
    ...(Object.keys(own).length === 0 ? [] : ['## Flags', listFlags(own)]),
    'It also takes the [global flags](README.md#global-flags).',
    ...describeJson(id),
    next === undefined ? 'Back to [all commands](README.md)' : `Next: [${nameOf(next.id)}](${next.id}.md)`,
  ]);
}

function describeJson(id) {
  if (documents[id] === undefined) return [];
  const {documents: forms, line} = documents[id];
  const schema = `[JSON Schema](../reference/schemas/${id}.schema.json)`;
  return [
    '## JSON',
    wrap(
      `\`--json\` prints ${forms.length > 1 ? 'one of these documents' : 'this document'} (${schema}, [conventions](../reference/json-output.md)).`,
    ),
    ...forms.flatMap(({of, is}) => [...(of === undefined ? [] : [`${of}:`]), drawTable(listFields(is))]),
    ...(line === undefined ? [] : [describeLine(forms, line)]),
  ];
}

/** A line of NDJSON is mostly an element of the document's list. */
function describeLine(forms, line) {
  const known = new Set(forms.flatMap(({is}) => listFields(is)).map(({field}) => field.split('.').pop()));
  const own = listFields(line).filter(({field}) => !known.has(field.replace(/^.*\./, '')));
  const more = own.map(({field, type, meaning}) => `\`${field}\` (${type}): ${meaning}`).join('; ');
  return wrap(
    `\`--format ndjson\` prints one such element a line${more === '' ? '' : `, with ${more}`} (\`#/$defs/line\` of the schema).`,
  );
}

function drawTable(rows) {
  const cells = [
    ['field', 'type', 'meaning'],
    ...rows.map(({field, type, meaning}) => [`\`${field}\``, type, meaning]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column].length)));
  const lines = cells.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines.join('\n');
}

function listCommand({id, summary}) {
  const short = shortNamesOf(id).map((name) => `\`${name}\``);
  return item(
    `[\`${nameOf(id)}\`](${id}.md): ${asMarkdown(summary)}${short.length === 0 ? '' : ` (short: ${short.join(', ')})`}`,
  );
}

function asPage(parts) {
  return `${parts.join('\n\n')}\n`;
}

function nameOf(id) {
  return id.replaceAll(':', ' ');
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
