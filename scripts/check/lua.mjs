// Checks every script of lua/ with luacheck, complete as Redis runs it. Findings name the original file and line.
import {spawnSync} from 'node:child_process';

import {joinScript, listScripts} from '../build/lua.mjs';
import {provide} from '../setup.mjs';

const [luacheck] = provide('luacheck');
const OPTIONS = ['--no-config', '--std', 'lua51', '--read-globals', 'KEYS', 'ARGV', 'redis', 'cjson'];

const found = new Set();
for (const name of listScripts()) {
  const lines = joinScript(name);
  const input = lines.map(({text}) => text).join('\n');
  const options = [...OPTIONS, '--formatter', 'plain', '--max-line-length', '130', '-'];
  const {stdout, stderr, error} = spawnSync(luacheck, options, {input, encoding: 'utf8'});
  if (error !== undefined || stderr !== '') throw error ?? new Error(stderr);
  for (const message of stdout.split('\n').filter((line) => line !== '')) {
    const [, number, rest] = /^[^:]*:(\d+):\d+: (.*)$/.exec(message) ?? [];
    const at = lines[Number(number) - 1];
    found.add(at === undefined ? `lua/${name}.lua: ${message}` : `${at.file}:${at.line}: ${rest}`);
  }
}
for (const message of found) console.error(message);
process.exitCode = found.size === 0 ? 0 : 1;
