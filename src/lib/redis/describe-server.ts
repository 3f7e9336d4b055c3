import type {ServerInfo} from './contract.js';

/** The flag that confirms by a name. A name that a shell would not take as it is, is left to be typed. */
export function confirmFlag(name: string): string {
  return `--confirm ${/^[\w.-]+$/.test(name) ? name : 'NAME'}`;
}

/** `localhost:6379 db 0`, with what the server is called before it: by whoever connects, and by itself. */
export function describeServer({address, database, name, store}: ServerInfo): string {
  const where = `${address} db ${database}`;
  const named = name ?? store ?? undefined;
  if (named === undefined) return where;
  return `${named} (${typeof store !== 'string' || store === named ? '' : `store ${store}, `}${where})`;
}
