import {slotOf} from '../../../src/lib/redis/cluster/slots.js';
import type {KeyPair} from '../certificates.js';
import {freePort} from '../ports.js';
import {until} from '../until.js';
import {portOf, startRedis, type TestRedis} from './redis-server.js';

const SLOTS = 16_384;
/** One command for a node: tens of thousands would take longer than most tests. */
const WRITE_ALL = `for i = 1, #ARGV, 2 do redis.call('SET', ARGV[i], ARGV[i + 1]) end`;

export interface TestCluster {
  /** Of one of its nodes. */
  readonly url: string;
  /** The same with TLS, if it was started with that. */
  readonly tlsUrl: string;
  readonly primaries: readonly TestRedis[];
  /** One for each primary, in the same order; empty without `replicas`. */
  readonly replicas: readonly TestRedis[];
  /** The texts of all keys, on the nodes that serve them now. Null for a key that holds no text. */
  texts(): Promise<Map<string, string | null>>;
  /** Writes texts, each on the node that serves it. */
  write(texts: Record<string, string>): Promise<void>;
  /** The primary that serves a key, by its first slots. */
  primaryOf(key: string): Promise<TestRedis>;
  /** Begins to move a slot: from now on a key that is not on its node is looked up on the other. */
  beginMove(slot: number, from: TestRedis, to: TestRedis): Promise<void>;
  /** Moves this many keys of a slot; returns how many were moved. */
  moveKeys(slot: number, from: TestRedis, to: TestRedis, count: number): Promise<number>;
  endMove(slot: number, from: TestRedis, to: TestRedis): Promise<void>;
  /** Kills a primary, or stops it, and resolves when its replica has taken over and every other node knows. */
  failOver(index: number, signal?: 'SIGKILL' | 'SIGSTOP'): Promise<void>;
  stop(): Promise<void>;
}

