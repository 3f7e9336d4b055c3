import {expect, test} from 'vitest';

import {startProxy} from '../../support/impostors/proxy.js';
import {run} from '../../support/program/run.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();

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

test.each([
  ['get-budget s1', 'GET'],
  ['explain-session s1', 'GET'],
  ['anomaly-stats s1', 'GET'],
  ['check-sessions', 'MGET'],
  ['list-changes', 'XREVRANGE'],
])('%s goes on when the connection ends while it reads', async (line, word) => {
  await load(3);
  await run('set-budget s1 5', redis);
  const proxy = await losing(word, (nth) => nth === 0);
  try {
    const {code, stdout} = await run(line, redis);
    expect(await run(line, proxy)).toMatchObject({code, stdout, stderr: ''});
  } finally {
    await proxy.stop();
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
