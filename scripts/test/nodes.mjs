// Runs the tests of the built binary on each supported version of Node.js, with the programs in npm's `node-*`
// packages: npm run test:nodes -- [22] [test/binary/help.test.ts …]. It reports and skips a version that cannot be
// fetched.
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync} from 'node:fs';
import {join} from 'node:path';

import {installPackages, ROOT} from '../setup.mjs';

const LINES = ['20', '22', '24'];
const TESTS = ['test/binary', 'test/deployments'];
const FOLDER = join(ROOT, 'node_modules/.cache/nodes');

const words = process.argv.slice(2);
const lines = words.filter((word) => /^\d+$/.test(word));
const tests = words.filter((word) => !/^\d+$/.test(word));
installPackages();
const results = (lines.length > 0 ? lines : LINES).map((line) => {
  const node = fetchNode(line);
  if (node === undefined) return {line, result: 'not run: it could not be fetched'};
  const version = spawnSync(node, ['--version'], {encoding: 'utf8'}).stdout?.trim();
  if (!version) return {line, result: 'not run: it does not start on this machine'};
  const {status} = spawnSync('npm', ['test', '--', ...(tests.length > 0 ? tests : TESTS)], {
    cwd: ROOT,
    env: {...process.env, TOKENGATE_TEST_NODE: node},
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
  return {line, result: `${status === 0 ? 'passed' : 'FAILED'} on ${version}`};
});
for (const {line, result} of results) console.log(`Node.js ${line}: ${result}`);

/** The program's path. */
function fetchNode(line) {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(FOLDER, line);
  const program = join(folder, 'package/bin/node');
  if (existsSync(program)) return program;
  mkdirSync(folder, {recursive: true});
  const {status} = spawnSync('npm', ['pack', '--silent', `${name}@${line}`], {cwd: folder, stdio: 'ignore'});
  const archive = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  if (status !== 0 || archive === undefined) return undefined;
  return spawnSync('tar', ['xzf', archive], {cwd: folder}).status === 0 && existsSync(program) ? program : undefined;
}
