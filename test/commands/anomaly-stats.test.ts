import {beforeEach, describe, expect, test} from 'vitest';

import AnomalyStats from '../../src/commands/anomaly-stats.js';
import {runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(() => redis.client.set('session:x:budget', '1'));

const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g;
const inOneMinute = (): string => new Date(Date.now() + 60_000).toISOString().slice(0, -1);

describe('anomaly-stats', () => {
  test('prints the documented lines of a frozen session', async () => {
    await redis.client.mSet({
      'anomaly:x:frozen_until': inOneMinute(),
      'anomaly:x:freeze_reason': 'Loop detected: 5 identical consecutive requests',
      'anomaly:x:requests:1min': '87',
      'anomaly:x:identical_count': '3',
    });
    const {stdout, stderr} = await runCommand(AnomalyStats, ['x'], redis);
    expect(stderr).toBe('');
    expect(stdout.replace(TIME, 'TIME')).toMatchInlineSnapshot(`
      "Anomaly Stats for: x
      Frozen: Yes
      Reason: Loop detected: 5 identical consecutive requests
      Frozen until: TIME
      Requests (last minute): 87
      Identical in a row: 3
      Limits: more than 100 requests, or 3 identical in a row
      "
    `);
  });

  test('a freeze whose end has passed is no freeze', async () => {
    await redis.client.mSet({'anomaly:x:frozen_until': '2020-01-01T00:00:00', 'anomaly:x:freeze_reason': 'old'});
    const {stdout} = await runCommand(AnomalyStats, ['x'], redis);
    expect(stdout).toContain('Frozen: No\nRequests (last minute): 0\n');
  });

  test('gives the facts as JSON', async () => {
    const until = inOneMinute();
    await redis.client.mSet({'anomaly:x:frozen_until': until, 'anomaly:x:freeze_reason': 'why'});
    const {stdout} = await runCommand(AnomalyStats, ['x', '--json'], redis);
    expect(JSON.parse(stdout)).toEqual({
      session_id: 'x',
      is_frozen: true,
      freeze_reason: 'why',
      frozen_until: `${until}Z`,
      requests_last_minute: 0,
      requests_limit: 100,
      identical_consecutive: 0,
      identical_limit: 3,
    });
  });

  test('what the gateway cannot read is invalid', async () => {
    await redis.client.mSet({'anomaly:x:frozen_until': '2026-11-22T16:33:12Z', 'anomaly:x:requests:1min': 'many'});
    await redis.client.lPush('anomaly:x:identical_count', '1');
    const {code, stdout, stderr} = await runCommand(AnomalyStats, ['x'], redis);
    expect(code).toBe(0);
    expect(stdout).toContain(
      'Frozen: invalid\nReason: none\nRequests (last minute): invalid\nIdentical in a row: invalid\n',
    );
    expect(stderr.trimEnd().split('\n')).toHaveLength(3);
  });

  test('an ID of which nothing is known is warned of', async () => {
    const {code, stdout, stderr} = await runCommand(AnomalyStats, ['typo'], redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: Nothing is known of session 'typo'. Is the ID right?\n",
    });
    expect(stdout).toContain('Frozen: No\n');
  });
});
