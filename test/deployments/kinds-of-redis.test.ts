import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {freePort} from '../support/ports.js';
import {runBinary} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const addressOf = (url: string): string => url.replace(/^(redis|unix):\/\//, '');

describe('a replica that has lost its primary', () => {
  let replica: TestRedis;
  let primaryPort: number;
  const warning = (): string =>
    `Warning: Redis at ${addressOf(replica.url)} is a replica: what it says may be out of date.\n`;
  beforeAll(async () => {
    primaryPort = await freePort();
    replica = await startRedis({args: ['--replicaof', '127.0.0.1', String(primaryPort)]});
    await replica.client.configSet('replica-read-only', 'no');
    await replica.client.set('session:a:budget', '20');
    await replica.client.configSet('replica-read-only', 'yes');
  });
  afterAll(() => replica.stop());

  test('can be read, with a warning', async () => {
    expect(await runBinary(['get-budget', 'a'], replica)).toMatchObject({code: 0, stderr: warning()});
    expect(await runBinary(['get-budget', 'a', '--json'], replica)).toMatchObject({code: 0, stderr: warning()});
    expect(await runBinary(['list-sessions', '--format', 'csv'], replica)).toEqual({
      code: 0,
      stdout: 'session_id,budget,spent,remaining,percentage_used\na,20,0,20,0\n',
      stderr: warning(),
    });
  });

  test('stands alone with an error', async () => {
    const {stderr} = await runBinary(['get-budget', 'nobody', '--json'], replica);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'SESSION_NOT_FOUND'}});
  });

  test.each([
    [['set-budget', 'a', '5']],
    [['reset-session', 'a', '--yes']],
    [['freeze-session', 'a']],
    [['unfreeze-session', 'a']],
    [['health']],
  ])('cannot be changed, and is not healthy: %j', async (argv) => {
    const before = await dumpKeyspace(replica);
    expect(await runBinary(argv, replica)).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `Error: Redis at ${addressOf(replica.url)} is a read-only replica.\n` +
        `Use the primary's address: 127.0.0.1:${primaryPort}.\n`,
    });
    expect(await dumpKeyspace(replica)).toEqual(before);
  });
});

test('a replica whose user may not ask for its primary is refused all the same', async () => {
  const replica = await startRedis({
    args: [
      ...['--replicaof', '127.0.0.1', String(await freePort())],
      '--user',
      'u',
      'on',
      '>hunter2',
      '~*',
      '+@all',
      '-role',
    ],
  });
  try {
    const {stderr} = await runBinary(['set-budget', 'a', '5'], {url: replica.url.replace('//', '//u:hunter2@')});
    expect(stderr).toBe(
      `Error: Redis at ${addressOf(replica.url)} is a read-only replica.\nUse the primary's address.\n`,
    );
  } finally {
    await replica.stop();
  }
});

