import {expect, test} from 'vitest';

import Health from '../../src/commands/health.js';
import {run, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis({tcp: true});

test('a healthy Redis is reported with its facts', async () => {
  const {code, stdout, stderr} = await run('health', redis);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  expect(stdout.split('\n')[0]).toBe('✓ Redis connection healthy');
  expect(stdout).toMatch(/^Address: 127\.0\.0\.1:\d+\nVersion: \d+\.\d+\.\d+\nRole: {4}primary\nLatency: \d+\.\d ms$/m);
  expect(JSON.parse((await run('health --json', redis)).stdout)).toEqual({
    healthy: true,
    address: redis.url.slice('redis://'.length),
    database: 0,
    version: expect.stringMatching(/^\d/),
    role: 'primary',
    latency_ms: expect.any(Number),
    cluster: null,
    can_change: true,
    context: null,
    store: null,
    protected: false,
  });
});

test('the check writes nothing', async () => {
  const before = await redis.client.info('persistence');
  await run('health', redis);
  const changes = (info: string): string | undefined => /rdb_changes_since_last_save:(\d+)/.exec(info)?.[1];
  expect(changes(await redis.client.info('persistence'))).toBe(changes(before));
  expect(await redis.client.dbSize()).toBe(0);
});

test('a user whose changes would be refused is warned, and Redis is healthy all the same', async () => {
  await redis.client.aclSetUser('plain', ['reset', 'on', '>pw', '+@all', '~*', '-eval']);
  const plain = {url: redis.url.replace('redis://', 'redis://plain:pw@')};
  const warning = 'Warning: Every change fails, since the journal needs scripts (EVAL): Redis at';
  const text = await runCommand(Health, [], plain);
  expect(text).toMatchObject({code: 0, stdout: expect.stringContaining('✓ Redis connection healthy\n')});
  expect(text.stderr).toContain(warning);
  const json = await runCommand(Health, ['--json'], plain);
  expect(JSON.parse(json.stdout)).toMatchObject({healthy: true, can_change: false});
  expect(json).toMatchObject({code: 0, stderr: expect.stringContaining(warning)});
  await redis.client.aclSetUser('plain', ['+eval', 'resetkeys', '~session:*', '~anomaly:*']);
  expect((await runCommand(Health, [], plain)).stderr).toContain('since the journal cannot be written');
});

test.each([
  ['that may not write', ['+get', '~*'], "this user lacks a permission ('set' command)"],
  ['that may not touch the keys', ['+get', '+set', '~other:*'], 'this user lacks a permission (access to a key)'],
])('a user %s is unhealthy', async (_, rules, message) => {
  await redis.client.aclSetUser('weak', ['reset', 'on', '>pw', ...rules]);
  const url = redis.url.replace('redis://', 'redis://weak:pw@');
  expect(await runCommand(Health, [], {url})).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining(message),
  });
});
