export interface SnapshotEntry {
  key: string;
  type: 'string' | 'list';
  /** Null: no TTL. */
  ttl_ms: number | null;
  /** Lists newest first, as the gateway keeps them. */
  value: string | string[];
}

/** What is used of a node-redis client, whatever its protocol version. */
interface Transaction {
  rPush(key: string, values: string[]): unknown;
  set(key: string, value: string): unknown;
  pExpire(key: string, milliseconds: number): unknown;
  exec(): Promise<unknown>;
}

export function readSnapshot(): SnapshotEntry[];
export function loadSnapshot(redis: {multi(): Transaction}, options?: {now?: Date}): Promise<void>;
