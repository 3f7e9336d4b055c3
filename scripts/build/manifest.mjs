// Writes oclif.manifest.json from the compiled commands, like `oclif manifest`; with --check it only compares, and
// fails when the committed file is stale.
import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

import {Plugin} from '@oclif/core';
import * as prettier from 'prettier';

const root = fileURLToPath(new URL('../..', import.meta.url));
const file = `${root}oclif.manifest.json`;

const pjson = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
const text = await makeManifest('./build/commands');
// Commands that another oclif CLI does not get with this package. The bundle contains them.
await writeFile(`${root}build/own.manifest.json`, await makeManifest('./build/standalone-commands'));

if (!process.argv.includes('--check')) {
  await writeFile(file, text);
} else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  console.error('oclif.manifest.json is stale: run npm run build, and commit it.');
  process.exitCode = 1;
}

async function makeManifest(folder) {
  const plugin = new Plugin({
    root,
    type: 'core',
    isRoot: true,
    // package.json names the bundle, which contains the manifest.
    pjson: {...pjson, oclif: {...pjson.oclif, commands: folder}},
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  });
  await plugin.load();
  const {commands, version} = plugin.manifest;
  // The path of its file means nothing for a command in the bundle.
  for (const command of Object.values(commands)) {
    delete command.isESM;
    delete command.relativePath;
  }
  return prettier.format(JSON.stringify({commands, version}), {parser: 'json'});
}
