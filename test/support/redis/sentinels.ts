import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';

import {freePort} from '../ports.js';
import {until} from '../until.js';
import {openClient, portOf, startRedis, type TestRedis} from './redis-server.js';

type Client = ReturnType<typeof openClient>;

export interface Sentinels {
  readonly primary: TestRedis;
  readonly replica: TestRedis;
  readonly ports: readonly number[];
  readonly processes: readonly ChildProcess[];
  /** `redis+sentinel://…/mymaster` */
  readonly url: string;
  /**
   * Resolves when the replica has taken over and all Sentinels say so, with a new client for it: it has cut off the old
   * one.
   */
  failedOver(): Promise<Client>;
  stop(): Promise<void>;
}

interface Options {
  /** The number of Sentinels; more than half of them elect. */
  count?: number;
  /** Of the Sentinels themselves. */
  password?: string;
  /** For the primary and its replica, if `args` set one. */
  primaryPassword?: string;
  /** More options of the primary alone. */
  primaryArgs?: string[];
  /** More options of the primary and its replica. */
  args?: string[];
}

/** A primary and a replica with all of its data, watched by Sentinels that know each other. */
export async function startSentinels({
  count = 3,
  password,
  primaryPassword,
  primaryArgs = [],
  args = [],
}: Options = {}): Promise<Sentinels> {
  const passwords = primaryPassword === undefined ? {} : {password: primaryPassword};
  const primary = await startRedis({tcp: true, args: [...args, ...primaryArgs], ...passwords});

  const primaryPort = portOf(primary);
  const replica = await startRedis({tcp: true, args: [...args, '--replicaof', '127.0.0.1', primaryPort], ...passwords});
  await until(async () => /^master_link_status:up/m.test(await replica.client.info('replication')));

  const folder = await mkdtemp(join(tmpdir(), 'tokengate-sentinel-'));
  const ports = await Promise.all(Array.from({length: count}, freePort));
  const processes = await Promise.all(
    ports.map(async (port) => {
      return startSentinel(folder, port, [
        `sentinel monitor mymaster 127.0.0.1 ${primaryPort} ${Math.floor(count / 2) + 1}`,
        'sentinel down-after-milliseconds mymaster 500',
        'sentinel failover-timeout mymaster 3000',
        ...(primaryPassword === undefined ? [] : [`sentinel auth-pass mymaster ${primaryPassword}`]),
        ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
      ]);
    }),
  );
  const ask = async (...command: string[]): Promise<unknown[]> =>
    Promise.all(
      ports.map(async (port, index) => {
        if (processes[index]?.exitCode !== null || processes[index].signalCode !== null) return undefined;
        const client = openClient({host: '127.0.0.1', port}, password);
        await client.connect();
        try {
          return await client.sendCommand(['SENTINEL', ...command, 'mymaster']);
        } finally {
          client.destroy();
        }
      }),
    );
  // A Sentinel that does not know the others or the replica yet can't elect a new primary.
  await until(async () => {
    const fields = await ask('MASTER');
    return fields.every((list) => {
      const words = list as string[];
      const valueOf = (name: string): string | undefined => words[words.indexOf(name) + 1];
      return valueOf('num-other-sentinels') === String(count - 1) && valueOf('num-slaves') === '1';
    });
  });

  const clients: Client[] = [];
  return {
    primary,
    replica,
    ports,
    processes,
    url: `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/mymaster`,
    async failedOver() {
      await until(async () => {
        const addresses = await ask('GET-MASTER-ADDR-BY-NAME');
        return addresses.every((address) => address === undefined || (address as string[])[1] === portOf(replica));
      });
      const client = openClient({host: '127.0.0.1', port: Number(portOf(replica))}, primaryPassword);
      clients.push(client);
      return client.connect();
    },
    async stop() {
      for (const client of clients) client.destroy();
      await Promise.all(
        processes.map(async (sentinel) => {
          if (sentinel.exitCode !== null || sentinel.signalCode !== null) return;
          const ended = new Promise((resolve) => sentinel.once('exit', resolve));
          sentinel.kill('SIGKILL');
          await ended;
        }),
      );
      await Promise.all([primary.stop(), replica.stop()]);
      await rm(folder, {recursive: true, force: true});
    },
  };
}

/** A Sentinel with these lines in its configuration, ready to answer. */
export async function startSentinel(folder: string, port: number, lines: readonly string[]): Promise<ChildProcess> {
  const file = join(folder, `${port}.conf`);
  await writeFile(file, `${['bind 127.0.0.1', `port ${port}`, `dir ${folder}`, ...lines].join('\n')}\n`);
  const sentinel = spawn('redis-server', [file, '--sentinel'], {stdio: ['ignore', 'pipe', 'inherit']});
  for await (const line of createInterface({input: sentinel.stdout})) if (line.includes('Sentinel ID is')) break;
  sentinel.stdout.resume();
  return sentinel;
}
