import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import AnomalyStats from '../../src/commands/anomaly-stats.js';
import FreezeSession from '../../src/commands/freeze-session.js';
import UnfreezeSession from '../../src/commands/unfreeze-session.js';
import {type Output, runCommand} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await redis.client.set('session:x:budget', '1');
});
afterAll(() => redis.stop());

const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g;
const inOneMinute = (): string => new Date(Date.now() + 60_000).toISOString().slice(0, -1);

describe('freeze-session', () => {
  test('writes both keys in the form that the gateway obeys, with the same TTL', async () => {
    const {code, stdout, stderr} = await runCommand(FreezeSession, ['x', '--reason', 'Bot detected'], redis);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout.replace(TIME, 'TIME')).toBe("✓ Session 'x' frozen until TIME\nReason: Bot detected\n");
    const until = (await redis.client.get('anomaly:x:frozen_until'))!;
    expect(until).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
    expect(stdout).toContain(`${until.slice(0, 19).replace('T', ' ')} UTC`);
    const left = Date.parse(`${until}Z`) - Date.now();
    expect(left).toBeGreaterThan(3_590_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
    expect(await redis.client.get('anomaly:x:freeze_reason')).toBe('Bot detected');
    const ttls = await Promise.all(
      ['frozen_until', 'freeze_reason'].map((key) => redis.client.ttl(`anomaly:x:${key}`)),
    );
    for (const ttl of ttls) expect(ttl).toBeGreaterThan(3590);
    expect(Math.abs(ttls[0]! - ttls[1]!)).toBeLessThanOrEqual(1);
  });

  test("a freeze outlives the gateway's next check", async () => {
    await runCommand(FreezeSession, ['x'], redis);
    const until = (await redis.client.get('anomaly:x:frozen_until'))!;
    expect(Date.parse(`${until}Z`)).toBeGreaterThan(Date.now());
    expect(await redis.client.get('anomaly:x:freeze_reason')).toBe('Manual freeze');
  });

  test('says what it replaced', async () => {
    await redis.client.set('anomaly:x:frozen_until', inOneMinute());
    await redis.client.set('anomaly:x:freeze_reason', 'Loop\u001b[31m');
    const {stdout} = await runCommand(FreezeSession, ['x'], redis);
    expect(stdout.replace(TIME, 'TIME')).toContain('It was frozen until TIME (Loop\\x1b[31m)\n');
  });

  test('gives the facts as JSON', async () => {
    const {stdout} = await runCommand(FreezeSession, ['x', '--json'], redis);
    const until = (await redis.client.get('anomaly:x:frozen_until'))!;
    expect(JSON.parse(stdout)).toEqual({
      session_id: 'x',
      is_frozen: true,
      freeze_reason: 'Manual freeze',
      frozen_until: `${until}Z`,
      previously_frozen_until: null,
      previous_freeze_reason: null,
      second_look: {outcome: 'lasts'},
      change_id: expect.stringMatching(/^[0-9a-z]{10}$/) as string,
    });
  });

  test('an unknown session is frozen too, with a warning', async () => {
    const {code, stdout, stderr} = await runCommand(FreezeSession, ['unknown'], redis);
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: "Warning: New session 'unknown': it has no budget and no spending yet. Is the ID right?\n",
    });
    expect(stdout).toContain("✓ Session 'unknown' frozen");
  });

  test('an empty reason is refused', async () => {
    expect(await runCommand(FreezeSession, ['x', '--reason', ''], redis)).toMatchObject({code: 1, stdout: ''});
    expect(await redis.client.exists('anomaly:x:frozen_until')).toBe(0);
  });
});

describe('unfreeze-session', () => {
  test('ends the freeze and clears the counters that would bring it back', async () => {
    await redis.client.mSet({
      'anomaly:x:frozen_until': inOneMinute(),
      'anomaly:x:freeze_reason': 'Loop detected',
      'anomaly:x:identical_count': '3',
      'anomaly:x:last_hash': 'abc',
      'anomaly:x:requests:1min': '101',
      'anomaly:x:kept': '1',
    });
    const {code, stdout} = await runCommand(UnfreezeSession, ['x'], redis);
    expect(code).toBe(0);
    expect(stdout.replace(TIME, 'TIME')).toBe("✓ Session 'x' unfrozen\nIt was frozen until TIME (Loop detected)\n");
    expect((await redis.client.keys('anomaly:*')).sort()).toEqual(['anomaly:x:kept']);
  });

  test('a session that is not frozen is no error', async () => {
    const {code, stdout, stderr} = await runCommand(UnfreezeSession, ['x'], redis);
    expect({code, stdout, stderr}).toEqual({code: 0, stdout: "Session 'x' is not frozen\n", stderr: ''});
  });

  test('gives the facts as JSON', async () => {
    await redis.client.set('anomaly:x:last_hash', 'abc');
    const {stdout} = await runCommand(UnfreezeSession, ['x', '--json'], redis);
    expect(JSON.parse(stdout)).toEqual({
      session_id: 'x',
      was_frozen: false,
      freeze_reason: null,
      frozen_until: null,
      counters_cleared: true,
      change_id: expect.stringMatching(/^[0-9a-z]{10}$/) as string,
    });
  });

  test.each(['2026-11-22T16:33:12Z', 'soon'])('lifts a freeze that the gateway cannot read: %s', async (until) => {
    await redis.client.set('anomaly:x:frozen_until', until);
    const {code, stdout, stderr} = await runCommand(UnfreezeSession, ['x'], redis);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: "✓ Session 'x' unfrozen\nIt was frozen until a time that the gateway cannot read (no reason)\n",
    });
    expect(stderr).toContain('HTTP 500');
    expect(await redis.client.exists('anomaly:x:frozen_until')).toBe(0);
  });
});

