import type {Socket} from 'node:net';

import {slotOf, SLOTS} from '../../../src/lib/redis/cluster/slots.js';
import {type Answer, type RespServer, startRespServer} from './resp-server.js';

/** The node answers normally. */
export const AS_EVER = Symbol('as ever');

/** A node's answer to a command; it may wait, or end the connection. */
export type Judge = (
  node: number,
  command: string[],
  socket: Socket,
) => Answer | typeof AS_EVER | Promise<Answer | typeof AS_EVER>;

/** The first and the last slot, the primary, and its replicas, as numbers of nodes. */
export type Range = [first: number, last: number, primary: number, ...replicas: number[]];

/** Servers that speak like the nodes of a cluster, for events that a real one produces too rarely or too slowly. */
export interface FakeCluster {
  readonly nodes: readonly RespServer[];
  /** Of the first node. */
  readonly url: string;
  /** Which node serves which slots, according to all nodes. */
  ranges: Range[];
  /** The keys of a node, on pages of SCAN. */
  readonly pages: string[][][];
  /** A node's report on moving slots: `[5->-id]`, `[5-<-id]`. */
  readonly moving: string[];
  /** The commands sent to each node, without those that open a connection and ask for the slots. */
  readonly log: string[][];
  judge: Judge;
  /** `127.0.0.1:…` */
  addressOf(node: number): string;
  stop(): Promise<void>;
}

const ROLES = ['server', 'redis', 'version', '7.9.9', 'proto', 2, 'id', 1, 'mode', 'cluster', 'role', 'master'];

/** Each of the first three nodes serves a third of the slots; the others serve nothing. */
export async function startFakeCluster(count = 3): Promise<FakeCluster> {
  const nodes = await Promise.all(
    Array.from({length: count}, (_, node) =>
      startRespServer(async (command, socket) => {
        const answer = await cluster.judge(node, command, socket);
        if (!['HELLO', 'CLUSTER'].includes(command[0] ?? '')) cluster.log[node]?.push(command.join(' '));
        return answer === AS_EVER ? asEver(node, command) : answer;
      }),
    ),
  );
  const third = (index: number): number => Math.ceil((index * SLOTS) / 3);
  const cluster: FakeCluster = {
    nodes,
    url: nodes[0]?.url ?? '',
    ranges: [0, 1, 2].map((node): Range => [third(node), third(node + 1) - 1, node]),
    pages: nodes.map(() => []),
    moving: nodes.map(() => ''),
    log: nodes.map(() => []),
    judge: () => AS_EVER,
    addressOf: (node) => `127.0.0.1:${nodes[node]?.port ?? 0}`,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
  const asEver = (node: number, [name = '', ...args]: string[]): Answer => {
    const keys = cluster.pages[node]?.flat() ?? [];
    switch (name) {
      case 'HELLO':
        return ROLES;
      case 'GET':
        return `${args[0] ?? ''} on ${node}`;
      case 'MGET':
        return args.map((key) => `${key} on ${node}`);
      case 'EXISTS':
        return 1;
      case 'WAIT':
        return 1;
      case 'SCAN': {
        const pages = cluster.pages[node] ?? [];
        const next = Number(args[0]) + 1;
        return [String(next >= pages.length ? 0 : next), pages[Number(args[0])] ?? []];
      }
      case 'CLUSTER':
        break;
      default:
        return `${name} on ${node}`;
    }
    const toNode = (one: number): Answer => ['127.0.0.1', nodes[one]?.port ?? 0, `id${one}`];
    const inSlot = keys.filter((key) => String(slotOf(Buffer.from(key, 'latin1'))) === args[1]);
    switch (args[0]) {
      case 'SLOTS':
        return cluster.ranges.map(([first, last, ...owners]) => [first, last, ...owners.map(toNode)]);
      case 'NODES': {
        const own = cluster.ranges
          .filter(([, , primary]) => primary === node)
          .map(([first, last]) => `${first}-${last}`);
        const words = [`id${node}`, `${cluster.addressOf(node)}@1`, 'myself,master - 0 0 1 connected', ...own];
        return `${[...words, cluster.moving[node]].join(' ').trimEnd()}\n`;
      }
      case 'COUNTKEYSINSLOT':
        return inSlot.length;
      case 'GETKEYSINSLOT':
        return inSlot.slice(0, Number(args[2]));
      default:
        return new Error('ERR unknown subcommand');
    }
  };
  return cluster;
}
