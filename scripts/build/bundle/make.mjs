import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {basename, join} from 'node:path';

import * as esbuild from 'esbuild';

import {ROOT, SCREEN, SEPARATE} from '../../setup.mjs';
import {cuts, screenCuts} from './cuts.mjs';

/** Packages that others look for and can do without. */
const ABSENT = ['@node-rs/xxhash', '@opentelemetry/api', 'typescript'];

const OWN_MANIFEST = join(ROOT, 'build/own.manifest.json');

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  charset: 'ascii',
  external: ABSENT,
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  // Not the names: messages depend on those of error classes.
  minifySyntax: true,
  minifyWhitespace: true,
  outExtension: {'.js': '.cjs'},
  outdir: 'dist',
  platform: 'node',
  // In CommonJS a require() does the same, and Node's loader of ES modules need not start.
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
    esbuild.build({
      ...OPTIONS,
      alias: {redis: './scripts/build/bundle/redis.cjs'},
      entryPoints: {tokengate: './scripts/build/bundle/entry.js'},
      plugins: [commands, separatePackages, pluginFiles, cuts({trace})],
    }),
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
      entryPoints: {complete: './scripts/build/bundle/complete.js'},
      // No message of it depends on a name.
      minifyIdentifiers: true,
      plugins: [completionTable],
    }),
  ]);
  return Object.fromEntries(
    [main, separate, screen, completion].flatMap(({outputFiles}) =>
      outputFiles.map(({path, text}) => [basename(path), finish(text)]),
    ),
  );
}

/** Begins with a hash of all that follows, which bin/run.js takes for its name; ASCII, as bin/run.js reads it. */
function finish(text) {
  // esbuild escapes in texts but not in regular expressions, where the same escapes mean the same.
  const ascii = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `/*${createHash('sha256').update(ascii).digest('hex')}*/${ascii}`;
}

/** All commands by ID, and their help: each loaded when it is asked for. */
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
    build.onResolve({filter: /^tokengate:own-manifest$/}, () => ({path: OWN_MANIFEST}));
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

/** What completion knows of all commands; made by code of src, which tsc has compiled already. */
const completionTable = {
  name: 'completion table',
  setup(build) {
    build.onResolve({filter: /^tokengate:completion-table$/}, ({path}) => ({path, namespace: 'tokengate'}));
    build.onLoad({filter: /^tokengate:completion-table$/, namespace: 'tokengate'}, async () => {
      const {makeTable} = await import('../../../build/cli/completion/table.js');
      const files = [
        join(ROOT, 'node_modules/@oclif/plugin-autocomplete/oclif.manifest.json'),
        OWN_MANIFEST,
        join(ROOT, 'oclif.manifest.json'),
      ];
      const table = makeTable(files.map((file) => JSON.parse(readFileSync(file, 'utf8'))));
      // Parsed as JSON it takes less time than as code.
      return {contents: `export default JSON.parse(${JSON.stringify(JSON.stringify(table))});`};
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
    build.onResolve({filter: /\/screen\.js$/}, ({kind, resolveDir}) => {
      if (resolveDir !== join(ROOT, 'src/cli/watch') || kind !== 'dynamic-import') return undefined;
      return {path: `./${SCREEN}.cjs`, external: true};
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
