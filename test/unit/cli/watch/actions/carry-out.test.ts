import {expect, test} from 'vitest';

import {formatCount} from '../../../../../src/cli/text/words.js';
import {ACTIONS} from '../../../../../src/cli/watch/actions/actions.js';
import type {Done} from '../../../../../src/cli/watch/actions/carry-out.js';
import {prepareUndo, undo} from '../../../../../src/cli/watch/actions/undo.js';
import {connect} from '../../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../../src/lib/redis/contract.js';
import {rawId} from '../../../../../src/lib/values/session-id.js';
import {startProxy} from '../../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../../support/redis/redis-server.js';
import {withRedis} from '../../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const journalOf = (change: string) => ({
  ...{change, command: 'watch-sessions', actor: 'me', reason: '', version: '1', limit: 1000},
});

async function act(key: string, ids: readonly string[], answers: string[] = [], on = redis): Promise<Done> {
  const action = ACTIONS.find((one) => one.key === key);
  if (action === undefined) throw new RangeError(key);
  const place = {redis: on, keys: ids.map(rawId), journal: journalOf('abcdefghij')};
  return action.run(place, {answers, confirmation: 'y'});
}

const spent = (...ids: string[]): Promise<(string | null)[]> =>
  server.client.mGet(ids.map((id) => `session:${id}:spent`));

async function spend(ids: readonly string[], amount: string): Promise<void> {
  await server.client.mSet(ids.flatMap((id) => [`session:${id}:budget`, '10', `session:${id}:spent`, amount]));
}

const MANY = Array.from({length: 250}, (_, index) => `s${String(index).padStart(3, '0')}`);

test.each([
  ['f', '✓ 250 of 250 sessions frozen', ['1h', 'why']],
  ['+', '✓ 250 of 250 sessions given another budget', ['5']],
  ['r', '✓ 250 of 250 sessions reset', []],
])(
  '%s of many is one change of the journal in few entries, which one undoing takes back',
  async (key, text, answers) => {
    await spend(MANY, '2.5');
    const before = await spent(...MANY);
    expect(await act(key, MANY, answers)).toEqual({text, warnings: [], isChanged: true, left: []});
    expect(await server.client.xLen('tokengate:changes')).toBeLessThan(10);
    const prepared = await prepareUndo(redis, {change: 'abcdefghij', what: 'it'});
    const undone = await undo(redis, prepared, {merge: false, journal: journalOf('bcdefghijk')});
    expect(undone.text).toBe('✓ Undone watch-sessions (change abcdefghij): 250 of 250 sessions');
    expect(await spent(...MANY)).toEqual(before);
    expect(await server.client.keys('anomaly:*')).toEqual([]);
  },
);

test('what was done and what was not is said session by session', async () => {
  await spend(['a', 'c'], '2.5');
  await server.client.set('session:b:budget', '3');
  await server.client.rPush('session:b:spent', 'no text');
  const done = await act('r', ['a', 'b', 'c', 'gone']);
  expect(done.text).toBe('✓ 2 of 4 sessions reset, 2 failed');
  expect(done).toMatchObject({isChanged: true, left: ['b', 'gone']});
  expect(done.page?.map(({text}) => text)).toEqual([
    '✓ 2 of 4 sessions reset, 2 failed',
    'Failed (1)',
    "Session 'b': its spent is of a wrong Redis type. Nothing was removed.",
    'Not found (1)',
    'gone',
    'Done (2)',
    'a',
    'c',
  ]);
  expect(await server.client.exists(['session:b:budget', 'session:b:spent'])).toBe(2);
});

test('one that fails alone is an error', async () => {
  await expect(act('r', ['gone'])).rejects.toMatchObject({code: 'SESSION_NOT_FOUND'});
  await spend(['a'], '1');
  await expect(act('+', ['a'], ['-11'])).rejects.toMatchObject({
    code: 'BUDGET_BELOW_ZERO',
    message: "The budget of session 'a' is $10.00: it would fall below zero.",
  });
});

test('a freeze that is kept is unchanged', async () => {
  await spend(['a', 'b'], '1');
  await act('f', ['a'], ['2h', 'first']);
  const done = await act('f', ['a', 'b'], ['1h', 'second']);
  expect(done.text).toBe('✓ 1 of 2 sessions frozen, 1 unchanged');
  expect(done.warnings).toEqual(["The freeze of 'a' ends no sooner, so it was kept. Unfreeze the session first."]);
  expect(done.page).toBeUndefined();
});

test('a connection that ends leaves none untold, and those that are not done stay meant', async () => {
  const ids = Array.from({length: 8100}, (_, index) => `s${String(index).padStart(4, '0')}`);
  await spend(ids, '1');
  const proxy = await startProxy(server, (request) =>
    /EVAL\r\n.*session:s3000:/s.test(request) ? 'lose-reply' : 'pass',
  );
  const through = await connect({url: proxy.url});
  try {
    const done = await act('r', ids, [], through);
    const parts = /^✓ ([\d,]+) of 8,100 sessions reset, ([\d,]+) unknown, ([\d,]+) not done$/.exec(done.text) ?? [];
    const [changed = 0, unknown = 0, open = 0] = parts.slice(1).map((count) => Number(count.replace(',', '')));
    expect(done.isChanged).toBe(true);
    expect(unknown + open).toBe(done.left.length);
    expect(changed + done.left.length).toBe(8100);
    const gone = (await spent(...ids)).filter((text) => text === null).length;
    expect(gone).toBeGreaterThanOrEqual(changed);
    expect(done.page?.map(({text}) => text)).toContain(`Not done (${formatCount(open)})`);
  } finally {
    through.close();
    await proxy.stop();
  }
});
