import type {ServerInfo} from './contract.js';

/** The flag that confirms by name. A name that a shell would change is left for the reader to type. */
export function confirmFlag(name: string): string {
  return `--confirm ${/^[\w.-]+$/.test(name) ? name : 'NAME'}`;
}

/** `localhost:6379 db 0`, after the names of its context and of its store. */
export function describeServer({address, database, name, store}: ServerInfo): string {
  const where = `${address} db ${database}`;
  const named = name ?? store ?? undefined;
  if (named === undefined) return where;
  return `${named} (${typeof store !== 'string' || store === named ? '' : `store ${store}, `}${where})`;
}
