// Writes scripts/check/loaded.json: the modules that a start runs, of the bundle and of Node.js, their size, and the
// other uses of the bundle's files. With --check it only compares. These lists decide how fast a start is, and unlike
// times they are the same on every machine. The build divides the bundle by them.
import {execFile} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';
import {promisify} from 'node:util';

import * as prettier from 'prettier';

import {startServer} from '../bench/server.mjs';
import {makeBundle} from '../build/bundle/make.mjs';
import {provide, ROOT} from '../setup.mjs';

const FILE = join(ROOT, 'scripts/check/loaded.json');
/** Changes of a loaded module are tolerated up to this share. */
const TOLERANCE = 0.05;
const SESSION = 'session';
/** The uses of each file of the bundle; the first file's is the start. */
const USES = {
  tokengate: [['health'], ['get-budget', SESSION], ['set-budget', SESSION, '25.50']],
  help: [['--help'], ['help', 'set-budget'], ['help', 'autocomplete', 'script'], ['health', '--help']],
  many: [
    ['list-sessions'],
    ['list-sessions', '--format', 'json'],
    ['freeze-session', SESSION, '--yes'],
    ['unfreeze-session', SESSION, '--yes'],
    ['reset-session', '--all', '--yes'],
  ],
};

/** Runs the bundle in a process of its own, and reports the modules that it required. */
const RUNNER = `
const {writeFileSync} = require('node:fs');
const Module = require('node:module');
const [bundle, report, root] = process.argv.splice(2, 3);
const {_load} = Module;
const required = new Set();
Module._load = (name, ...rest) => {
  required.add(name.replace(/^node:/, ''));
  return _load(name, ...rest);
};
globalThis.ran = [];
// These load tables of languages, which takes as long as Node.js itself.
const refuse = () => { throw new Error('Intl is used at start.'); };
for (const name of ['localeCompare', 'toLocaleLowerCase', 'toLocaleUpperCase']) String.prototype[name] = refuse;
for (const type of [Number, Date]) type.prototype.toLocaleString = refuse;
Object.defineProperty(globalThis, 'Intl', {get: refuse});
process.once('exit', () => {
  required.delete(bundle);
  writeFileSync(report, JSON.stringify({required: [...required], ran}));
});
require(bundle).main(root);
`;

const folder = mkdtempSync(join(tmpdir(), 'tokengate-loaded-'));
try {
  if (process.argv.includes('--check')) {
    compare(JSON.parse(readFileSync(FILE, 'utf8')), await findLoaded());
  } else {
    // The second time with the bundle that was divided by the first.
    for (let count = 0; count < 2; count++) {
      const text = await prettier.format(JSON.stringify(await findLoaded()), {parser: 'json', printWidth: 120});
      if (text !== readFileSync(FILE, 'utf8')) writeFileSync(FILE, text);
    }
  }
} finally {
  rmSync(folder, {recursive: true});
}

async function findLoaded() {
  const files = await makeBundle({
    trace: (path, bytes) => `ran.push([${JSON.stringify(relative(ROOT, path))}, ${bytes}]);`,
  });
  // oclif looks for the help here: the checkout may not be built.
  mkdirSync(join(folder, 'dist'), {recursive: true});
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'dist', name), text);
  writeFileSync(join(folder, 'run.cjs'), RUNNER);
  const server = await startServer(provide('redis')[0]);
  const runs = {};
  try {
    await server.send('SET', `session:${SESSION}:budget`, '10');
    for (const [name, uses] of Object.entries(USES)) {
      runs[name] = [];
      for (const argv of uses) runs[name].push(await run(argv, server.url));
    }
  } finally {
    await server.stop();
  }
  const [{required, ran}] = runs.tokengate;
  const inPackages = ([path]) => path.startsWith('node_modules/');
  return {
    bytes: ran.reduce((sum, [, bytes]) => sum + bytes, 0),
    node: required.filter((name) => !name.startsWith('.')).sort(),
    modules: ran.map(([path]) => path).sort(),
    files: Object.fromEntries(
      Object.entries(runs).map(([name, all]) => [
        name,
        [...new Set(all.flatMap(({required}) => required).filter((file) => /^\.\/\w+\.cjs$/.test(file)))].sort(),
      ]),
    ),
    packages: Object.fromEntries(
      Object.entries(runs).map(([name, all]) => [
        name,
        [...new Set(all.flatMap(({ran}) => ran.filter(inPackages).map(([path]) => path)))].sort(),
      ]),
    ),
  };
}

async function run(argv, url) {
  const report = join(folder, 'report.json');
  const words = [join(folder, 'run.cjs'), join(folder, 'dist', 'tokengate.cjs'), report, folder, ...argv];
  await promisify(execFile)(process.execPath, words, {env: {HOME: folder, TOKENGATE_REDIS_URL: url}});
  const {required, ran} = JSON.parse(readFileSync(report, 'utf8'));
  return {required, ran: ran.map(([path, bytes]) => [path.replaceAll('\\', '/'), bytes])};
}

function compare(expected, found) {
  const problems = [
    ...differences('health', [...expected.node, ...expected.modules], [...found.node, ...found.modules]),
    ...Object.keys(USES).flatMap((name) => [
      ...differences(`${name}.cjs`, expected.files[name], found.files[name]),
      ...differences(`${name}.cjs`, expected.packages[name], found.packages[name]),
    ]),
  ];
  if (Math.abs(found.bytes / expected.bytes - 1) > TOLERANCE) {
    problems.push(`health loads ${found.bytes} bytes, not ${expected.bytes}`);
  }
  if (found.files.tokengate.includes('./rest.cjs')) problems.push('a start loads rest.cjs');
  if (problems.length === 0) return;
  for (const problem of problems) console.error(problem);
  console.error('If this is intended, run node scripts/check/loaded.mjs and commit scripts/check/loaded.json.');
  process.exitCode = 1;
}

function differences(what, expected, found) {
  return [
    ...found.filter((name) => !expected.includes(name)).map((name) => `${what} now loads ${name}`),
    ...expected.filter((name) => !found.includes(name)).map((name) => `${what} no longer loads ${name}`),
  ];
}
