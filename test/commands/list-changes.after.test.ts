import {type ChildProcessByStdio, spawn} from 'node:child_process';
import type {Readable} from 'node:stream';

import {describe, expect, test} from 'vitest';

import {BIN, NODE, run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';
import {until} from '../support/until.js';

const redis = useRedis();

interface Line {
  cursor: string;
  command: string;
  session_id: string;
}
const parse = (stdout: string): Line[] =>
  stdout.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as Line)));
const after = async (cursor: string, flags = '--limit 0'): Promise<Line[]> => {
  const {stdout, stderr, code} = await run(`list-changes --after ${cursor} ${flags} --format ndjson`, redis);
  expect({stderr, code}).toEqual({stderr: '', code: 0});
  return parse(stdout);
};
const brief = (lines: readonly Line[]): string[] => lines.map(({command, session_id: id}) => `${command} ${id}`);

async function make(): Promise<void> {
  await redis.client.mSet(Array.from({length: 250}, (_, nth): [string, string] => [`session:s${nth}:budget`, '10']));
  await run('reset-session --all --yes --json --no-second-look', redis);
  await run('set-budget x 5', redis);
}

describe('list-changes --after', () => {
  test('prints each change of a session once, oldest first, wherever it is cut', async () => {
    await make();
    const all = await after('0');
    expect(all).toHaveLength(251);
    expect(new Set(all.map(({cursor}) => cursor)).size).toBe(251);
    expect(brief(all).at(-1)).toBe('set-budget x');
    // Within an entry, at its end, and at the end of all.
    for (const count of [1, 37, 100, 101, 249, 251]) {
      expect(await after(all[count - 1]!.cursor)).toEqual(all.slice(count));
    }
    const pieces: Line[] = [];
    for (let cursor = '0'; ;) {
      const some = await after(cursor, '--limit 60');
      if (some.length === 0) break;
      pieces.push(...some);
      cursor = some.at(-1)!.cursor;
    }
    expect(pieces).toEqual(all);
    expect(brief(await after('0', '--limit 0 --session s7'))).toEqual(['reset-session s7']);
  });

  test('a cursor whose entry is gone is an error, not a gap', async () => {
    await make();
    const [{cursor} = {cursor: ''}] = await after('0', '--limit 1');
    await redis.client.xTrim('tokengate:journal', 'MAXLEN', 1);
    const {code, stdout, stderr} = await run(`list-changes --after ${cursor} --format ndjson`, redis);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain('changes after it may be missing');
    expect(brief(await after('0'))).toEqual(['set-budget x']);
  });

  test.each([
    ['--after x --format ndjson', "Invalid cursor 'x'."],
    ['--after 0', '--after and --follow print lines without an end.'],
    ['--follow --limit 3 --format ndjson', '--after and --follow print lines without an end.'],
  ])('%s is refused', async (flags, message) => {
    const {code, stderr} = await run(`list-changes ${flags}`, redis);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});

test('--follow goes on with what comes, until it is interrupted', async () => {
  await run('set-budget before 5', redis);
  const child: ChildProcessByStdio<null, Readable, null> = spawn(
    NODE,
    [BIN, 'list-changes', '--after', '0', '--follow', '--format', 'ndjson'],
    {env: {...process.env, TOKENGATE_REDIS_URL: redis.url}, stdio: ['ignore', 'pipe', 'inherit']},
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await until(() => Promise.resolve(text.includes('"before"')));
  await run('set-budget x 5', redis);
  await until(() => Promise.resolve(text.includes('"x"')));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expect(brief(parse(text))).toEqual(['set-budget before', 'set-budget x']);
});
