import {beforeEach, describe, expect, test, vi} from 'vitest';

import AnomalyStats from '../../src/commands/anomaly-stats.js';
import FreezeSession from '../../src/commands/freeze-session.js';
import UnfreezeSession from '../../src/commands/unfreeze-session.js';
import {type Output, runCommand} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(() => redis.client.set('session:x:budget', '1'));

const HOUR = 3_600_000;
const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g;
const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, argv, redis);
const unfreeze = (...argv: string[]): Promise<Output> => runCommand(UnfreezeSession, argv, redis);
const endOf = async (id: string): Promise<string | null> => redis.client.get(`anomaly:${id}:frozen_until`);
const reasonOf = async (id: string): Promise<string | null> => redis.client.get(`anomaly:${id}:freeze_reason`);
const inHours = (hours: number): string => new Date(Date.now() + hours * HOUR).toISOString().slice(0, -1);

async function freezeAs(id: string, until: string, reason: string): Promise<void> {
  await redis.client.mSet({[`anomaly:${id}:frozen_until`]: until, [`anomaly:${id}:freeze_reason`]: reason});
}

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
    await redis.client.set('anomaly:x:frozen_until', inHours(1 / 60));
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

describe('freeze-session --for', () => {
  test.each([
    ['30m', 0.5],
    ['2h', 2],
    ['7d', 168],
    ['1h30m', 1.5],
  ])('%s ends %d hours from now, and so do its keys', async (length, hours) => {
    const before = Date.now();
    expect(await freeze('x', '--for', length)).toMatchObject({code: 0, stderr: ''});
    const end = Date.parse(`${(await endOf('x'))!}Z`);
    expect(end).toBeGreaterThanOrEqual(before + hours * HOUR);
    expect(end).toBeLessThanOrEqual(Date.now() + hours * HOUR);
    for (const key of ['frozen_until', 'freeze_reason']) {
      const keyEnd = await redis.client.pExpireTime(`anomaly:x:${key}`);
      expect(keyEnd).toBeGreaterThanOrEqual(end);
      expect(keyEnd).toBeLessThan(end + 2000);
    }
  });

  test.each(['', '0m', '-5m', '1.5h', 'soon', '30'])('%j is refused, and nothing is frozen', async (length) => {
    expect(await freeze('x', `--for=${length}`)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Error: Invalid length of time '.*'\.\nWrite a number and w, d, h, m or s, .*\n$/),
    });
    expect(await endOf('x')).toBeNull();
  });

  test.each([['9999999d'], ['999999999w']])(
    '%s, past what the gateway can read, is refused, in a batch too',
    async (length) => {
      for (const targets of [['x'], ['--all', '--yes']]) {
        expect(await freeze(...targets, '--for', length)).toMatchObject({
          code: 1,
          stdout: '',
          stderr:
            'Error: The end of the freeze is after the year 9999, which the gateway cannot read.\n' +
            'For a freeze without end use --forever.\n',
        });
      }
      expect(await endOf('x')).toBeNull();
    },
  );
});

describe('freeze-session --until', () => {
  test.each([
    ['2099-11-22T18:00Z', '2099-11-22T18:00:00.000'],
    ['2099-11-22T18:00+01:00', '2099-11-22T17:00:00.000'],
    ['2099-11-22T18:00', '2099-11-22T12:15:00.000'],
    ['2099-11-22', '2099-11-21T18:15:00.000'],
  ])('%s, typed in Kathmandu, ends at %s UTC', async (typed, end) => {
    vi.stubEnv('TZ', 'Asia/Kathmandu');
    const {code, stdout} = await freeze('x', '--until', typed);
    expect(code).toBe(0);
    expect(stdout).toContain(`frozen until ${end.slice(0, 19).replace('T', ' ')} UTC\n`);
    expect(await endOf('x')).toBe(end);
  });

  test('a time in the past is refused', async () => {
    expect(await freeze('x', '--until', '2020-01-01T00:00Z')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Error: The end of the freeze, 2020-01-01 00:00:00 UTC, is in the past.\n',
    });
    expect(await endOf('x')).toBeNull();
  });

  test.each(['tomorrow', '2099-13-01', '9999-12-31T23:59:59-05:00'])('%s is refused', async (typed) => {
    const {code, stdout, stderr} = await freeze('x', '--until', typed, '--json');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'INVALID_TIME'}});
    expect(await endOf('x')).toBeNull();
  });
});

