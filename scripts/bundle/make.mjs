import {createHash} from 'node:crypto';
import {readdirSync} from 'node:fs';
import {basename, join} from 'node:path';

import * as esbuild from 'esbuild';

import {ROOT, SCREEN, SEPARATE} from '../setup.mjs';
import {cuts, screenCuts} from './cuts.mjs';

/** Packages that others look for and can do without. */
const ABSENT = ['@node-rs/xxhash', '@opentelemetry/api', 'typescript'];

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
  const [main, separate, screen] = await Promise.all([
    esbuild.build({
      ...OPTIONS,
      alias: {redis: './scripts/bundle/redis.cjs'},
      entryPoints: {tokengate: './scripts/bundle/entry.js'},
      plugins: [commands, separatePackages, manifests, cuts({trace})],
    }),
    esbuild.build({...OPTIONS, entryPoints: SEPARATE}),
    esbuild.build({
      ...OPTIONS,
      define: {'process.env.NODE_ENV': '"production"'},
      entryPoints: {[SCREEN]: './scripts/bundle/screen.js'},
      jsx: 'automatic',
      plugins: [screenCuts],
    }),
  ]);
  return Object.fromEntries(
    [main, separate, screen].flatMap(({outputFiles}) =>
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

/** All of src/commands by name, each loaded when it is asked for. */
const commands = {
  name: 'commands',
  setup(build) {
    build.onResolve({filter: /^tokengate:commands$/}, ({path}) => ({path, namespace: 'tokengate'}));
    build.onLoad({filter: /^tokengate:commands$/, namespace: 'tokengate'}, () => {
      const names = readdirSync(join(ROOT, 'src/commands')).map((file) => file.replace(/\.ts$/, ''));
      const getters = names.map((name) => `get '${name}'() { return require('./src/commands/${name}.js').default; }`);
      return {contents: `export const commands = {${getters.join(',\n')}};`, resolveDir: ROOT};
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
const manifests = {
  name: 'manifests',
  setup(build) {
    build.onResolve({filter: /^@oclif\/plugin-[a-z]+\/[a-z.]+\.json$/}, ({path}) => ({
      path: join(ROOT, 'node_modules', path),
    }));
  },
};
