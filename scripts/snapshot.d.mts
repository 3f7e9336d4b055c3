import type {RedisClientType} from 'redis';

export interface SnapshotEntry {
  key: string;
  type: 'string' | 'list';
  /** Null: no TTL. */
  ttl_ms: number | null;
  /** Lists newest first, as the gateway keeps them. */
  value: string | string[];
}

export function readSnapshot(): SnapshotEntry[];
export function loadSnapshot(redis: RedisClientType, options?: {now?: Date}): Promise<void>;