describe('freeze-session --forever', () => {
  test('has no TTL and an end that the gateway reads as far in the future', async () => {
    await freezeAs('x', inHours(1), 'old');
    await redis.client.expire('anomaly:x:frozen_until', 3600);
    expect(await freeze('x', '--forever', '--reason', 'incident 42')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^✓ Session 'x' frozen without end\nReason: incident 42\n/),
    });
    expect(await endOf('x')).toMatch(/^9999-12-31T23:59:59(\.0+)?$/);
    expect(await redis.client.ttl('anomaly:x:frozen_until')).toBe(-1);
    expect(await redis.client.ttl('anomaly:x:freeze_reason')).toBe(-1);
  });

  test('is known to anomaly-stats and to unfreeze-session', async () => {
    await freeze('x', '--forever', '--reason', 'incident 42');
    const stats = await runCommand(AnomalyStats, ['x', '--json'], redis);
    expect(stats.result).toMatchObject({is_frozen: true, freeze_reason: 'incident 42'});
    expect((await unfreeze('x')).stdout).toBe("✓ Session 'x' unfrozen\nIt was frozen without end (incident 42)\n");
    expect(await redis.client.keys('anomaly:*')).toEqual([]);
  });
});

test.each([
  [['--for', '1h', '--until', '2099-01-01']],
  [['--for', '1h', '--forever']],
  [['--until', '2099-01-01', '--forever']],
  [['--for', '1h', '--until', '2099-01-01', '--forever']],
])('%j contradict each other, which one sentence says', async (flags) => {
  expect(await freeze('x', ...flags)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^Error: --[a-z]+ cannot also be provided when using --[a-z]+\.\nSee: tokengate .* --help\n$/,
    ),
  });
  expect(await endOf('x')).toBeNull();
});

