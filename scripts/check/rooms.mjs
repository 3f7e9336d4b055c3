// Checks what the linter cannot: there are no import cycles, counting type imports, no room of src, scripts or test/support
// is too full to look through, and each command has a test file. eslint.config.js says which room may import from which.
import {readdirSync, readFileSync} from 'node:fs';
import {basename, dirname, join, relative} from 'node:path';

import ts from 'typescript';

import {ROOT} from '../setup.mjs';

const MAX_FILES = 14;
/** Commands are found by their names, so their number does not matter. */
const OPEN = ['src/commands'];

const files = ['src', 'test', 'scripts'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name)),
);
const known = new Set(files);

/** The files that a file imports: statically, dynamically, or for types only. */
function importsOf(file) {
  const {importedFiles} = ts.preProcessFile(readFileSync(file, 'utf8'), true, true);
  return importedFiles.flatMap(({fileName}) => {
    const path = join(dirname(file), fileName).replace(/\.js$/, '');
    return [path, `${path}.ts`, `${path}.tsx`].filter((one) => fileName.startsWith('.') && known.has(one));
  });
}

const imports = new Map(files.map((file) => [file, importsOf(file)]));
const done = new Set();
const circles = [];

function follow(file, path) {
  if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file]);
  if (done.has(file) || path.includes(file)) return;
  for (const next of imports.get(file)) follow(next, [...path, file]);
  done.add(file);
}

for (const file of files) follow(file, []);

const counts = {};
for (const file of files) {
  const room = relative(ROOT, dirname(file));
  if (/^(src|scripts|test\/support)\b/.test(room) && !OPEN.includes(room)) counts[room] = (counts[room] ?? 0) + 1;
}

const {commands} = JSON.parse(readFileSync(join(ROOT, 'oclif.manifest.json'), 'utf8'));
const ids = Object.keys(commands);
/** By the command that each file is named after: `list-sessions.groups.test.ts` is a part of list-sessions. */
const tested = files.filter((file) => dirname(file) === join(ROOT, 'test/commands')).map((file) => basename(file));
const commandOf = (name) => name.split('.')[0];
const problems = [
  ...circles.map((path) => `A circle of imports: ${path.map((file) => relative(ROOT, file)).join(' -> ')}`),
  ...Object.entries(counts)
    .filter(([, count]) => count > MAX_FILES)
    .map(([room, count]) => `${room} has ${count} files, more than ${MAX_FILES}.`),
  ...ids.filter((id) => !tested.includes(`${id}.test.ts`)).map((id) => `${id} has no test/commands/${id}.test.ts.`),
  ...tested
    .filter((name) => !ids.includes(commandOf(name)))
    .map(
      (name) => `test/commands/${name} is not named after a command; tests of several go into test/commands/across.`,
    ),
];
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
