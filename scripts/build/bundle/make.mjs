import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {basename, join} from 'node:path';

import * as esbuild from 'esbuild';

import {CHUNKS, COMPLETION, ROOT, SCREEN, SEPARATE} from '../../setup.mjs';
import {chunk, divide, link, readUsed} from './chunks.mjs';
import {cuts, screenCuts} from './cuts.mjs';

/** Packages that others look for, but can do without. */
const ABSENT = ['@node-rs/xxhash', '@opentelemetry/api', 'typescript'];

const OWN_MANIFEST = 'build/own.manifest.json';

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  charset: 'ascii',
  external: ABSENT,
  format: 'cjs',
  inject: ['./scripts/build/bundle/clock.js'],
  legalComments: 'none',
  logLevel: 'warning',
  // Names are kept, since messages depend on the names of error classes.
  minifySyntax: true,
  minifyWhitespace: true,
  outExtension: {'.js': '.cjs'},
  outdir: 'dist',
  platform: 'node',
  // In CommonJS require() does the same without starting Node's loader of ES modules.
  supported: {'dynamic-import': false},
  target: 'node20.17',
  write: false,
};

/**
 * Makes the files of dist from src.
 *
 * @returns their texts by name
 */
export async function makeBundle({trace} = {}) {
  const [main, separate, screen, completion] = await Promise.all([
    makeChunks(trace),
    esbuild.build({...OPTIONS, entryPoints: SEPARATE}),
    esbuild.build({
      ...OPTIONS,
      define: {'process.env.NODE_ENV': '"production"'},
      entryPoints: {[SCREEN]: './scripts/build/bundle/screen.js'},
      jsx: 'automatic',
      plugins: [screenCuts],
    }),
    esbuild.build({
      ...OPTIONS,
      entryPoints: {
        [COMPLETION[0]]: './scripts/build/bundle/complete.js',
        [COMPLETION[1]]: './src/cli/completion/finders.ts',
      },
      // No message depends on names in them.
      minifyIdentifiers: true,
      plugins: [completionTable, separatePackages],
    }),
  ]);
  return Object.fromEntries(
    [...main, separate, screen, completion].flatMap(({outputFiles}) =>
      outputFiles.map(({path, text}) => [basename(path), finish(text)]),
    ),
  );
}

/** Bundles the whole first, which shows what belongs where, and then each of the files. */
async function makeChunks(trace) {
  const options = {...OPTIONS, alias: {redis: './scripts/build/bundle/redis.cjs'}};
  const plugins = [commands, commandList, separatePackages, pluginFiles, packageFacts];
  const whole = await esbuild.build({
    ...options,
    entryPoints: {whole: './scripts/build/bundle/entry.js'},
    metafile: true,
    plugins: [...plugins, cuts()],
  });
  const division = divide(whole.metafile, readUsed());
  return Promise.all(
    CHUNKS.map(async (name) => {
      const {outputFiles} = await esbuild.build({
        ...options,
        entryPoints: {[name]: 'tokengate:chunk'},
        plugins: [chunk(name, division), ...plugins, cuts({trace, isPart: true})],
      });
      return {outputFiles: outputFiles.map(({path, text}) => ({path, text: link(text, division)}))};
    }),
  );
}

/** Begins with a hash of everything after it, which bin/run.js uses as its name. ASCII, as bin/run.js reads it. */
function finish(text) {
  // esbuild escapes texts but not regular expressions, where the same escapes mean the same.
  const ascii = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `/*${createHash('sha256').update(ascii).digest('hex')}*/${ascii}`;
}

/** All commands by ID, and their help: each is loaded on demand. */
const commands = {
  name: 'commands',
  setup(build) {
    build.onResolve({filter: /^tokengate:commands$/}, ({path}) => ({path, namespace: 'tokengate'}));
    build.onLoad({filter: /^tokengate:commands$/, namespace: 'tokengate'}, () => {
      return {
        contents: `exports.commands = ${listCommands('src/commands')};
          exports.ownCommands = ${listCommands('src/standalone-commands')};
          Object.defineProperty(exports, 'Help', {get: () => require('./src/cli/oclif/help.js').default});`,
        resolveDir: ROOT,
      };
    });
  },
};

/** By ID: the file's path with colons, and without `index`. */
function listCommands(folder) {
  const files = readdirSync(join(ROOT, folder), {recursive: true}).filter((file) => file.endsWith('.ts'));
  const getters = files.map((file) => {
    const name = file.replaceAll('\\', '/').replace(/\.ts$/, '');
    const id = name.replace(/\/index$/, '').replaceAll('/', ':');
    return `get '${id}'() { return require('./${folder}/${name}.js').default; }`;
  });
  return `{${getters.join(',\n')}}`;
}

/** The fields that every start reads of all commands, and those that it reads of the one that it runs. */
const LISTED = ['id', 'summary', 'hidden'];
const LOOKED_AT = ['args', 'strict'];
/** Fields that oclif needs only if a CLI allows words in another order, or that entry.js sets. */
const LEFT_OUT = [
  'aliases',
  'aliasPermutations',
  'hiddenAliases',
  'isESM',
  'permutations',
  'pluginAlias',
  'pluginName',
  'pluginType',
  'relativePath',
];

