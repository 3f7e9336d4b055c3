// Changes packages on their way into the bundle. Each cut names the text that it expects, and the build fails if that
// text is gone: after an upgrade, check what has become of it.
import {readFile} from 'node:fs/promises';

import {requireLate} from './require-late.mjs';

const OCLIF = '@oclif/core/lib/';
const REDIS = '@redis/client/dist/lib/';

/**
 * By file, like REPLACEMENTS. The live view's file is CommonJS, in which no module can wait while it is loaded; but Ink
 * waits for its layout engine, and for tools that only its developers have.
 */
const SCREEN_REPLACEMENTS = {
  'yoga-layout/dist/src/index.js': [
    {
      old: 'const Yoga = wrapAssembly(await loadYoga());',
      times: 1,
      new: `const Yoga = {};
export const ready = loadYoga().then((engine) => Object.assign(Yoga, wrapAssembly(engine)));`,
    },
  ],
  'ink/build/reconciler.js': [
    {old: "await import('./devtools.js');", times: 1, new: ''},
    {old: "new URL('../package.json', import.meta.url)", times: 1, new: "''"},
    {old: '? await loadPackageJson()', times: 1, new: '? {}'},
  ],
  // The view is wanted even in a CI's terminal.
  'is-in-ci/index.js': [{old: "check('CI') || check('CONTINUOUS_INTEGRATION')", times: 1, new: 'false'}],
};

/** By file: each `old` text, how often it stands there, and the new one. */
const REPLACEMENTS = {
  // Loads semver, 15 million instructions of a start of 187. The package's own `engines` are stricter.
  [`${OCLIF}index.js`]: [{old: '\ncheckNodeVersion();', times: 1, new: ''}],
  // Only DEBUG makes `debug` say anything: 6 million instructions.
  [`${OCLIF}logger.js`]: [
    {
      old: '(0, debug_1.default)(namespace)',
      times: 1,
      new: '(process.env.DEBUG ? (0, debug_1.default)(namespace) : () => {})',
    },
  ],
  // Looks at files and processes, only on systems that can be WSL: 12 million instructions.
  [`${OCLIF}util/os.js`]: [
    {
      old: "(await import('wsl-utils')).isWsl",
      times: 1,
      new: "((0, node_os_1.release)().toLowerCase().includes('microsoft') && (await import('wsl-utils')).isWsl)",
    },
  ],
  // The only import() that must stay one: plugins are ES modules on disk. The launcher provides `importModule`, since
  // V8 forgets where an import() in cached code leads.
  [`${OCLIF}module-loader.js`]: [{old: 'await import(', times: 3, new: 'await importModule('}],
  // A name for telemetry, which would load node:crypto: 9 million instructions.
  [`${REDIS}client/identity.js`]: [
    {
      old: "(0, node_crypto_1.randomBytes)(4).toString('hex')",
      times: 2,
      new: 'Math.random().toString(16).slice(2, 10)',
    },
  ],
};

/** An esbuild plugin for the file of the live view. */
export const screenCuts = {
  name: 'screen cuts',
  setup(build) {
    const left = new Set(Object.keys(SCREEN_REPLACEMENTS));
    build.onLoad({filter: /\.js$/}, async ({path}) => {
      const name = nameOf(path);
      if (!left.delete(name)) return undefined;
      return {contents: replaceAll(await readFile(path, 'utf8'), SCREEN_REPLACEMENTS, name)};
    });
    build.onEnd(() => missing(left));
  },
};

/**
 * All commands of Redis are half of the client. The client itself needs few, and tokengate sends its own as words. It is
 * in `rest`, of which it would be a fifth: 25 million instructions of 500 of a first run of `explain-session`.
 */
const COMMANDS = `${REDIS}commands/index.js`;
const COMMANDS_USED = {file: `${REDIS}client/index.js`, names: ['AUTH', 'CLIENT_SETNAME', 'READONLY']};

/**
 * An esbuild plugin. `trace` adds a line to each module that runs with the module; `isPart` says that some of the
 * modules are in other files.
 */
export function cuts({trace = () => '', isPart = false} = {}) {
  return {
    name: 'cuts',
    setup(build) {
      const left = new Set([...Object.keys(REPLACEMENTS), COMMANDS, COMMANDS_USED.file]);
      build.onLoad({filter: /\.[cm]?[jt]s$/}, async ({path}) => {
        const name = nameOf(path);
        let contents = await readFile(path, 'utf8');
        const size = contents.length;
        if (name === COMMANDS) contents = usedCommands();
        if (name === COMMANDS_USED.file) checkUsedCommands(contents);
        contents = replaceAll(contents, REPLACEMENTS, name);
        left.delete(name);
        if (name.startsWith(OCLIF) || name.startsWith(REDIS)) contents = requireLate(contents, name);
        return {contents: trace(path, size) + contents, loader: path.endsWith('.ts') ? 'ts' : 'js'};
      });
      if (!isPart) build.onEnd(() => missing(left));
    },
  };
}

/** The path from the package's name on. */
function nameOf(path) {
  return path.slice(path.lastIndexOf('/node_modules/') + '/node_modules/'.length);
}

function missing(names) {
  return {errors: [...names].map((name) => ({text: `${name} is to be cut, but is not in the bundle.`}))};
}

function replaceAll(text, replacements, name) {
  return (replacements[name] ?? []).reduce((changed, replacement) => replace(changed, replacement, name), text);
}

function usedCommands() {
  const getters = COMMANDS_USED.names.map((name) => `get ${name}() { return require("./${name}").default; }`);
  return `exports.__esModule = true; exports.default = {${getters.join(', ')}};`;
}

function checkUsedCommands(text) {
  const names = new Set([...text.matchAll(/\bcommands_1\.default\.(\w+)/g)].map(([, name]) => name));
  if ([...names].sort().join() === COMMANDS_USED.names.join()) return;
  throw new Error(`${COMMANDS_USED.file} uses other commands than are in the bundle: ${[...names].join(', ')}`);
}

function replace(text, {old, times, new: replaced}, name) {
  const parts = text.split(old);
  if (parts.length !== times + 1) throw new Error(`${name}: expected ${times} times, not ${parts.length - 1}: ${old}`);
  return parts.join(replaced);
}
