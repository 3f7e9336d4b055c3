// npm runs this before it packs, and with --after when it has: what is packed has no script that npm could take for one
// of an installation. `prepare` builds a checkout, and would be reported to whoever installs the tarball.
import {existsSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {build, installPackages, ROOT} from '../setup.mjs';

const PACKAGE = join(ROOT, 'package.json');
const KEPT = join(ROOT, 'node_modules/.package.json.kept');

// Also when an earlier run was interrupted.
if (existsSync(KEPT)) renameSync(KEPT, PACKAGE);
if (!process.argv.includes('--after')) {
  installPackages();
  build();
  const text = readFileSync(PACKAGE, 'utf8');
  const {prepare, prepack, postpack, ...scripts} = JSON.parse(text).scripts;
  if ([prepare, prepack, postpack].includes(undefined))
    throw new Error('package.json lacks a script that packing needs.');
  // Moved, since the build is compared with its time.
  renameSync(PACKAGE, KEPT);
  writeFileSync(PACKAGE, `${JSON.stringify({...JSON.parse(text), scripts}, undefined, 2)}\n`);
}
