// Runs the tests: all of them, or those that the arguments choose for vitest.
import {spawn} from 'node:child_process';
import {symlinkSync, rmSync} from 'node:fs';
import {basename, join} from 'node:path';

import {installPackages, provide, ROOT} from '../setup.mjs';

installPackages();
const [server] = provide('redis', 'jq', 'openssl', 'python', 'zsh', 'fish', 'script', 'promtool', 'chromium');
if (basename(server) !== 'redis-server') {
  // The tests start `redis-server` and use `redis-cli`; Valkey's programs are the same under other names. npm has this
  // folder on PATH.
  for (const program of ['server', 'cli']) {
    const link = join(ROOT, `node_modules/.bin/redis-${program}`);
    rmSync(link, {force: true});
    symlinkSync(server.replace(/server$/, program), link);
  }
}

const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
const tests = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {cwd: ROOT, stdio: 'inherit'});
// The tests receive keys typed at the terminal too; they end first, after stopping their servers.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => tests.kill(signal));
tests.once('exit', (code) => (process.exitCode = code ?? 1));
