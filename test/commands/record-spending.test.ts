import {expect, test} from 'vitest';

import {connect} from '../../src/lib/redis/connect.js';
import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';
import {World} from '../support/spending/world.js';
import {until} from '../support/until.js';

const redis = useRedis();
const neutral = (text: string): string => text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, '<time>');

test('says what was noted first, and then what was spent since', async () => {
  await redis.client.mSet(['session:a:spent', '1.5', 'session:b:spent', '2', 'session:b:budget', '10']);
  expect(await run('record-spending', redis)).toMatchObject({
    code: 0,
    stdout: '✓ First recording: noted what 2 sessions had spent before\n',
    stderr: '',
  });
  await redis.client.set('session:a:spent', '1.75000001');
  const {code, stdout, stderr} = await run('record-spending', redis);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  expect(neutral(stdout)).toBe('✓ Recorded 2 sessions: 1 spent $0.25000001 since <time> UTC\n');
});

test('--quiet prints nothing but warnings, and a fall is one', async () => {
  await redis.client.set('session:a:spent', '1.5');
  expect(await run('record-spending --quiet', redis)).toMatchObject({code: 0, stdout: '', stderr: ''});
  await redis.client.set('session:a:spent', '0.5');
  const {code, stdout, stderr} = await run('record-spending --quiet', redis);
  expect({code, stdout}).toEqual({code: 0, stdout: ''});
  expect(stderr).toContain(
    "Unaccounted: the spending of session 'a' fell by $1.00 to $0.50, and the journal does not say why.",
  );
});

test('the spending before a reset counts, and the recorder leaves the journal alone', async () => {
  await run('record-spending', redis);
  await redis.client.mSet(['session:a:spent', '1.5', 'session:a:budget', '10']);
  await run('reset-session a --yes', redis);
  await redis.client.set('session:a:spent', '0.5');
  const {stdout} = await run('record-spending --json', redis);
  expect(JSON.parse(stdout)).toMatchObject({
    timezone: 'UTC',
    match: null,
    sessions: 1,
    active: 1,
    spent: 2,
    unaccounted: [],
  });
  expect(await redis.client.xLen('tokengate:journal')).toBe(1);
});

test('what a request under way writes back after a reset, and reset-session takes off again, counts once', async () => {
  const record = () => run('record-spending', redis);
  await record();
  await redis.client.mSet(['session:x:spent', '5', 'session:x:budget', '6']);
  await record();
  const reset = run('reset-session x --keep-budget --yes', redis);
  await until(async () => (await redis.client.xLen('tokengate:journal')) === 1);
  await redis.client.set('session:x:spent', '5.25');
  expect((await reset).code).toBe(0);
  expect(await redis.client.get('session:x:spent')).toBe('0.25');
  await record();
  const own = await connect({url: redis.url});
  const world = new World(own, record);
  expect([await world.recorded(), await world.unaccounted()]).toEqual([new Map([['x', '5.25']]), new Map()]);
  own.close();
});

test.each([
  ['--timezone Europe/Berlin', 'LEDGER_MISMATCH', 'The ledger has days of UTC, not of Europe/Berlin.'],
  ['--match a*', 'LEDGER_MISMATCH', "The ledger records all sessions, not sessions that match 'a*'."],
  ['--timezone Mars', 'INVALID_TIMEZONE', "Unknown time zone 'Mars'."],
  ['--keep 1h', 'INVALID_USAGE', '--keep 1h is too short.'],
])('%s is refused', async (flags, code, message) => {
  await run('record-spending', redis);
  const {stdout, stderr, code: exit} = await run(`record-spending ${flags} --json`, redis);
  expect({exit, stdout}).toEqual({exit: 1, stdout: ''});
  expect((JSON.parse(stderr) as {error: unknown}).error).toMatchObject({code, message});
});
