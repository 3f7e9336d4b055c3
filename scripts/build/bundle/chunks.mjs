// Divides the bundle into files by use, since a start takes as long as the code that it reads and compiles: `tokengate`
// has what the everyday commands run, and each of the others what its commands or the help need in addition. `rest` has
// everything else. A file is an ordinary CommonJS module, and gives its modules to the others through `modules`.
import {readFileSync} from 'node:fs';
import {join, relative} from 'node:path';

import {CHUNKS, ROOT} from '../../setup.mjs';

/**
 * The modules that each file begins with, by name. It also has everything that they import, unless an earlier file has
 * it.
 */
const SEEDS = {
  tokengate: ['scripts/build/bundle/entry.js', ...commands('health', 'get-budget', 'set-budget')],
  help: ['src/cli/oclif/help.ts', 'src/standalone-commands/help.ts', 'tokengate:tokengate:manifest'],
  contexts: ['src/cli/connection/context-file.ts', 'src/cli/connection/url-source.ts'],
  many: commands('list-sessions', 'reset-session', 'freeze-session', 'unfreeze-session'),
};

/**
 * CommonJS packages require modules late, so only a run shows which ones are used: the list comes from
 * scripts/check/loaded.mjs. It decides where a module is, but never whether it is found.
 */
export function readUsed() {
  const {packages = {}} = JSON.parse(readFileSync(join(ROOT, 'scripts/check/loaded.json'), 'utf8'));
  return packages;
}

function commands(...ids) {
  return ids.map((id) => `src/commands/${id}.ts`);
}

/**
 * Where each module of the whole bundle goes.
 *
 * @param {import('esbuild').Metafile} metafile of the whole bundle
 * @returns {{homes: Map<string, string>, inputs: object, shared: Map<string, Set<string>>}} `shared` are the modules of
 *   each file that another imports
 */
export function divide({inputs, outputs}, used) {
  const [{inputs: kept}] = Object.values(outputs);
  const homes = new Map();
  for (const [name, seeds] of Object.entries(SEEDS)) {
    const enter = (path) => {
      if (homes.has(path) || !Object.hasOwn(kept, path)) return;
      homes.set(path, name);
      for (const {path: imported, kind} of inputs[path].imports) {
        // An ES module runs together with its importers; a required one may run later or never.
        if (kind === 'import-statement' || imported.endsWith('.json')) enter(imported);
      }
    };
    for (const path of [...seeds, ...(used[name] ?? [])]) enter(path);
  }
  for (const path of Object.keys(kept)) if (!homes.has(path)) homes.set(path, 'rest');
  const shared = new Map(CHUNKS.map((name) => [name, new Set()]));
  for (const [path, home] of homes) {
    for (const {path: imported} of inputs[path].imports) {
      const other = homes.get(imported);
      if (other !== undefined && other !== home) shared.get(other).add(imported);
    }
  }
  return {homes, inputs, shared};
}

/** An esbuild plugin for one of the files: starts it, and leaves a mark at each import of a module in another file. */
export function chunk(name, {homes, inputs, shared}) {
  return {
    name: 'chunk',
    setup(build) {
      build.onResolve({filter: /^tokengate:chunk$/}, ({path}) => ({path, namespace: 'chunk'}));
      build.onLoad({filter: /./, namespace: 'chunk'}, () => {
        const cases = [...shared.get(name)].map(
          (path) => `case ${JSON.stringify(path)}: return require(${specifier(path)});`,
        );
        const entry = name === 'tokengate' ? `export * from ${specifier(SEEDS[name][0])};` : '';
        return {
          contents: `${entry} export function modules(path) { switch (path) { ${cases.join('\n')} } }`,
          resolveDir: ROOT,
        };
      });
      build.onResolve({filter: /./}, ({path, importer, namespace}) => {
        const from = namespace === 'file' ? relative(ROOT, importer).replaceAll('\\', '/') : `${namespace}:${importer}`;
        const found = inputs[from]?.imports.find(({original}) => original === path)?.path;
        const home = homes.get(found);
        if (home === undefined || home === name) return undefined;
        return {path: `#${home}:${found}`, external: true, sideEffects: false};
      });
    },
  };
}

/** Virtual modules have the names that their plugins give them. */
function specifier(path) {
  return JSON.stringify(path.startsWith('tokengate:') ? path.slice(path.lastIndexOf('tokengate:')) : `./${path}`);
}

/**
 * Replaces the marks by code. esbuild copies the names of a namespace that it does not know, and of each of ours that it
 * gives away; for our own ES modules this code is what esbuild would write if it knew both sides. The copies would cost
 * 4 % of the instructions of a start.
 */
export function link(text, {inputs}) {
  return exportLate(text)
    .replace(/(?<=case"src\/[^"]+":return \w+\(\),)__toCommonJS\((\w+_exports\(\))\)/g, '$1')
    .replace(
      /__toESM\(require\("#(\w+):([^"]+)"\)(,1)?\)|require\("#(\w+):([^"]+)"\)/g,
      (_, home, path, isNode = '', plainHome = home, plainPath = path) => {
        const get = `require("./${plainHome}.cjs").modules(${JSON.stringify(plainPath)})`;
        return path === undefined || inputs[path].format === 'esm' ? get : `__toESM(${get}${isNode})`;
      },
    );
}

/**
 * esbuild lists the names of each ES module that another file asks for, at once when its own file is loaded. This makes
 * each list on demand: at once, 300 names would take 5 of the 177 million instructions of a start.
 */
function exportLate(text) {
  const names = [];
  const late = text.replace(/var (\w+_exports)=\{\};\s*__export\(\1,(\{.*?\})\);/gs, (_, name, list) => {
    names.push(name);
    return `var ${name}$;function ${name}(){return ${name}$??=(__export(${name}$={},${list}),${name}$)}`;
  });
  if (names.length === 0) return text;
  return late.replace(new RegExp(`\\b(${names.join('|')})\\b(?![$(])`, 'g'), '$1()');
}
