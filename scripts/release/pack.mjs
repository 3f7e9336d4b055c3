// npm runs this before packing and, with --after, afterwards. npm reports a `prepare` script in a tarball as an install
// script, although it only builds a checkout: the packed package.json has none.
import {existsSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {build, installPackages, ROOT} from '../setup.mjs';

const PACKAGE = join(ROOT, 'package.json');
const KEPT = join(ROOT, 'node_modules/.package.json.kept');

// An earlier run may have been interrupted.
if (existsSync(KEPT)) renameSync(KEPT, PACKAGE);
if (!process.argv.includes('--after')) {
  installPackages();
  build();
  const text = readFileSync(PACKAGE, 'utf8');
  const {prepare, prepack, postpack, ...scripts} = JSON.parse(text).scripts;
  if ([prepare, prepack, postpack].includes(undefined))
    throw new Error('package.json lacks a script that packing needs.');
  // Moved, not copied: the build compares itself with its time.
  renameSync(PACKAGE, KEPT);
  writeFileSync(PACKAGE, `${JSON.stringify({...JSON.parse(text), scripts}, undefined, 2)}\n`);
}
