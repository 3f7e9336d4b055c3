import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, expect, test} from 'vitest';

import {BIN, NODE, runBinary, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const ANSWER = 'session_id,budget,spent,remaining,percentage_used\na,20,0,20,0\n';

let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.set('session:a:budget', '20');
  folder = await mkdtemp(join(tmpdir(), 'tokengate-environment-'));
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

test.each([
  ['NODE_ENV=development', {NODE_ENV: 'development'}],
  ['NODE_ENV=test', {NODE_ENV: 'test'}],
  ['a HOME that does not exist', {HOME: '/nowhere'}],
  ['an empty HOME', {HOME: ''}],
  ['a HOME that cannot be', {HOME: '/dev/null/home'}],
])('%s changes nothing', async (_, env) => {
  expect(await runBinary(['list-sessions', '--format', 'csv'], {...redis, env})).toEqual({
    code: 0,
    stdout: ANSWER,
    stderr: '',
  });
});

test('an environment of nothing but the URL is enough', async () => {
  const argv = ['-i', `TOKENGATE_REDIS_URL=${redis.url}`, NODE, BIN, 'list-sessions', '--format', 'csv'];
  expect(await runProcess('env', argv)).toEqual({code: 0, stdout: ANSWER, stderr: ''});
});

test('the folder it is started in does not matter', async () => {
  expect(await runBinary(['list-sessions', '--format', 'csv'], {...redis, cwd: folder})).toEqual({
    code: 0,
    stdout: ANSWER,
    stderr: '',
  });
});

test('an empty TOKENGATE_REDIS_URL does not stand for localhost', async () => {
  expect(await runBinary(['list-sessions'], {env: {TOKENGATE_REDIS_URL: ''}})).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'Error: TOKENGATE_REDIS_URL is set, but empty.\nUnset it for redis://localhost:6379, or give --redis-url.\n',
  });
  const argv = ['list-sessions', '--format', 'csv', '--redis-url', redis.url];
  expect(await runBinary(argv, {env: {TOKENGATE_REDIS_URL: ''}})).toMatchObject({code: 0, stdout: ANSWER});
});

test('the flag wins over TOKENGATE_REDIS_URL', async () => {
  const argv = ['list-sessions', '--format', 'csv', '--redis-url', redis.url];
  expect(await runBinary(argv, {url: 'redis://127.0.0.1:1'})).toEqual({code: 0, stdout: ANSWER, stderr: ''});
});
