// Runs the tests: all of them, or those that the arguments choose for vitest.
import {spawn} from 'node:child_process';
import {symlinkSync, rmSync} from 'node:fs';
import {basename, join} from 'node:path';

import {installPackages, provide, ROOT} from './setup.mjs';

installPackages();
const [server] = provide('redis', 'jq', 'python', 'script', 'promtool');
if (basename(server) !== 'redis-server') {
  // The tests start `redis-server`; Valkey's is the same under another name, and npm has this folder on PATH.
  const link = join(ROOT, 'node_modules/.bin/redis-server');
  rmSync(link, {force: true});
  symlinkSync(server, link);
}

const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
const tests = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {cwd: ROOT, stdio: 'inherit'});
// The tests get what is typed at the terminal too; they end first, having stopped their servers.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => tests.kill(signal));
tests.once('exit', (code) => (process.exitCode = code ?? 1));
