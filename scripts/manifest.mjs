// Writes oclif.manifest.json from the built commands, the same file that `oclif manifest` would write; with --check it
// only compares, and fails when the committed file is stale.
import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

import {Plugin} from '@oclif/core';
import * as prettier from 'prettier';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = `${root}oclif.manifest.json`;

const plugin = new Plugin({
  root,
  type: 'core',
  ignoreManifest: true,
  errorOnManifestCreate: true,
  respectNoCacheDefault: true,
});
await plugin.load();
const text = await prettier.format(JSON.stringify(plugin.manifest), {parser: 'json'});

if (!process.argv.includes('--check')) {
  await writeFile(file, text);
} else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
  console.error('oclif.manifest.json is stale: run npm run build, and commit it.');
  process.exitCode = 1;
}
