import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {loadSnapshot, readSnapshot} from '../../scripts/demo/snapshot.mjs';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const NOW = new Date('2030-01-02T03:04:05.678Z');
const FREEZE_END = /^anomaly:.*:frozen_until$/s;

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSnapshot(redis.client, {now: NOW});
});
afterAll(() => redis.stop());

describe('the snapshot of a gateway', () => {
  test('is loaded key by key with its type, value and time to live', async () => {
    const snapshot = readSnapshot();
    expect(await redis.client.dbSize()).toBe(snapshot.length);
    for (const {key, type, ttl_ms: ttl, value} of snapshot) {
      if (type === 'list') expect(await redis.client.lRange(key, 0, -1), key).toEqual(value);
      else if (!FREEZE_END.test(key)) expect(await redis.client.get(key), key).toBe(value);
      const left = await redis.client.pTTL(key);
      if (ttl === null) {
        expect(left, key).toBe(-1);
      } else {
        expect(left, key).toBeGreaterThan(0);
        expect(left, key).toBeLessThanOrEqual(ttl);
      }
    }
  });

  test('has freezes that end as far from now as they were from the dump, in the form of the gateway', async () => {
    const freezes = readSnapshot().filter(({key}) => FREEZE_END.test(key));
    expect(freezes.map(({key}) => key)).toEqual(['anomaly:batch-job:frozen_until', 'anomaly:bot-attack:frozen_until']);
    expect(await redis.client.get('anomaly:batch-job:frozen_until')).toBe('2030-01-02T03:08:47.934000');
    expect(await redis.client.get('anomaly:bot-attack:frozen_until')).toBe('2030-01-02T03:08:47.289000');
  });
});