describe('unfreeze-session in a batch', () => {
  const batch = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, ['x', 'y', ...argv], redis);
  const counters = {'anomaly:x:identical_count': '3', 'anomaly:x:requests:1min': '200'};
  const over = {'anomaly:x:frozen_until': '2020-01-01T00:00:00', 'anomaly:x:freeze_reason': 'old'};

  test.each([
    ['counters', counters, 'not frozen, with counters', 'its counters are cleared'],
    [
      'a freeze that is over',
      over,
      'not frozen, with what is left of a freeze',
      'what was left of a freeze is cleared',
    ],
    [
      'a reason alone',
      {'anomaly:x:freeze_reason': 'old'},
      'not frozen, with what is left of a freeze',
      'what was left of a freeze is cleared',
    ],
    [
      'both',
      {...counters, ...over},
      'not frozen, with what is left of a freeze and counters',
      'what was left of a freeze and its counters are cleared',
    ],
  ])('says of a session with %s that is not frozen what it does to it', async (_, keys, now, cleared) => {
    await redis.client.mSet(keys);
    const then = now.includes('counters') ? 'not frozen, counters cleared' : 'not frozen';
    expect((await batch('--dry-run')).stdout).toBe(
      `Would unfreeze session 'x': ${now} → ${then}\nWould leave session 'y': not frozen\nWould unfreeze 1, unchanged 1\n`,
    );
    const dry = await batch('--dry-run', '--json');
    expect(JSON.parse(dry.stdout)).toMatchObject({
      results: [
        {session_id: 'x', outcome: 'would_unfreeze', now},
        {session_id: 'y', outcome: 'unchanged'},
      ],
      summary: {would_unfreeze: 1, unchanged: 1},
    });
    expect(await redis.client.exists(Object.keys(keys))).toBe(Object.keys(keys).length);

    expect(await batch('--yes')).toEqual(
      expect.objectContaining({
        code: 0,
        stderr: '',
        stdout:
          `Session 'x' unfrozen: ${cleared}; it was not frozen\n` +
          "Session 'y' unchanged: was not frozen\n✓ Unfrozen 1, unchanged 1\n",
      }),
    );
    expect(await redis.client.keys('anomaly:*')).toEqual([]);
    expect(await redis.client.xLen('tokengate:journal')).toBe(1);
    await batch('--yes');
    expect(await redis.client.xLen('tokengate:journal')).toBe(1);

    await redis.client.mSet(keys);
    expect((await runCommand(UnfreezeSession, ['x'], redis)).stdout).toBe(`Session 'x' is not frozen; ${cleared}\n`);
    await redis.client.mSet(keys);
    expect(JSON.parse((await batch('--yes', '--json')).stdout)).toMatchObject({
      results: [
        {
          session_id: 'x',
          outcome: 'unfrozen',
          was_frozen: false,
          counters_cleared: 'anomaly:x:identical_count' in keys,
        },
        {session_id: 'y', outcome: 'unchanged', was_frozen: false, counters_cleared: false},
      ],
      summary: {unfrozen: 1, unchanged: 1},
    });
  });

  test('says of a freeze that the gateway cannot read that there was one, and warns', async () => {
    const warning = /^Warning: The freeze end of session 'x' is 'foo': the gateway answers .* HTTP 500\.\n$/;
    const unread = 'frozen until a time that the gateway cannot read (Bot)';
    await redis.client.mSet({'anomaly:x:frozen_until': 'foo', 'anomaly:x:freeze_reason': 'Bot'});
    const other = await runCommand(UnfreezeSession, ['x', '--with-reason', 'other'], redis);
    expect(other.stdout).toBe(`Session 'x' is frozen for another reason and stays so: ${unread}\n`);
    expect(other.stderr).toMatch(warning);
    const kept = await batch('--with-reason', 'other', '--yes');
    expect(kept.stdout).toContain(`Session 'x' unchanged: was ${unread}\n`);
    expect(kept.stderr).toMatch(warning);
    const {code, stdout, stderr} = await batch('--yes');
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: `Session 'x' unfrozen: was ${unread}\nSession 'y' unchanged: was not frozen\n✓ Unfrozen 1, unchanged 1\n`,
    });
    expect(stderr).toMatch(warning);
  });

  test('warns of 20 freezes that cannot be read, and counts the rest', async () => {
    for (let i = 0; i < 22; i++) await redis.client.set(`anomaly:${i}:frozen_until`, 'foo');
    const {stdout, stderr} = await runCommand(UnfreezeSession, ['--all', '--yes', '--quiet'], redis);
    expect(stdout).toBe('✓ Unfrozen 22\n');
    expect(stderr.split('\n')).toHaveLength(22);
    expect(stderr).toMatch(/\nWarning: 2 more of this kind\.\n$/);
  });
});

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
