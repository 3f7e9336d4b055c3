import {readFileSync} from 'node:fs';

import type {TestRedis} from './redis-server.js';

/** A state of a session in Redis, and the HTTP status with which a running gateway answered its next request. */
export interface GatewayState {
  /** The key with ID for the session, its type, its value as bytes one character a byte, its TTL in seconds. */
  ops: [key: string, type: string, value: string | null, ttl: number | null][];
  /** The gateway's own estimate, in US dollars; null for any above 0. */
  cost: string | null;
  status: number;
  rule: string | null;
  /** A repeat of the last request, if that was tried. */
  identical?: {cost: string | null; status: number};
}

/** Recorded answers of a running gateway: see fixtures/README.md. */
export function readGatewayStates(): GatewayState[] {
  const file = new URL('../../../fixtures/gateway-decisions.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as {states: GatewayState[]}).states;
}

/** Writes states in one flight, each for the session beside it. */
export async function writeStates(
  {client}: TestRedis,
  states: readonly {id: string; ops: GatewayState['ops']}[],
): Promise<void> {
  const commands = states.flatMap(({id, ops}) =>
    ops.flatMap(([name, type, value, ttl]): (string | Buffer)[][] => {
      const key = name.replace('ID', () => id);
      const expiry = ttl === null ? [] : [['EXPIRE', key, String(ttl)]];
      return [toWrite(key, type, Buffer.from(value ?? 'x', 'latin1')), ...expiry];
    }),
  );
  await Promise.all(commands.map((command) => client.sendCommand(command)));
}

function toWrite(key: string, type: string, value: Buffer): (string | Buffer)[] {
  switch (type) {
    case 'string':
      return ['SET', key, value];
    case 'list':
      return ['RPUSH', key, value];
    case 'hist':
      return ['RPUSH', key, ...Array.from({length: Number(value.toString())}, () => 'broken')];
    case 'set':
      return ['SADD', key, value];
    case 'hash':
      return ['HSET', key, 'field', value];
    case 'stream':
      return ['XADD', key, '*', 'field', value];
    case 'zscore':
      return ['ZADD', key, value, 'm'];
    case 'zmember':
      return ['ZADD', key, '0', value];
    default:
      return ['ZADD', key, '0', value];
  }
}