describe('a freeze that ends no sooner', () => {
  test('without end keeps the reason of the first, so that one incident does not lift another', async () => {
    await freeze('x', '--forever', '--reason', 'incident 41');
    await freeze('x', '--forever', '--reason', 'incident 42');
    await unfreeze('x', '--with-reason', 'incident 42');
    expect(await reasonOf('x')).toBe('incident 41');
  });

  test('is kept, and said so', async () => {
    const until = inHours(5);
    await freezeAs('x', until, 'long');
    const {code, stdout, stderr} = await freeze('x', '--reason', 'short');
    expect({code, stderr}).toEqual({
      code: 0,
      stderr: 'Warning: That freeze ends no sooner, so it was kept. Use --force to replace it.\n',
    });
    expect(stdout.replace(TIME, 'TIME')).toBe("Session 'x' is frozen until TIME already\nReason: long\n");
    expect(await endOf('x')).toBe(until);
    expect(await reasonOf('x')).toBe('long');
  });

  test('is told to scripts as what holds', async () => {
    const until = inHours(5);
    await freezeAs('x', until, 'long');
    expect((await runCommand(FreezeSession, ['x', '--json'], redis)).result).toMatchObject({
      frozen_until: new Date(`${until}Z`),
      freeze_reason: 'long',
    });
  });

  test('has no reason where none stands there', async () => {
    await redis.client.set('anomaly:x:frozen_until', inHours(5));
    const {stdout, result} = await runCommand(FreezeSession, ['x', '--json'], redis);
    expect(JSON.parse(stdout)).toMatchObject({freeze_reason: null, previous_freeze_reason: null});
    expect(result).toMatchObject({freeze_reason: null});
    expect((await freeze('x')).stdout.replace(TIME, 'TIME')).toBe("Session 'x' is frozen until TIME already\n");
    expect((await freeze('x', '--all', '--yes')).stdout.replace(TIME, 'TIME')).toBe(
      "Session 'x' unchanged: until TIME (no reason)\n✓ Frozen 0, unchanged 1\n",
    );
  });

  test('is replaced with --force', async () => {
    await freezeAs('x', inHours(5), 'long');
    const {code, stdout} = await freeze('x', '--reason', 'short', '--force');
    expect(code).toBe(0);
    expect(stdout.replace(TIME, 'TIME')).toContain('It was frozen until TIME (long)\n');
    expect(await reasonOf('x')).toBe('short');
    expect((await endOf('x'))! < inHours(2)).toBe(true);
  });

  test.each([
    ['2099-01-01T00:00:00', '2099-01-01T00:00:00.001Z', 'short'],
    ['2099-01-01T00:00:00', '2099-01-01T00:00:00Z', 'long'],
    ['2099-01-01T00:00:00.5', '2099-01-01T00:00:00.499Z', 'long'],
    ['2099-01-01T00:00:00.500001', '2099-01-01T00:00:00.5Z', 'long'],
    ['2099-01-01T00:00:01', '2099-01-01T00:00:00.999Z', 'long'],
    ['2099-01-01T00:00:00.000000', '2099-01-01T00:00:00Z', 'long'],
    ['2099-01-01 00:00:01', '2099-01-01T00:00:00Z', 'long'],
    ['20990101T000001', '2099-01-01T00:00:00Z', 'long'],
    ['2099-01-02', '2099-01-01T00:00:00Z', 'long'],
    ['2099-01-01T00:00', '2099-01-01T00:00:00.001Z', 'short'],
  ])('%s against --until %s leaves the %s one', async (found, typed, kept) => {
    await freezeAs('x', found, 'long');
    await freeze('x', '--until', typed, '--reason', 'short');
    expect(await reasonOf('x')).toBe(kept);
  });

  test.each([
    ['2099-01-01T00:00:00', ['--for', '1h']],
    ['9999-12-31T23:59:59', ['--forever']],
  ])('%s, whose key expires sooner, is none', async (found, flags) => {
    const setFound = async (): Promise<unknown> => {
      await redis.client.del('anomaly:x:freeze_reason');
      return redis.client.set('anomaly:x:frozen_until', found, {expiration: {type: 'EX', value: 100}});
    };
    await setFound();
    expect((await freeze('x', '--all', ...flags, '--dry-run')).stdout).toMatch(
      /^Would freeze session 'x': frozen .* \(no reason\), but its key expires in 1m(40|39)s → frozen .* \(Manual freeze\)\n/,
    );
    expect((await freeze('x', ...flags)).stdout).toMatch(
      /^✓ Session 'x' frozen .*\nReason: Manual freeze\nIt was frozen /,
    );
    await setFound();
    expect((await freeze('x', '--all', '--yes', ...flags)).stdout).toContain('✓ Frozen 1\n');
    const ttl = await redis.client.ttl('anomaly:x:frozen_until');
    expect(ttl === -1 || ttl > 3500).toBe(true);
  });

  test('of the same --until is kept, with its reason, and by its TTL', async () => {
    const until = `${inHours(0.3)}Z`;
    for (const reason of ['first', 'second']) await freeze('x', '--until', until, '--reason', reason);
    expect(await reasonOf('x')).toBe('first');
    expect((await freeze('x', '--all', '--until', until, '--dry-run')).stdout).toContain("Would leave session 'x'");
    await freeze('x', '--all', '--until', until, '--reason', 'third', '--yes');
    expect(await reasonOf('x')).toBe('first');
  });

  test.each([
    [500, 'first'],
    [2000, 'second'],
  ])('whose key expires %i ms sooner leaves the %s one', async (sooner, kept) => {
    const until = new Date(Date.now() + 60_000);
    await freezeAs('x', until.toISOString().slice(0, -1), 'first');
    await redis.client.pExpireAt('anomaly:x:frozen_until', until.getTime() - sooner);
    await freeze('x', '--until', until.toISOString(), '--reason', 'second');
    expect(await reasonOf('x')).toBe(kept);
  });

  test('is kept by its TTL for a user who may not ask for the time', async () => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'few', 'reset', 'on', '>pw', '~*', '+@all', '-time']);
    const as = {url: redis.url.replace('unix://', 'unix://few:pw@')};
    await redis.client.set('anomaly:x:frozen_until', '2099-01-01T00:00:00', {expiration: {type: 'EX', value: 7200}});
    expect((await runCommand(FreezeSession, ['x', '--for', '1h'], as)).stdout).toContain(
      "Session 'x' is frozen until 2099",
    );
    expect((await runCommand(FreezeSession, ['x', '--for', '3h'], as)).stdout).toContain("✓ Session 'x' frozen");
  });

  describe.each(['2099-01-01T00:00:00Z', 'soon', '2099-01-01T00:00:00+00:00', '2099-02-30T00:00:00', '4102444800'])(
    'an end that the gateway cannot read, %s,',
    (found) => {
      test('is replaced, and said so', async () => {
        await freezeAs('x', found, 'broken');
        const {stdout, stderr, code} = await freeze('x', '--reason', 'short');
        expect({code, stdout: stdout.replace(TIME, 'TIME')}).toEqual({
          code: 0,
          stdout:
            "✓ Session 'x' frozen until TIME\nReason: short\n" +
            'It was frozen until a time that the gateway cannot read (broken)\n',
        });
        expect(stderr).toContain(`Warning: Before this change: the freeze end of session 'x' is '${found}'`);
        expect(await reasonOf('x')).toBe('short');
        expect(await endOf('x')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
      });

      test('is replaced in a batch, as its dry run says', async () => {
        await freezeAs('x', found, 'broken');
        expect((await freeze('--all', '--dry-run')).stdout).toMatch(
          /^Would freeze session 'x': frozen until a time that the gateway cannot read \(broken\) → frozen until .* \(Manual freeze\)\nWould freeze 1\n$/,
        );
        expect((await freeze('--all', '--yes')).stdout).toContain('✓ Frozen 1\n');
        expect(await reasonOf('x')).toBe('Manual freeze');
      });

      test('is told to scripts by its reason', async () => {
        await freezeAs('x', found, 'broken');
        expect((await runCommand(FreezeSession, ['x', '--json'], redis)).result).toMatchObject({
          freeze_reason: 'Manual freeze',
          frozen_until: new Date(`${(await endOf('x'))!}Z`),
          previously_frozen_until: null,
          previous_freeze_reason: 'broken',
        });
      });
    },
  );

  test('is unchanged in a batch, and the dry run says the same', async () => {
    await redis.client.mSet({'session:y:budget': '1', 'session:z:budget': '1'});
    await freezeAs('y', '2099-01-01 00:00:00', 'long');
    await freezeAs('z', inHours(0.5), 'shorter');
    const before = await dumpKeyspace(redis);
    const dry = await freeze('--all', '--dry-run', '--format', 'ndjson');
    expect(parseLines(dry.stdout).map(({session_id: id, outcome}) => [id, outcome])).toEqual([
      ['x', 'would_freeze'],
      ['y', 'unchanged'],
      ['z', 'would_freeze'],
    ]);
    expect(await dumpKeyspace(redis)).toEqual(before);
    const {code, stdout, stderr} = await freeze('--all', '--yes', '--reason', 'short');
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout.replace(TIME, 'TIME')).toBe(
      "Session 'x' frozen: until TIME (short)\n" +
        "Session 'y' unchanged: until TIME (long)\n" +
        "Session 'z' frozen: until TIME (short)\n" +
        '✓ Frozen 2, unchanged 1\n',
    );
    expect(await endOf('y')).toBe('2099-01-01 00:00:00');
  });
});

