// All checks that do not run the CLI. A failure does not stop it, so one run shows all failures.
import {spawnSync} from 'node:child_process';

import {installPackages, ROOT} from '../setup.mjs';

const CHECKS = {
  format: 'prettier --check .',
  lint: 'eslint .',
  types: 'tsc',
  rooms: 'node scripts/check/rooms.mjs',
  Lua: 'node scripts/build/lua.mjs --check && node scripts/check/lua.mjs',
  'dead code': 'knip',
  'reasons for dependencies': 'node scripts/check/dependencies.mjs',
  // Not `npm run build`, which would write the manifest that is to be checked.
  manifest: 'node scripts/build/transpile.mjs && node scripts/build/manifest.mjs --check',
  'command pages': 'node scripts/build/docs.mjs --check',
  'what a start loads': 'node scripts/check/loaded.mjs --check',
  // Packing builds and so writes the manifest: after the check of the manifest.
  package: 'publint run --strict',
};

installPackages();
const failed = Object.entries(CHECKS).filter(([name, line]) => {
  console.log(`\n${name}: ${line}`);
  // npm has put the programs of node_modules on PATH.
  return spawnSync(line, {cwd: ROOT, shell: true, stdio: 'inherit'}).status !== 0;
});
console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.map(([name]) => name).join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
