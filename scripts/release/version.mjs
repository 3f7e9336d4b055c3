// npm runs this in `npm version`, after it has changed package.json and before it commits. It updates the other files
// with the version, and adds them to that commit.
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {build, installPackages, ROOT} from '../setup.mjs';

const UNRELEASED = '## [Unreleased]';

const {version} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
dateChangelog(new Date().toISOString().slice(0, 10));
installPackages();
build();
if (existsSync(join(ROOT, '.git'))) run('git', ['add', 'CHANGELOG.md', 'docs/commands', 'oclif.manifest.json']);

/** The unreleased entries become those of this version. */
function dateChangelog(date) {
  const file = join(ROOT, 'CHANGELOG.md');
  const text = readFileSync(file, 'utf8');
  const heading = `## [${version}] - ${date}`;
  const dated = text
    .replace(`## [${version}] - unreleased`, heading)
    .replace(new RegExp(`^${UNRELEASED.replace(/[[\]]/g, '\\$&')}$`, 'm'), `${UNRELEASED}\n\n${heading}`);
  if (dated === text) throw new Error(`CHANGELOG.md has no '${UNRELEASED}', and nothing on ${version}.`);
  writeFileSync(file, dated);
}

function run(program, args) {
  const {status, stderr} = spawnSync(program, args, {cwd: ROOT, encoding: 'utf8'});
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}:\n${stderr}`);
}
