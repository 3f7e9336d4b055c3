import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, expect, test} from 'vitest';

import {startProxy} from '../../support/impostors/proxy.js';
import {run} from '../../support/program/run.js';
import type {TestRedis} from '../../support/redis/redis-server.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'tokengate-'))));
afterAll(() => rm(folder, {recursive: true}));

async function load(count: number): Promise<string[]> {
  const ids = Array.from({length: count}, (_, index) => `s${index}`);
  await redis.client.mSet(ids.flatMap((id): [string, string][] => [[`session:${id}:budget`, '10']]));
  return ids.sort();
}

/** A proxy that ends the connection in place of the replies to some of the requests that have a word in them. */
async function losing(word: string, isLost: (nth: number) => boolean) {
  let nth = 0;
  return startProxy(redis, (request) => (request.includes(`\r\n${word}\r\n`) && isLost(nth++) ? 'lose-reply' : 'pass'));
}

test.each([
  ['list-sessions --format ids', (text: string) => text.trimEnd().split('\n')],
  ['list-sessions --json', (text: string) => (JSON.parse(text) as {session_id: string}[]).map((one) => one.session_id)],
])('%s has each session once when connections end while it reads', async (line, read) => {
  const ids = await load(12_000);
  for (const word of ['MGET', 'SCAN']) {
    const proxy = await losing(word, (nth) => nth % 4 === 1);
    try {
      const {code, stdout, stderr} = await run(line, proxy);
      expect({code, stderr}).toEqual({code: 0, stderr: ''});
      expect(read(stdout)).toEqual(ids);
    } finally {
      await proxy.stop();
    }
  }
});

/** The time, and the address of the proxy in place of that of Redis. */
const CHANGING = /\d\d:\d\d:\d\d|\S+redis.sock db 0 *|127\.0\.0\.1:\d+ db 0 */g;

// Not health and print-metrics, which try whether Redis can be written.
test.each([
  'get-budget s1',
  'explain-session s1',
  'anomaly-stats s1',
  'check-sessions',
  'check-store',
  'diff-budgets --file FILE',
  'export-budgets',
  'list-changes',
  'list-grants',
  'list-periods',
  'list-sessions --sort used',
  'reset-session --all --dry-run',
  'list-requests s1',
  'report-spending',
  'watch-sessions --once',
])('%s goes on when the connection ends in place of any of its replies', async (words) => {
  await load(3);
  const file = join(folder, 'budgets.yaml');
  for (const line of [
    'set-budget s1 5',
    'set-period s2 --every month --amount 5',
    'grant-budget s1 2 --for 3d',
    'record-spending',
    `export-budgets --out ${file}`,
    'set-budget s1 6',
  ])
    expect(await run(line, redis)).toMatchObject({code: 0});
  const read = async (url: Pick<TestRedis, 'url'>): Promise<unknown> => {
    const {code, stdout, stderr} = await run(words.replace('FILE', file), url);
    return {code, stdout: stdout.replaceAll(CHANGING, '…'), stderr};
  };
  const whole = await read(redis);
  for (let lost = 1, requests = Infinity; lost < requests; lost++) {
    requests = 0;
    const proxy = await startProxy(redis, () => (requests++ === lost ? 'lose-reply' : 'pass'));
    try {
      expect(await read(proxy), `without reply ${lost}`).toEqual(whole);
    } finally {
      await proxy.stop();
    }
    expect(requests).toBeGreaterThan(1);
  }
});

test('a connection that is lost again before it has answered is an error', async () => {
  await load(3);
  const proxy = await losing('GET', () => true);
  try {
    const {code, stderr} = await run('get-budget s1', proxy);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: Lost the connection/);
  } finally {
    await proxy.stop();
  }
});

test('a change is never sent twice', async () => {
  await load(3);
  const proxy = await losing('EVAL', () => true);
  try {
    const {code, stderr} = await run('add-budget s1 5', proxy);
    expect(code).toBe(1);
    expect(stderr).toContain('It is unknown whether');
    expect(await redis.client.get('session:s1:budget')).toBe('15');
  } finally {
    await proxy.stop();
  }
});
