// Writes scripts/check/loaded.json: which modules `health` runs, of the bundle and of Node.js, and how large they are; with
// --check it only compares. A start is as fast as this list is short, and unlike its time the list is the same everywhere.
import {execFile} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';
import {promisify} from 'node:util';

import * as prettier from 'prettier';

import {makeBundle} from '../build/bundle/make.mjs';
import {ROOT} from '../setup.mjs';

const FILE = join(ROOT, 'scripts/check/loaded.json');
/** A change to a module that is loaded anyway is none of the list. */
const TOLERANCE = 0.05;

/** Runs the bundle in a process of its own, and reports what it required. */
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
  const loaded = await findLoaded();
  const text = await prettier.format(JSON.stringify(loaded), {parser: 'json', printWidth: 120});
  if (!process.argv.includes('--check')) writeFileSync(FILE, text);
  else compare(JSON.parse(readFileSync(FILE, 'utf8')), loaded);
} finally {
  rmSync(folder, {recursive: true});
}

async function findLoaded() {
  const files = await makeBundle({
    trace: (path, bytes) => `ran.push([${JSON.stringify(relative(ROOT, path))}, ${bytes}]);`,
  });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const runner = join(folder, 'run.cjs');
  const report = join(folder, 'report.json');
  writeFileSync(runner, RUNNER);
  const server = await startServer();
  try {
    const url = `redis://127.0.0.1:${server.address().port}`;
    const argv = [runner, join(folder, 'tokengate.cjs'), report, ROOT, 'health', '--redis-url', url];
    await promisify(execFile)(process.execPath, argv, {env: {HOME: folder}});
  } finally {
    server.close();
  }
  const {required, ran} = JSON.parse(readFileSync(report, 'utf8'));
  return {
    bytes: ran.reduce((sum, [, bytes]) => sum + bytes, 0),
    node: required.sort(),
    modules: ran.map(([path]) => path.replaceAll('\\', '/')).sort(),
  };
}

/** Answers each command as an empty Redis does. */
async function startServer() {
  const hello = ['version', '7.0.0', 'mode', 'standalone', 'role', 'master'];
  const list = `*${hello.length}\r\n${hello.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
  const server = createServer((socket) => {
    socket.on('data', (data) => {
      for (const [command] of String(data).matchAll(/^[A-Z]{3,}(?=\r$)/gm)) {
        socket.write(command === 'HELLO' ? list : '$-1\r\n');
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function compare(expected, found) {
  const problems = ['node', 'modules'].flatMap((kind) => [
    ...found[kind].filter((name) => !expected[kind].includes(name)).map((name) => `health now loads ${name}`),
    ...expected[kind].filter((name) => !found[kind].includes(name)).map((name) => `health no longer loads ${name}`),
  ]);
  if (Math.abs(found.bytes / expected.bytes - 1) > TOLERANCE) {
    problems.push(`health loads ${found.bytes} bytes, not ${expected.bytes}`);
  }
  if (problems.length === 0) return;
  for (const problem of problems) console.error(problem);
  console.error('If this is meant: run node scripts/check/loaded.mjs, and commit scripts/check/loaded.json.');
  process.exitCode = 1;
}
