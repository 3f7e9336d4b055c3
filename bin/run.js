#!/usr/bin/env node
// Starts the CLI, which is one file, dist/tokengate.cjs. Half of what a start takes is compiling it, so the code that V8
// has compiled is kept in the user's cache folder: after a run, because only then are the functions in it that run.
//
// What is kept is code that will be run. It is taken only from a file of the user's own that no one else can write, and
// whatever is wrong with it, the CLI starts without it. CommonJS, and no more than these modules, since this file itself
// is compiled at every start.
'use strict';

// A TAB in a shell is no command: it has a small file of its own.
if (process.argv[2] === '__complete') return require('../dist/complete.cjs');

const fs = require('node:fs');

if (['--version', '-v'].includes(process.argv[2]) && writeVersion()) return;

const {dirname, isAbsolute, join} = require('node:path');
const {Script} = require('node:vm');

const ROOT = dirname(__dirname);
const DIST = join(ROOT, 'dist');
/** No one but the owner may read or write what is kept. */
const FILE_MODE = 0o600;
const NEWLINE = 10;

const folder = cacheFolder();
/** What has been loaded of dist: the scripts, by the paths of their code. */
const loaded = new Map();
const isFolderSafe = folder !== undefined && isSafe(folder);
const requireFromDist = Object.assign((name) => (name.startsWith('./') ? load(name) : require(name)), require);

const {main, commands} = load('./tokengate.cjs');
if (folder !== undefined) process.once('exit', keepCode);
main(ROOT);

/** As `require` does, with the code that is kept of the file. */
function load(name) {
  const path = join(DIST, name);
  const known = require.cache[path];
  if (known !== undefined) return known.exports;
  // ASCII, which the build sees to; read as what it is not, each character would be decoded. By the shortest way: Node.js
  // compiles each function of its own that is used.
  const source = fs.readFileSync(path).latin1Slice();
  // The build begins a file with a comment of nothing but the hash of all that follows.
  const hash = source.slice(2, 66);
  const file = folder === undefined ? undefined : join(folder, `${hash}-${process.version}-${process.arch}`);
  const cached = file !== undefined && isFolderSafe ? readCache(file) : undefined;
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname, importModule) {${source}\n})`,
    {
      filename: path,
      cachedData: cached?.code,
    },
  );
  if (file !== undefined) {
    loaded.set(file, {script, tasks: cached === undefined || script.cachedDataRejected ? [] : cached.tasks});
  }
  const module = {exports: {}, filename: path, id: path, loaded: true};
  // oclif requires the first one by its path, for the help and for what package.json does not name.
  require.cache[path] = module;
  script.runInThisContext()(module.exports, requireFromDist, module, path, DIST, (url) => import(url));
  return module.exports;
}

/**
 * In the words of oclif, which takes as long to load as Node.js itself.
 *
 * @returns false where oclif has something else to say: on the Linux in Windows, and of an output that fails
 */
function writeVersion() {
  const {arch, platform, version: node} = process;
  if (platform === 'linux' && /microsoft/i.test(require('node:os').release())) return false;
  const {name, version} = require('../package.json');
  try {
    fs.writeSync(1, `${name}/${version} ${platform}-${arch === 'ia32' ? 'x86' : arch} node-${node}\n`);
  } catch {
    return false;
  }
  return true;
}

/** After the first successful run of each command, when there is something in memory that is not in the files yet. */
function keepCode(exitCode) {
  if (exitCode !== 0) return;
  const task = currentTask();
  const stale = [...loaded].filter(([, {tasks}]) => !tasks.includes(task));
  if (stale.length === 0) return;
  require('./keep-code.js')({folders: foldersOf(folder), isOwnFolder, mode: FILE_MODE}, stale, task);
}

/** The command that was run, or which kind of help; other words would each count as new. */
function currentTask() {
  const [command = '', ...words] = process.argv.slice(2);
  if (!Object.hasOwn(commands, command)) return words.length > 0 ? 'help-command' : 'help';
  return words.includes('--help') || words.includes('-h') ? 'help-command' : command;
}

/** Undefined where there is no folder for it. */
function cacheFolder() {
  const {XDG_CACHE_HOME: cache = '', HOME: home = ''} = process.env;
  if (process.geteuid === undefined) return undefined;
  if (isAbsolute(cache)) return join(cache, 'tokengate', 'code');
  return isAbsolute(home) ? join(home, '.cache', 'tokengate', 'code') : undefined;
}

/** Undefined when there is none that can be trusted and is whole. */
function readCache(path) {
  let descriptor;
  try {
    descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const stats = fs.fstatSync(descriptor);
    if (!stats.isFile() || stats.uid !== process.geteuid() || (stats.mode & 0o777) !== FILE_MODE) return undefined;
    const content = Buffer.allocUnsafeSlow(stats.size);
    if (fs.readSync(descriptor, content) !== stats.size) return undefined;
    // V8 itself does not look whether its data is damaged. A checksum would need node:zlib, which takes longer to load
    // than a second copy to compare.
    const body = content.subarray(0, stats.size / 2);
    const end = Uint8Array.prototype.indexOf.call(body, NEWLINE);
    if (end === -1 || !body.equals(content.subarray(stats.size / 2))) return undefined;
    return {tasks: body.latin1Slice(0, end).split(' '), code: body.subarray(end + 1)};
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

/** From the user's cache folder to our own. */
function foldersOf(own) {
  return [dirname(dirname(own)), dirname(own), own];
}

/** Whether all that leads to the folder can be trusted. */
function isSafe(own) {
  try {
    return foldersOf(own).every(isOwnFolder);
  } catch {
    return false;
  }
}

/** The user's own, and no one else can put a file there or take its place. */
function isOwnFolder(folder, index) {
  // The cache folder as a whole may well be a link to another disk.
  const stats = index === 0 ? fs.statSync(folder) : fs.lstatSync(folder);
  return stats.isDirectory() && stats.uid === process.geteuid() && (stats.mode & 0o022) === 0;
}
