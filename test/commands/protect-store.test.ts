import {describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

async function codeOf(line: string): Promise<string> {
  const {code, stdout, stderr} = await run(line, redis);
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  return (JSON.parse(stderr) as {error: {code: string}}).error.code;
}

describe('protect-store', () => {
  test('protects, says what was before, and is a change like others', async () => {
    expect((await run('protect-store prod', redis)).stdout).toBe("✓ The store is protected as 'prod'\n");
    expect((await run('protect-store prod --confirm prod', redis)).stdout).toBe(
      "The store is protected as 'prod' already\n",
    );
    const {result} = await run('protect-store live --confirm prod --json', redis);
    expect(result).toMatchObject({store: 'live', previous_store: 'prod', change_id: expect.any(String)});
    expect((await run('list-changes --limit 1', redis)).stdout).toMatch(
      /protect-store ║ \(the store\) ║ store prod → live/,
    );
    expect((await run('undo-change --last --confirm live', redis)).stdout).toContain('The store undone: store prod');
    expect(await redis.client.get('tokengate:store')).toBe('prod');
    expect((await run('protect-store --remove --confirm prod', redis)).stdout).toBe(
      "✓ The store is no longer protected; it was 'prod'\n",
    );
    expect(await redis.client.exists('tokengate:store')).toBe(0);
    expect((await run('protect-store --remove', redis)).stdout).toBe('The store is not protected\n');
  });

  test.each(['protect-store', 'protect-store a --remove', "protect-store 'a b'"])('%s is refused', async (line) => {
    expect(await codeOf(`${line} --json`)).toBe('INVALID_USAGE');
  });

  test('leaves alone what is no name', async () => {
    await redis.client.lPush('tokengate:store', 'x');
    expect(await codeOf('set-budget a 5 --json')).toBe('WRONG_TYPE');
    expect(await codeOf('protect-store prod --json')).toBe('WRONG_TYPE');
    await redis.client.set('session:a:budget', '5');
    for (const line of ['set-budget a 5', 'reset-session --all --yes', 'reset-session a --yes --no-journal']) {
      const {stderr} = await run(line, redis);
      expect(stderr).toContain('The key tokengate:store, the name of the store, is of a wrong Redis type.');
    }
  });
});