/**
 * What the manifests say about the commands, in two parts: `list` is short code, a row of texts for each command;
 * `manifest` is a JSON text for each field of each command, parsed for the help, for a flag before the command, and for
 * plugins.
 */
const commandList = {
  name: 'command list',
  setup(build) {
    build.onResolve({filter: /^tokengate:(list|manifest)$/}, ({path}) => ({path, namespace: 'tokengate'}));
    build.onLoad({filter: /^tokengate:list$/, namespace: 'tokengate'}, () => {
      const manifests = Object.entries(readManifests());
      const listed = manifests.map(([plugin, {commands}]) => [
        plugin,
        Object.keys(commands)
          .sort()
          .flatMap((id) => toRow(commands[id])),
      ]);
      const keys = manifests.flatMap(([, {commands}]) => Object.values(commands).flatMap(Object.keys));
      const otherKeys = [...new Set(keys)].filter((key) => ![...LISTED, ...LOOKED_AT, ...LEFT_OUT].includes(key));
      return {
        contents: `export const lookedAt = ${JSON.stringify(LOOKED_AT)};
          export const otherKeys = ${JSON.stringify(otherKeys)};
          export const textOf = (id, key) => require('tokengate:manifest')[key][id];
          export const listed = ${JSON.stringify(Object.fromEntries(listed))};`,
      };
    });
    build.onLoad({filter: /^tokengate:manifest$/, namespace: 'tokengate'}, () => {
      const fields = {};
      for (const {commands} of Object.values(readManifests())) {
        for (const [id, command] of Object.entries(commands)) {
          for (const [key, value] of Object.entries(command)) {
            if ([...LISTED, ...LOOKED_AT, ...LEFT_OUT].includes(key)) continue;
            (fields[key] ??= {})[id] = JSON.stringify(value);
          }
        }
      }
      return {contents: `module.exports = ${JSON.stringify(fields)};`};
    });
  },
};

/** An array of texts costs nothing to make; as many objects do. */
function toRow({id, summary, description, hidden = false, aliases = [], hiddenAliases = [], ...command}) {
  if (aliases.length > 0 || hiddenAliases.length > 0) throw new Error(`${id} has aliases, which the list leaves out.`);
  // oclif shows the description of a command without a summary.
  return [id, summary ?? description, hidden, JSON.stringify(pick(command, (key) => LOOKED_AT.includes(key)))];
}

function pick(object, isWanted) {
  return Object.fromEntries(Object.entries(object).filter(([key]) => isWanted(key)));
}

/** By package name. Our own commands replace a plugin's commands of the same name. */
function readManifests() {
  const read = (path) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
  const [help, autocomplete] = ['@oclif/plugin-help', '@oclif/plugin-autocomplete'];
  const {help: ownHelp, ...others} = read(OWN_MANIFEST).commands;
  return {
    [read('package.json').name]: read('oclif.manifest.json'),
    [help]: {commands: {help: ownHelp}},
    [autocomplete]: {commands: {...read(`node_modules/${autocomplete}/oclif.manifest.json`).commands, ...others}},
  };
}

/** What completion knows about all commands, made by code of src that tsc has already compiled. */
const completionTable = {
  name: 'completion table',
  setup(build) {
    build.onResolve({filter: /^tokengate:completion-table$/}, ({path}) => ({path, namespace: 'tokengate'}));
    build.onLoad({filter: /^tokengate:completion-table$/, namespace: 'tokengate'}, async () => {
      const {makeTable} = await import('../../../build/cli/completion/make-table.js');
      return {contents: `export default ${JSON.stringify(makeTable(Object.values(readManifests()).reverse()))};`};
    });
  },
};

const separatePackages = {
  name: 'separate packages',
  setup(build) {
    build.onResolve({filter: new RegExp(`^(${SEPARATE.join('|')})$`)}, ({path, kind}) => {
      if (kind !== 'dynamic-import') return {errors: [{text: `${path} is loaded at every start: use import().`}]};
      return {path: `./${path}.cjs`, external: true};
    });
    for (const [module, name] of Object.entries({'watch/screen': SCREEN, 'completion/finders': COMPLETION[1]})) {
      const source = join(ROOT, 'src/cli', module);
      build.onResolve({filter: new RegExp(`/${basename(source)}\\.js$`)}, ({path, kind, resolveDir}) => {
        if (join(resolveDir, path) !== `${source}.js` || kind !== 'dynamic-import') return undefined;
        return {path: `./${name}.cjs`, external: true};
      });
    }
  },
};

/** Of a package.json only this is asked for. */
const FACTS = ['name', 'version', 'type', 'oclif'];
const packageFacts = {
  name: 'package facts',
  setup(build) {
    build.onLoad({filter: /[\\/]node_modules[\\/].*[\\/]package\.json$/}, ({path}) => {
      const facts = pick(JSON.parse(readFileSync(path, 'utf8')), (key) => FACTS.includes(key));
      return {contents: JSON.stringify(facts), loader: 'json'};
    });
  },
};

/** Plugins do not export the files that oclif reads in their folder. */
const pluginFiles = {
  name: 'plugin files',
  setup(build) {
    build.onResolve({filter: /^@oclif\/plugin-[a-z]+\/[a-z.]+\.json$/}, ({path}) => ({
      path: join(ROOT, 'node_modules', path),
    }));
  },
};
