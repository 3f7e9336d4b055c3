// Writes the code that V8 has compiled to the user's cache folder. Apart from bin/run.js, which is compiled at every start.
'use strict';

const fs = require('node:fs');
const {join} = require('node:path');

/** How many are kept: of each file of dist one, for each version of the CLI and of Node.js that is in use. */
const MAX_FILES = 32;
/** No one but the owner may write. */
const FOLDER_MODE = 0o700;

/**
 * Adds the task to each of the files, or does nothing where that is not possible.
 *
 * @param {{folders: string[], isOwnFolder: (path: string, index: number) => boolean, mode: number}} place the folders from
 *   the user's cache folder to that of the files, and the mode of these
 * @param {[string, {script: object, tasks: string[]}][]} files by their paths
 */
module.exports = function keepCode({folders, isOwnFolder, mode}, files, task) {
  try {
    for (const [index, folder] of folders.entries()) {
      // Not recursive: a home folder that does not exist is not made.
      if (!fs.existsSync(folder)) fs.mkdirSync(folder, {mode: FOLDER_MODE});
      // What it holds could not be trusted.
      if (!isOwnFolder(folder, index)) return;
    }
    for (const [path, {script, tasks}] of files) write(path, mode, [...tasks, task], script.createCachedData());
    removeOldest(folders.at(-1));
  } catch {
    // The next start takes as long as this one did.
  }
};

/** Other processes see the old file or the new one, and never a part of it. */
function write(path, mode, tasks, code) {
  const body = Buffer.concat([Buffer.from(`${tasks.join(' ')}\n`), code]);
  const temporary = `${path}.${process.pid}`;
  try {
    // Twice: see `readCache`.
    fs.writeFileSync(temporary, Buffer.concat([body, body]), {mode, flag: 'wx'});
    fs.renameSync(temporary, path);
  } finally {
    fs.rmSync(temporary, {force: true});
  }
}

function removeOldest(folder) {
  const files = fs.readdirSync(folder).map((name) => join(folder, name));
  const age = (path) => fs.statSync(path, {throwIfNoEntry: false})?.mtimeMs ?? 0;
  const ages = new Map(files.map((path) => [path, age(path)]));
  files.sort((a, b) => ages.get(b) - ages.get(a));
  for (const path of files.slice(MAX_FILES)) fs.rmSync(path, {force: true});
}
