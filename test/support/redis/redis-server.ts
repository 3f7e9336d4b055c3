import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {RedisClient} from 'redis';

import {freePort} from '../ports.js';

/** A separate client, so that the tested code does not check itself. */
type Client = ReturnType<typeof openClient>;

export interface TestRedis {
  /** `unix://…`, or `redis://127.0.0.1:…` if it was started with a port. */
  readonly url: string;
  readonly process: ChildProcess;
  readonly client: Client;
  /** Ends the server at once, even when it is stopped, and removes its files unless it was given a folder. */
  stop(): Promise<void>;
}

export interface RedisOptions {
  /** Listen on a TCP port too, and give its URL. */
  tcp?: boolean;
  /** More options, such as `--requirepass x`. */
  args?: string[];
  /** The password for the test's own client. */
  password?: string;
  /** Continue while it is still loading its data. */
  isLoading?: boolean;
  /** For its files. It stays at the end, so that another server can continue with them. */
  folder?: string;
}

/** A redis-server of its own without persistence, in a folder of its own, ready to answer. */
export async function startRedis({
  tcp = false,
  args = [],
  password,
  ...options
}: RedisOptions = {}): Promise<TestRedis> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'tokengate-redis-')));
  const socket = join(folder, 'redis.sock');
  const port = tcp ? await freePort() : 0;
  const server = spawn(
    'redis-server',
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', socket, '--dir', folder],
      ...['--save', '', '--appendonly', 'no'],
      // A replica has its copy at once, and within a second its Cluster counts it: by itself after 5 and 10 seconds.
      ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
      ...args,
    ],
    {stdio: ['ignore', 'pipe', 'inherit']},
  );
  await untilReady(server, options.isLoading === true ? /Server initialized/ : /ready to accept connections/i);
  const client = openClient({path: socket}, password);
  await client.connect();
  return {
    url: tcp ? `redis://127.0.0.1:${port}` : `unix://${socket}`,
    process: server,
    client,
    async stop() {
      client.destroy();
      const ended = new Promise((resolve) => server.once('exit', resolve));
      if (server.exitCode === null && server.signalCode === null) {
        server.kill('SIGKILL');
        await ended;
      }
      if (options.folder === undefined) await rm(folder, {recursive: true, force: true});
    },
  };
}

// Servers without HELLO are tested too.
const PROTOCOL = {RESP: 2} as const;
// One class for all: `createClient` makes one for each client, and attaches all of Redis's commands to it.
const newClient = RedisClient.factory(PROTOCOL);

/** The test's own client, still to be connected. */
export function openClient(place: {path: string} | {host: string; port: number}, password?: string) {
  const client = newClient({
    ...PROTOCOL,
    socket: {...place, reconnectStrategy: false, connectTimeout: 60_000},
    commandOptions: {timeout: 0},
    ...(password === undefined ? {} : {password}),
  });
  return client.on('error', () => {
    // A test that stops its server sees this in the tested code.
  });
}

/** The port in its URL: it must have been started with one. */
export function portOf({url}: TestRedis): string {
  return new URL(url).port;
}

async function untilReady(server: ChildProcess, ready: RegExp): Promise<void> {
  let log = '';
  await new Promise<void>((resolve, reject) => {
    server.stdout?.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (ready.test(log)) resolve();
    });
    server.once('exit', (code) => {
      reject(new Error(`redis-server ended with ${code}:\n${log}`));
    });
    server.once('error', reject);
  });
}
