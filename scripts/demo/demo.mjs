// Shows the main job on real gateway data, in a Redis of its own that is gone afterwards; with --shell it leaves that to
// the user instead.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {constants, tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';
import {styleText} from 'node:util';

import {build, installPackages, provide, ROOT} from '../setup.mjs';
import {loadSnapshot} from './snapshot.mjs';

/** `then` is what the step must leave in Redis, by key; null for no such key. */
const STEPS = [
  {
    why: 'Who has spent how much? Some IDs are odd: any API client can choose one.',
    line: 'tokengate list-sessions',
  },
  {
    why: 'The session "trial" has used more than half of its five cents.',
    line: 'tokengate get-budget trial',
  },
  {
    why: 'Give it room before the gateway has to refuse it.',
    line: 'tokengate set-budget trial 25.50',
    then: {'session:trial:budget': '25.50'},
  },
  {
    why: 'The gateway has frozen "bot-attack" for five minutes. Hold it for an hour, to look into it.',
    line: 'tokengate freeze-session bot-attack --reason "Unusual traffic pattern"',
    then: {'anomaly:bot-attack:freeze_reason': 'Unusual traffic pattern'},
  },
  {
    why: 'What did it do?',
    line: 'tokengate anomaly-stats bot-attack',
  },
  {
    why: 'A false alarm: let it go on. Its counters go too, or its next request would freeze it again.',
    line: 'tokengate unfreeze-session bot-attack',
    then: {
      'anomaly:bot-attack:frozen_until': null,
      'anomaly:bot-attack:freeze_reason': null,
      'anomaly:bot-attack:identical_count': null,
    },
  },
  {
    why: 'Would the gateway let its next request pass now, and why?',
    line: 'tokengate explain-session bot-attack',
  },
  {
    why: 'A job is over: remove its budget and what it has spent. Without --yes this would ask first.',
    line: 'tokengate reset-session batch-job --yes',
    then: {'session:batch-job:budget': null, 'session:batch-job:spent': null},
  },
  {
    why: 'That was the wrong job. What was removed is in the journal of changes, and can be put back.',
    line: 'tokengate undo-change --last --yes',
    then: {'session:batch-job:budget': '10.0', 'session:batch-job:spent': '0.000450000000000000100'},
  },
  {
    why: 'Who changed what? Here it was all you.',
    line: 'tokengate list-changes',
  },
  {
    why: 'For monitoring: can Redis be read and written? The exit code says it too.',
    line: 'tokengate health',
  },
];

const args = process.argv.slice(2);
if (args.some((argument) => argument !== '--shell')) {
  process.stderr.write('Usage: npm run demo [-- --shell]\n');
  process.exit(1);
}
const wantsShell = args.length > 0;
installPackages();
build();
const [program] = provide('redis');
const {createClient} = await import('redis');

let folder, server, child, ending;
process.once('exit', () => {
  child?.kill('SIGHUP');
  server?.kill('SIGKILL');
  if (folder !== undefined) rmSync(folder, {recursive: true, force: true, maxRetries: 5});
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // In the shell, Ctrl-C is for the command that runs there.
    if (signal !== 'SIGINT' || !wantsShell) void end(128 + constants.signals[signal]);
  });
}
// The reader has gone.
process.stdout.on('error', () => void end(1));

// The path of a socket may have about 100 bytes, and some systems' TMPDIR alone is that long.
folder = mkdtempSync(join(tmpdir().length > 60 ? '/tmp' : tmpdir(), 'tokengate-demo-'));
const socket = join(folder, 'redis.sock');
await startServer();
const redis = createClient({socket: {path: socket, reconnectStrategy: false}, commandOptions: {timeout: 0}});
redis.on('error', () => {
  // Steps that need the connection fail by themselves.
});
await redis.connect();
await loadSnapshot(redis);
const env = {
  ...process.env,
  PATH: `${launcherFolder()}${delimiter}${process.env.PATH}`,
  TOKENGATE_REDIS_URL: `unix://${encodeURI(socket)}`,
};
await end(wantsShell ? await openShell() : await walkThrough());

/** Without a port or persistence, and unaffected by Ctrl-C, which is for the commands. */
async function startServer() {
  const options = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '', '--appendonly', 'no'];
  server = spawn(program, options, {detached: true, stdio: ['ignore', 'pipe', 'inherit']});
  let log = '';
  await new Promise((resolve, reject) => {
    server.stdout.setEncoding('utf8').on('data', (text) => {
      log += text;
      if (/ready to accept connections/i.test(log)) resolve();
    });
    server.once('exit', (code) => reject(new Error(`${program} ended with ${code}:\n${log}`)));
    server.once('error', reject);
  });
}

async function walkThrough() {
  for (const {why, line, then = {}} of STEPS) {
    say(`\n${why}`, bold(`$ ${line}`));
    // Without a shell that stays: ending the child must end the command.
    const code = await run(`exec ${line}`, {shell: true, stdio: ['ignore', 'inherit', 'inherit']});
    if (ending) return 1;
    if (code !== 0) return fail(`\`${line}\` ended with exit code ${code}.`);
    for (const [key, expected] of Object.entries(then)) {
      const found = await redis.get(key);
      if (found !== expected) return fail(`After \`${line}\`, ${key} is ${found} and not ${expected}.`);
    }
  }
  say('\nThat was all. Try it yourself: npm run demo -- --shell');
  return 0;
}

async function openShell() {
  say(
    'Until you leave this shell, a Redis with a sample of real gateway data is up, and TOKENGATE_REDIS_URL leads to it.',
    'Begin with `tokengate list-sessions` or `tokengate help`; leave with `exit`.',
  );
  const {SHELL: shell = ''} = process.env;
  await run(existsSync(shell) ? shell : 'sh', {stdio: 'inherit'});
  // The exit code of the last command in the shell is not the demo's.
  return 0;
}

async function run(file, options) {
  child = spawn(file, {...options, env});
  const [code] = await once(child, 'exit');
  return code;
}

/** A folder for PATH, in which the built CLI is `tokengate`. */
function launcherFolder() {
  const launchers = join(folder, 'bin');
  const words = [process.execPath, join(ROOT, 'bin/run.js')].map(
    (word) => `'${word.replaceAll("'", String.raw`'\''`)}'`,
  );
  mkdirSync(launchers, {recursive: true});
  writeFileSync(join(launchers, 'tokengate'), `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, {mode: 0o755});
  return launchers;
}

function say(...lines) {
  for (const line of lines) process.stdout.write(`${line}\n`);
}

function bold(text) {
  return process.stdout.hasColors?.() ? styleText('bold', text) : text;
}

function fail(text) {
  process.stderr.write(`The demo failed. ${text}\n`);
  return 1;
}

/** Ends the demo once; the server is gone when the user gets the prompt back. */
function end(code) {
  ending ??= (async () => {
    child?.kill('SIGHUP');
    if (server?.kill('SIGKILL')) await once(server, 'exit');
    process.exit(code);
  })();
  return ending;
}
