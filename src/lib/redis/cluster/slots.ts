import type {RedisText} from '../contract.js';
import type {Endpoint} from '../url.js';
import {addressOf} from '../url.js';

/** The keys of a Redis Cluster are in so many slots, each of which one primary serves. */
export const SLOTS = 16_384;

/** Which node serves which slot, according to one of them. */
export interface SlotMap {
  /** The address of each slot's primary; undefined for a slot that no node serves. */
  owners: (string | undefined)[];
  /** By address. */
  primaries: Map<string, {endpoint: Endpoint; replicas: Endpoint[]}>;
}

/** What one primary says of its own slots. */
export interface OwnSlots {
  owned: Set<number>;
  /** Slots of its own whose keys are moving to another node. */
  leaving: Set<number>;
  /** Slots whose keys are moving to it; not its own yet. */
  arriving: Set<number>;
}

const CRC16 = Uint16Array.from({length: 256}, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80_00 ? (crc << 1) ^ 0x10_21 : crc << 1;
  return crc;
});

/**
 * The slot of a key: the CRC16 (XMODEM) of the text in its first pair of braces, or of the whole key if that text is
 * empty or missing.
 */
export function slotOf(key: RedisText): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key;
  const open = bytes.indexOf('{');
  const close = open === -1 ? -1 : bytes.indexOf('}', open + 1);
  let crc = 0;
  for (const byte of close > open + 1 ? bytes.subarray(open + 1, close) : bytes) {
    crc = ((crc << 8) ^ (CRC16[(crc >> 8) ^ byte] ?? 0)) & 0xff_ff;
  }
  return crc % SLOTS;
}

/** Reads the reply to CLUSTER SLOTS. `asked` is the address of the node that gave it. */
export function parseSlots(reply: unknown, asked: Endpoint): SlotMap {
  const map: SlotMap = {owners: new Array<string | undefined>(SLOTS).fill(undefined), primaries: new Map()};
  const toEndpoint = (node: unknown): Endpoint => {
    const [host, port] = node as [string | null, number];
    return {host: toHost(host, asked), port};
  };
  for (const range of reply as unknown[][]) {
    const [first, last, primary, ...replicas] = range;
    const endpoint = toEndpoint(primary);
    const address = addressOf(endpoint);
    map.owners.fill(address, Number(first), Number(last) + 1);
    map.primaries.set(address, {endpoint, replicas: replicas.map(toEndpoint)});
  }
  return map;
}

/** Reads what the node that was asked says of itself in the reply to CLUSTER NODES. */
export function parseOwnSlots(reply: string): OwnSlots {
  const own: OwnSlots = {owned: new Set(), leaving: new Set(), arriving: new Set()};
  const line = reply.split('\n').find((text) => /^\S+ \S+ \S*\bmyself\b/.test(text)) ?? '';
  for (const word of line.split(' ').slice(8)) {
    const [, moving, direction] = /^\[(\d+)-([<>])-/.exec(word) ?? [];
    if (moving !== undefined) {
      (direction === '>' ? own.leaving : own.arriving).add(Number(moving));
      continue;
    }
    const [first = '', last = first] = word.trim().split('-');
    if (first === '') continue;
    for (let slot = Number(first); slot <= Number(last); slot++) own.owned.add(slot);
  }
  return own;
}

/** Reads a redirection: `MOVED 3999 10.0.0.7:6379`. Without a host it means the host of the node that sent it. */
export function parseRedirection(
  message: string,
  asked: Endpoint,
): {kind: 'MOVED' | 'ASK'; endpoint: Endpoint} | undefined {
  const [, kind, host = '', port] = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(message) ?? [];
  if (kind === undefined) return undefined;
  const known = toHost(host, asked).replace(/^\[(.*)\]$/, '$1');
  return {kind: kind as 'MOVED' | 'ASK', endpoint: {host: known, port: Number(port)}};
}

/** A node that does not know its own address leaves it out. */
function toHost(host: string | null, asked: Endpoint): string {
  if (host !== null && host !== '' && host !== '?') return host;
  return 'host' in asked ? asked.host : '127.0.0.1';
}
