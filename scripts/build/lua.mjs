// Writes src/lib/lua/scripts.ts from lua/*.lua: each script complete, with its includes, without comments and
// indentation. tsc, esbuild, vitest and bin/dev.js all load a module of text alike. With --check it only compares.
import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';

import * as prettier from 'prettier';

import {ROOT} from '../setup.mjs';

const FOLDER = join(ROOT, 'lua');
const MODULE = join(ROOT, 'src/lib/lua/scripts.ts');
const INCLUDE = /^--- @include "([a-z-]+)"$/;

/** The names of all scripts. */
export function listScripts() {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => basename(file, '.lua'))
    .sort();
}

/**
 * The lines of a script with its includes, each once. Includes come before code.
 *
 * @returns `{file, line, text}` of each line, with its place in its own file
 */
export function joinScript(name) {
  return joinText(readFileSync(join(FOLDER, `${name}.lua`), 'utf8'), `lua/${name}.lua`);
}

/** The same of a text that is in no file. */
export function joinText(source, file, included = new Set()) {
  return source.split('\n').flatMap((text, index) => {
    const [, name] = INCLUDE.exec(text) ?? [];
    if (name === undefined) return [{file, line: index + 1, text}];
    if (included.has(name)) return [];
    included.add(name);
    const path = `includes/${name}.lua`;
    return joinText(readFileSync(join(FOLDER, path), 'utf8'), `lua/${path}`, included);
  });
}

/** The text that is sent to Redis. */
export function strip(lines) {
  const kept = lines.map(({text}) => text.trim()).filter((text) => text !== '' && !text.startsWith('--'));
  if (kept.some((text) => text.includes('[['))) throw new Error('Long brackets in Lua cannot be stripped.');
  return kept.join('\n');
}

/** Parts that several scripts share are in the module once. */
async function makeModule() {
  const parts = new Map();
  const scripts = listScripts().map((name) => {
    const lines = joinScript(name);
    const code = [...new Set(lines.map(({file}) => file))].map((file) => {
      const own = lines.filter((line) => line.file === file);
      return {file, code: strip(own), at: lines.indexOf(own.at(-1))};
    });
    // An include ends where its last line is: after those that it includes itself.
    const words = code
      .sort((a, b) => a.at - b.at)
      .map(({file, code: text}) => {
        if (!file.startsWith('lua/includes/')) return quote(text);
        const constant = `${toConstant(basename(file, '.lua'))}_PART`;
        parts.set(constant, text);
        return `\${${constant}}`;
      });
    return `/** lua/${name}.lua */\nexport const ${toConstant(name)} = \`${words.join('\n')}\`;`;
  });
  const shared = [...parts].map(([name, text]) => `const ${name} = \`${quote(text)}\`;`);
  const header = '// Made by scripts/build/lua.mjs from lua/. Change it there, and run npm run build.';
  return prettier.format([header, ...shared, ...scripts].join('\n\n'), {
    ...(await prettier.resolveConfig(MODULE)),
    parser: 'typescript',
  });
}

function toConstant(name) {
  return name.replaceAll('-', '_').toUpperCase();
}

function quote(text) {
  return text.replace(/[\\`]|\$\{/g, '\\$&');
}

if (process.argv[1] === import.meta.filename) {
  const made = await makeModule();
  const present = readOrNothing();
  if (process.argv.includes('--check')) {
    if (present !== made) {
      console.error('src/lib/lua/scripts.ts is stale: run npm run build, and commit it.');
      process.exitCode = 1;
    }
  } else if (present !== made) {
    mkdirSync(dirname(MODULE), {recursive: true});
    writeFileSync(MODULE, made);
  }
}

function readOrNothing() {
  try {
    return readFileSync(MODULE, 'utf8');
  } catch {
    return '';
  }
}