describe('a Redis whose memory is full', () => {
  let full: TestRedis;
  beforeAll(async () => {
    full = await startRedis();
    await full.client.mSet({'session:a:budget': '20', 'session:a:spent': '7.5E-7'});
    await full.client.configSet('maxmemory', '1');
  });
  afterAll(() => full.stop());

  test('refuses a freeze', async () => {
    expect(await runBinary(['freeze-session', 'a'], full)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: Redis at ${addressOf(full.url)} is out of memory (maxmemory) and refused the write.\nFree some, or raise maxmemory.\n`,
    });
    expect(await full.client.get('session:a:budget')).toBe('20');
  });

  test('lets a session be reset, which frees memory', async () => {
    await full.client.configSet('maxmemory', '0');
    await full.client.mSet({'session:b:budget': '20', 'session:b:spent': '7.5E-7'});
    await full.client.configSet('maxmemory', '1');
    expect(await runBinary(['reset-session', 'b', '--yes'], full)).toEqual({
      code: 0,
      stdout: "✓ Session 'b' reset\nRemoved: budget $20.00, spent $0.00000075\n",
      stderr: '',
    });
    expect(await full.client.exists(['session:b:budget', 'session:b:spent'])).toBe(0);
  });
});

test('a Redis without GETDEL resets a session all the same', async () => {
  const old = await startRedis({args: ['--rename-command', 'GETDEL', 'x']});
  try {
    await old.client.mSet({'session:a:budget': '20', 'session:a:spent': '1e-05', 'session:b:budget': '1'});
    expect(await runBinary(['reset-session', 'a', '--yes'], old)).toEqual({
      code: 0,
      stdout: "✓ Session 'a' reset\nRemoved: budget $20.00, spent $0.00001\n",
      stderr: '',
    });
    expect(Object.keys(await dumpKeyspace(old))).toEqual(['session:b:budget']);
  } finally {
    await old.stop();
  }
});

describe('a Redis whose EVAL is renamed', () => {
  let redis: TestRedis;
  beforeAll(async () => (redis = await startRedis({args: ['--rename-command', 'EVAL', '']})));
  beforeEach(async () => {
    await redis.client.flushDb();
    await redis.client.mSet({'session:a:budget': '20', 'session:b:budget': '30', 'anomaly:a:last_hash': 'x'});
  });
  afterAll(() => redis.stop());
  const refusal = (): string =>
    `Error: Redis at ${addressOf(redis.url)} answered with an error: ERR unknown command 'EVAL'.\n`;

  test.each([
    [['set-budget', 'a', '5'], 'The journal needs scripts (EVAL). With --no-journal you can still set'],
    [['freeze-session', 'a', '--no-journal'], 'This change needs scripts (EVAL). See rename-command of the server.'],
  ])('refuses %j', async (argv, hint) => {
    const {code, stdout, stderr} = await runBinary(argv, redis);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain(`${refusal()}${hint}`);
    expect(await redis.client.get('session:a:budget')).toBe('20');
    expect(await redis.client.dbSize()).toBe(3);
  });

  test('has budgets set and sessions reset without the journal', async () => {
    const run = async (...argv: string[]): Promise<unknown> => runBinary([...argv, '--no-journal'], redis);
    expect(await run('set-budget', 'a', '5')).toMatchObject({
      code: 0,
      stdout: "✓ Budget set for 'a': $5.00\nPrevious budget: $20.00\n",
    });
    expect(await run('reset-session', 'a', '--yes')).toMatchObject({code: 0, stderr: ''});
    expect(await run('reset-session', '--all', '--yes')).toMatchObject({code: 0, stderr: ''});
    expect(await redis.client.keys('*')).toEqual(['anomaly:a:last_hash']);
  });

  test('is looked through by check-store', async () => {
    const {code, stdout} = await runBinary(['check-store'], redis);
    expect(code).toBe(2);
    expect(stdout).toContain('anomaly:a:last_hash: a record without a TTL');
  });
});

describe('a Redis user who may only read', () => {
  let redis: TestRedis;
  let url: string;
  beforeAll(async () => {
    redis = await startRedis();
    await redis.client.set('session:a:budget', '20');
    const rights = ['resetkeys', '%R~session:*', '%R~anomaly:*', '+get', '+mget', '+exists', '+scan', '+time'];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'reader', 'on', '>hunter2', ...rights]);
    url = redis.url.replace('unix://', 'unix://reader:hunter2@');
  });
  afterAll(() => redis.stop());

  test.each([[['get-budget', 'a']], [['list-sessions']], [['anomaly-stats', 'a']]])('can %j', async (argv) => {
    expect(await runBinary(argv, {url})).toMatchObject({code: 0, stderr: ''});
  });

  test.each([
    [['set-budget', 'a', '5', '--no-journal'], "'set' command"],
    [['reset-session', 'a', '--yes', '--no-journal'], "'getdel' command"],
    [['freeze-session', 'a', '--no-journal'], "'eval' command"],
    [['unfreeze-session', 'a', '--no-journal'], "'eval' command"],
    [['health'], "'set' command"],
  ])('cannot %j', async (argv, what) => {
    const before = await dumpKeyspace(redis);
    expect(await runBinary(argv, {url})).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `Error: Redis at ${addressOf(redis.url)} refused: this user lacks a permission (${what}).\n` +
        'See ACL SETUSER: the user needs the commands, and the keys session:*, anomaly:* and tokengate:*.\n',
    });
    expect(await dumpKeyspace(redis)).toEqual(before);
  });
});
