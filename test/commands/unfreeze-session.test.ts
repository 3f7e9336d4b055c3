import {beforeEach, describe, expect, test} from 'vitest';

import UnfreezeSession from '../../src/commands/unfreeze-session.js';
import {type Output, runCommand} from '../support/program/run.js';
import {dumpKeyspace, gatewayKeys} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(() => redis.client.set('session:x:budget', '1'));

const HOUR = 3_600_000;
const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g;
const unfreeze = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, argv, redis);
const endOf = async (id: string): Promise<string | null> => redis.client.get(`anomaly:${id}:frozen_until`);
const inHours = (hours: number): string => new Date(Date.now() + hours * HOUR).toISOString().slice(0, -1);

async function freezeAs(id: string, until: string, reason: string): Promise<void> {
  await redis.client.mSet({[`anomaly:${id}:frozen_until`]: until, [`anomaly:${id}:freeze_reason`]: reason});
}

describe('unfreeze-session', () => {
  test('ends the freeze and clears the counters that would bring it back', async () => {
    await redis.client.mSet({
      'anomaly:x:frozen_until': inHours(1 / 60),
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
      second_look: null,
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
    const before = /^Warning: Before this change: the freeze end of session 'x' is 'foo': .* HTTP 500\.\n$/;
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
    expect(stderr).toMatch(before);
  });

  test('warns of 20 freezes that cannot be read, and counts the rest', async () => {
    for (let i = 0; i < 22; i++) await redis.client.set(`anomaly:${i}:frozen_until`, 'foo');
    const {stdout, stderr} = await runCommand(UnfreezeSession, ['--all', '--yes', '--quiet'], redis);
    expect(stdout).toBe('✓ Unfrozen 22\n');
    expect(stderr.split('\n')).toHaveLength(22);
    expect(stderr).toMatch(/\nWarning: 2 more of this kind\.\n$/);
  });
});

describe('unfreeze-session --with-reason', () => {
  test('lifts only a freeze that has exactly this reason', async () => {
    await freezeAs('x', inHours(1), 'incident 42');
    for (const reason of ['incident', 'incident 4', 'Incident 42', '']) {
      const {code, stdout} = await unfreeze('x', `--with-reason=${reason}`);
      expect({code, stdout: stdout.replace(TIME, 'TIME')}).toEqual({
        code: 0,
        stdout: "Session 'x' is frozen for another reason and stays so: frozen until TIME (incident 42)\n",
      });
    }
    expect(await endOf('x')).not.toBeNull();
    expect((await unfreeze('x', '--with-reason', 'incident 42')).stdout).toContain("✓ Session 'x' unfrozen\n");
    expect(await endOf('x')).toBeNull();
  });

  test('clears no counter of a session that is not frozen for this reason', async () => {
    await redis.client.mSet({
      'anomaly:x:identical_count': '2',
      'anomaly:y:identical_count': '3',
      'anomaly:y:frozen_until': inHours(0.05),
      'anomaly:y:freeze_reason': 'Loop detected',
    });
    const before = await dumpKeyspace(redis);
    for (const targets of [['x'], ['y'], ['x', 'y', '--yes']]) {
      expect(await unfreeze(...targets, '--with-reason', 'incident 42')).toMatchObject({code: 0, stderr: ''});
    }
    expect(await dumpKeyspace(redis)).toEqual(before);
  });
});

test('unfreeze-session --all finds frozen sessions without a budget, and no others', async () => {
  await freezeAs('nobody', inHours(1), 'Bot');
  await redis.client.set('anomaly:x:identical_count', '2');
  const {code, stdout} = await unfreeze('--all', '--yes');
  expect(code).toBe(0);
  expect(stdout.replace(TIME, 'TIME')).toBe("Session 'nobody' unfrozen: was frozen until TIME (Bot)\n✓ Unfrozen 1\n");
  expect(await gatewayKeys(redis)).toEqual(['anomaly:x:identical_count', 'session:x:budget']);
});

test('of several it asks first, and without a terminal needs --yes', async () => {
  await freezeAs('x', inHours(1), 'Bot');
  const before = await dumpKeyspace(redis);
  expect(await unfreeze('x', 'y')).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('--yes')});
  expect(await dumpKeyspace(redis)).toEqual(before);
});
