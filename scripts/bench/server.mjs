// A Redis for measuring: without persistence, and gone when this process ends, however it ends.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdtempSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {clearTimeout, setTimeout} from 'node:timers';

import {feed, run} from './run.mjs';

/**
 * The shell holds the other end of a pipe. When this process ends, even by SIGKILL, the shell reads the end of the
 * pipe, ends the server and removes the folder.
 */
const KEEPER = `
folder=$1; shift
"$@" &
server=$!
trap 'kill -9 $server 2>/dev/null; rm -rf "$folder"' EXIT
cat >/dev/null`;

export async function startServer(program) {
  const cli = program.replace(/-server$/, '-cli');
  if (!existsSync(cli)) throw new Error(`Not found: ${cli}, which comes with ${program}.`);
  // The path of a socket may have about 100 bytes, and some systems' TMPDIR alone is that long.
  const folder = mkdtempSync(join(tmpdir().length > 60 ? '/tmp' : tmpdir(), 'tokengate-bench-'));
  const socket = join(folder, 'redis.sock');
  const port = String(await findFreePort());
  const options = [
    '--bind',
    '127.0.0.1',
    '--port',
    port,
    '--unixsocket',
    socket,
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  // Detached: Ctrl-C is for this process, which ends the server after everything that uses it.
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', folder, program, ...options], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(keeper, 'exit');
  await untilReady(keeper);

  const send = async (...words) => (await run(cli, ['-s', socket, ...words], {keepOutput: true})).stdout.trim();
  return {
    folder,
    cli,
    url: `unix://${encodeURI(socket)}`,
    /** The ways to it: for tokengate, and as options of redis-cli. */
    places: {
      TCP: {url: `redis://127.0.0.1:${port}`, options: ['-h', '127.0.0.1', '-p', port]},
      socket: {url: `unix://${encodeURI(socket)}`, options: ['-s', socket]},
    },
    send,
    /** Without the journal. */
    countKeys: async () => Number(await send('DBSIZE')) - Number(await send('EXISTS', 'tokengate:journal')),
    async version() {
      const info = await send('INFO', 'server');
      return /^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown';
    },
    /** Exactly this data, and nothing else. */
    async load({files, keys}) {
      await send('FLUSHALL');
      await feed(cli, ['-s', socket, '--pipe'], files.load);
      const found = Number(await send('DBSIZE'));
      if (found !== keys) throw new Error(`${found} keys were loaded in place of ${keys}.`);
    },
    feed: (file) => feed(cli, ['-s', socket, '--pipe'], file),
    async stop() {
      keeper.stdin.end();
      await ended;
    },
  };
}

/** Another process may take it before Redis does: then Redis does not start, and says so. */
async function findFreePort() {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const {port} = holder.address();
  holder.close();
  await once(holder, 'close');
  return port;
}

async function untilReady(keeper) {
  let log = '';
  await new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => reject(new Error(`The server did not start:\n${log}`)), 10_000);
    keeper.once('error', reject);
    keeper.stdout.setEncoding('utf8').on('data', (text) => {
      log += text;
      if (!/ready to accept connections/i.test(log)) return;
      clearTimeout(giveUp);
      resolve();
    });
  });
}