test("a kill switch, and its end, leave the gateway's own freezes alone", async () => {
  await redis.client.mSet({'session:y:budget': '1', 'session:z:spent': '1'});
  expect(await freeze('--all', '--forever', '--reason', 'incident 42', '--yes')).toMatchObject({code: 0});
  expect(await reasonOf('x')).toBe('incident 42');
  expect(await reasonOf('y')).toBe('incident 42');
  await freezeAs('loop', inHours(0.05), 'Loop detected: 5 identical consecutive requests');
  await redis.client.set('anomaly:loop:identical_count', '3');

  const {code, stdout} = await unfreeze('--all', '--with-reason', 'incident 42', '--yes', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    action: 'unfreeze',
    results: [
      {session_id: 'loop', outcome: 'unchanged', was_frozen: false},
      {session_id: 'x', outcome: 'unfrozen', was_frozen: true, freeze_reason: 'incident 42'},
      {session_id: 'y', outcome: 'unfrozen', was_frozen: true, freeze_reason: 'incident 42'},
    ],
    summary: {unfrozen: 2, unchanged: 1},
  });
  expect((await redis.client.keys('anomaly:*')).sort()).toEqual([
    'anomaly:loop:freeze_reason',
    'anomaly:loop:frozen_until',
    'anomaly:loop:identical_count',
  ]);
});

test('of several it asks first, and without a terminal needs --yes', async () => {
  await freezeAs('x', inHours(1), 'Bot');
  const before = await dumpKeyspace(redis);
  expect(await freeze('x', 'y')).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('--yes')});
  expect(await dumpKeyspace(redis)).toEqual(before);
});

function parseLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