/** Three primaries that serve a third of the slots each. */
export async function startCluster({
  replicas: hasReplicas = false,
  args = [],
  tls,
}: {
  replicas?: boolean;
  args?: string[];
  /** The files of the nodes, which also use TLS among themselves. */
  tls?: KeyPair & {ca: string};
} = {}): Promise<TestCluster> {
  const tlsArgs = async (): Promise<string[]> =>
    tls === undefined
      ? []
      : [
          ...['--tls-port', String(await freePort()), '--tls-cluster', 'yes', '--tls-replication', 'yes'],
          ...['--tls-cert-file', tls.cert, '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca],
          ...['--tls-auth-clients', 'no'],
        ];
  const start = async (): Promise<TestRedis> =>
    startRedis({
      tcp: true,
      args: [
        ...['--cluster-enabled', 'yes', '--cluster-port', String(await freePort()), '--cluster-node-timeout', '1000'],
        ...(await tlsArgs()),
        ...args,
      ],
    });
  const primaries = await Promise.all([start(), start(), start()]);
  const replicas = hasReplicas ? await Promise.all([start(), start(), start()]) : [];
  const all = [...primaries, ...replicas];
  const ask = async (node: TestRedis, ...command: string[]): Promise<unknown> =>
    node.client.sendCommand(['CLUSTER', ...command]);
  const ids = new Map(await Promise.all(all.map(async (node) => [node, String(await ask(node, 'MYID'))] as const)));
  const idOf = (node: TestRedis): string => ids.get(node) ?? '';
  for (const [index, node] of all.entries()) {
    await ask(node, 'SET-CONFIG-EPOCH', String(index + 1));
    if (index < 3) {
      const [first, last] = [index, index + 1].map((third) => Math.ceil((third * SLOTS) / 3));
      await ask(node, 'ADDSLOTSRANGE', String(first), String((last ?? 0) - 1));
    }
  }
  for (const node of all.slice(1)) {
    const bus = String((await node.client.configGet('cluster-port'))['cluster-port']);
    await ask(primaries[0], 'MEET', '127.0.0.1', portOf(node), bus);
  }
  const silent = new Set<TestRedis>();
  const isAlive = (node: TestRedis): boolean =>
    node.process.exitCode === null && node.process.signalCode === null && !silent.has(node);
  const everywhere = async (condition: (node: TestRedis) => Promise<boolean>): Promise<void> =>
    until(async () => (await Promise.all(all.filter(isAlive).map(condition))).every(Boolean));
  await everywhere(
    async (node) =>
      String(await ask(node, 'NODES'))
        .trim()
        .split('\n').length === all.length,
  );
  for (const [index, replica] of replicas.entries()) {
    await ask(replica, 'REPLICATE', idOf(primaries[index]!));
  }
  const isOk = async (node: TestRedis): Promise<boolean> => /^cluster_state:ok/m.test(String(await ask(node, 'INFO')));
  await everywhere(isOk);
  const isSynced = async (replica: TestRedis): Promise<boolean> =>
    /^master_link_status:up/m.test(await replica.client.info('replication'));
  await until(async () => (await Promise.all(replicas.map(isSynced))).every(Boolean));
  // Every node that can be asked must know each replica.
  await everywhere(async (node) => {
    const ranges = (await ask(node, 'SLOTS')) as unknown[][];
    return ranges.length === 3 && ranges.every((range) => range.length === (hasReplicas ? 4 : 3));
  });

  const serving = async (): Promise<TestRedis[]> => {
    const roles = await Promise.all(
      all.filter(isAlive).map(async (node) => ({node, role: await node.client.info('replication')})),
    );
    return roles.filter(({role}) => /^role:master/m.test(role)).map(({node}) => node);
  };
  const nodeOf = async (slot: number): Promise<TestRedis> => {
    const node = all.find(isAlive)!;
    const ranges = (await ask(node, 'SLOTS')) as [number, number, [string, number, string]][];
    const [, , [, port] = []] = ranges.find(([first, last]) => slot >= first && slot <= last) ?? [];
    return all.find((one) => portOf(one) === String(port))!;
  };
  const rangesOf = async (node: TestRedis): Promise<(readonly [first: number, last: number])[]> => {
    const ranges = (await ask(node, 'SLOTS')) as [number, number, [string, number]][];
    return ranges.filter(([, , [, port]]) => String(port) === portOf(node)).map(([first, last]) => [first, last]);
  };
  return {
    url: primaries[0].url,
    tlsUrl: `rediss://127.0.0.1:${(await primaries[0].client.configGet('tls-port'))['tls-port']}`,
    primaries,
    replicas,
    async texts() {
      const found = new Map<string, string | null>();
      for (const node of await serving()) {
        // Single ones: a script would wait while writes are paused.
        const keys = await node.client.keys('*');
        const texts = await Promise.all(keys.map((key) => node.client.get(key).catch(() => null)));
        for (const [index, key] of keys.entries()) found.set(key, texts[index] ?? null);
      }
      return found;
    },
    async write(texts) {
      const maps = await Promise.all(
        primaries.filter(isAlive).map(async (node) => ({node, ranges: await rangesOf(node)})),
      );
      const pairs = Object.entries(texts).map((pair) => ({pair, slot: slotOf(pair[0])}));
      await Promise.all(
        maps.map(async ({node, ranges}) => {
          const own = pairs.filter(({slot}) => ranges.some(([first, last]) => first <= slot && slot <= last));
          await node.client.sendCommand(['EVAL', WRITE_ALL, '0', ...own.flatMap(({pair}) => pair)]);
        }),
      );
      await Promise.all(
        primaries.filter(isAlive).map((node) => node.client.sendCommand(['WAIT', hasReplicas ? '1' : '0', '0'])),
      );
    },
    primaryOf: async (key) => nodeOf(slotOf(key)),
    async beginMove(slot, from, to) {
      await ask(to, 'SETSLOT', String(slot), 'IMPORTING', idOf(from));
      await ask(from, 'SETSLOT', String(slot), 'MIGRATING', idOf(to));
    },
    async moveKeys(slot, from, to, count) {
      const keys = (await ask(from, 'GETKEYSINSLOT', String(slot), String(count))) as string[];
      if (keys.length > 0) {
        await from.client.sendCommand(['MIGRATE', '127.0.0.1', portOf(to), '', '0', '5000', 'KEYS', ...keys]);
      }
      return keys.length;
    },
    async endMove(slot, from, to) {
      const id = idOf(to);
      for (const node of [to, from, ...primaries.filter((one) => one !== to && one !== from)]) {
        await ask(node, 'SETSLOT', String(slot), 'NODE', id);
      }
    },
    async failOver(index, signal = 'SIGKILL') {
      const primary = primaries[index]!;
      const ended = new Promise((resolve) => primary.process.once('exit', resolve));
      primary.process.kill(signal);
      if (signal === 'SIGSTOP') silent.add(primary);
      else await ended;
      const port = portOf(replicas[index]!);
      await everywhere(async (node) => {
        const ranges = (await ask(node, 'SLOTS')) as [number, number, [string, number]][];
        return ranges.some(([, , [, owner]]) => String(owner) === port) && (await isOk(node));
      });
    },
    async stop() {
      await Promise.all(all.map((node) => node.stop()));
    },
  };
}
