import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {describe, expect, test} from 'vitest';

import {Decimal} from '../../../src/lib/values/decimal.js';
import {startProxy} from '../../support/impostors/proxy.js';
import {type Output, run} from '../../support/program/run.js';
import {Workers} from '../../support/redis/gateway.js';
import {useRedis} from '../../support/redis/with-redis.js';
import {expectValid, SCHEMAS} from '../../support/schemas.js';

const redis = useRedis();

const get = (key: string): Promise<string | null> => redis.client.get(key);
const load = (keys: Record<string, string>): Promise<unknown> => redis.client.mSet(keys);

/** A request that writes as soon as the value of a key is no longer, or is, what it has read. */
interface Request {
  key: string;
  when: (value: string | null) => boolean;
  write: () => Promise<unknown>;
  /** How many more answers Redis gives to the command before that. */
  later?: number;
}

/** Runs a command line while a request is under way, which has written before the command hears of its own change. */
async function runBeside({key, when, write, later = 0}: Request, line: string, user = ''): Promise<Output> {
  let answers = 0;
  const proxy = await startProxy(
    redis,
    () => 'pass',
    async () => {
      if (answers > later || (answers === 0 && !when(await get(key)))) return;
      if (answers++ === later) await write();
    },
  );
  try {
    return await run(line, {url: proxy.url.replace('//', `//${user}`)});
  } finally {
    await proxy.stop();
    expect(answers).toBe(later + 1);
  }
}

/** A request that has read what session x has spent writes it back, with its cost, after it was removed. */
const writeBack = (spent: string, later = 0): Request => ({
  key: 'session:x:spent',
  when: (value) => value === null,
  write: () => redis.client.set('session:x:spent', spent),
  later,
});

const JUMPED =
  "Warning: Session 'x': its spending jumped to $9.60, by at least the $9.50 that was removed: a request that was under way had written it back. It was taken off again, which leaves $0.10.\n";

/** What a command has printed, which is what its schema says. */
function parse(command: string, text: string): unknown {
  const json: unknown = JSON.parse(text);
  expectValid(SCHEMAS.get(command)!, json, text);
  return json;
}

describe('spending that a request under way writes back after a reset', () => {
  test.each([
    ['of one session', 'reset-session x --yes'],
    ['of one session whose budget stays', 'reset-session x --yes --keep-budget'],
    ['of some', 'reset-session x y --yes'],
    ['without a journal', 'reset-session x y --yes --no-journal'],
    ['of a fresh start', 'set-period x --every month --amount 5 --start-fresh --yes'],
  ])('is taken off again: %s', async (_, line) => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y:budget': '1', 'session:y:spent': '1'});
    const {code, stderr} = await runBeside(writeBack('9.6'), line);
    expect({code, stderr}).toEqual({code: 0, stderr: JUMPED});
    expect(await get('session:x:spent')).toBe('0.1');
  });

  test('leaves no key where nothing is left', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await runBeside(writeBack('9.50'), 'reset-session x --yes');
    expect(await get('session:x:spent')).toBeNull();
  });

  test('is found when it comes late', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    const {stderr} = await runBeside(writeBack('9.6', 1), 'reset-session x --yes');
    expect(stderr).toBe(JUMPED);
    expect(await get('session:x:spent')).toBe('0.1');
  });

  test.each([
    ['that is less than what was removed', '9.4', 'reset-session x --yes'],
    ['that nobody is to look at', '9.6', 'reset-session x --yes --no-second-look'],
    ['that nobody is to look at, in a batch', '9.6', 'reset-session x y --yes --no-second-look'],
    ['that is no money', 'nan', 'reset-session x --yes'],
  ])('stays: new spending %s', async (_, spent, line) => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y:budget': '1'});
    const {code, stderr} = await runBeside(writeBack(spent), line);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(await get('session:x:spent')).toBe(spent);
  });

  test('is told in JSON', async () => {
    const found = {outcome: 'taken_off', removed_spent: 9.5, found_spent: 9.6, spent: 0.1};
    await load({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y:budget': '1'});
    const single = await runBeside(writeBack('9.6'), 'reset-session x --yes --json');
    expect(parse('reset-session', single.stdout)).toMatchObject({session_id: 'x', second_look: found});
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    const batch = await runBeside(writeBack('9.6'), 'reset-session x y --yes --json');
    expect(parse('reset-session', batch.stdout)).toMatchObject({
      second_looks: [{session_id: 'x', ...found}],
      summary: {reset: 2},
    });
    await load({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y:budget': '1'});
    const lines = await runBeside(writeBack('9.6'), 'reset-session x y --yes -o ndjson');
    expect(
      lines.stdout
        .trimEnd()
        .split('\n')
        .map((line): unknown => JSON.parse(line))
        .at(-1),
    ).toEqual({
      session_id: 'x',
      second_look: found,
    });
  });

  test('nothing is looked for where nothing was removed', async () => {
    await load({'session:x:budget': '10', 'session:y:budget': '10', 'session:y:spent': '0'});
    expect(JSON.parse((await run('reset-session x --yes --json', redis)).stdout)).toMatchObject({second_look: null});
    expect(JSON.parse((await run('reset-session y --yes --json', redis)).stdout)).toMatchObject({
      second_look: {outcome: 'lasts'},
    });
  });

  test('is undone with the reset: what was spent since is kept', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await runBeside(writeBack('9.6'), 'reset-session x --yes');
    const {stdout} = await run('list-changes --json', redis);
    expect(new Set((JSON.parse(stdout) as {change_id: string}[]).map((change) => change.change_id)).size).toBe(1);
    expect((await run('list-changes', redis)).stdout).toContain('spent $9.60 → $0.10');
    expect(await run('undo-change --last --yes', redis)).toMatchObject({code: 0, stderr: ''});
    expect(await redis.client.mGet(['session:x:budget', 'session:x:spent'])).toEqual(['10', '9.6']);
  });

  test('is undone with the reset, and --merge adds what was spent since that too', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await runBeside(writeBack('9.6'), 'reset-session x --yes');
    await load({'session:x:spent': '0.35', 'session:x:budget': '10.0'});
    expect((await run('undo-change --last --yes', redis)).code).toBe(1);
    expect(await run('undo-change --last --yes --merge', redis)).toMatchObject({code: 0});
    expect(await redis.client.mGet(['session:x:budget', 'session:x:spent'])).toEqual(['10', '9.85']);
  });

  test('that cannot be taken off is an error', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await redis.client.aclSetUser('plain', ['on', '>p', '~*', '+@all', '-eval', '-evalsha']);
    const single = await runBeside(writeBack('9.6'), 'reset-session x --yes --no-journal --json', 'plain:p@');
    expect(single.code).toBe(1);
    expect(single.stderr).toContain('had written it back. Taking it off again failed: ');
    expect(parse('reset-session', single.stdout)).toMatchObject({second_look: {outcome: 'failed', removed_spent: 9.5}});
    await load({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y:budget': '1'});
    const batch = await runBeside(writeBack('9.6'), 'reset-session x y --yes --no-journal', 'plain:p@');
    expect(batch.code).toBe(1);
    expect(batch.stderr).toContain('Error: Reset 2, of which 1 did not last.\n');
  });

  test('is looked for in vain when the connection is lost, which is said, and changes nothing of the report', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    const proxy = await startProxy(redis, (request) => (request.includes('\r\nMGET\r\n') ? 'lose-reply' : 'pass'));
    try {
      const {code, stdout, stderr} = await run('reset-session x --yes', proxy);
      expect({code, stdout}).toEqual({code: 0, stdout: "✓ Session 'x' reset\nRemoved: budget $10.00, spent $9.50\n"});
      expect(stderr).toMatch(/^Warning: The second look, .*, failed: Lost .*\n$/);
    } finally {
      await proxy.stop();
    }
  });
});

describe('spending that was removed, and may as well be the cost of new requests', () => {
  const FOUND = {outcome: 'jumped', removed_spent: 1, found_spent: 1.02};

  test.each([
    ['of one session', 'reset-session x --yes --json', (json: {second_look: object}) => json.second_look],
    ['of some', 'reset-session x y --yes --json', (json: {second_looks: object[]}) => json.second_looks[0]],
  ])('is told, and left: %s', async (_, line, read: (json: never) => unknown) => {
    // More is left of the budget than was removed.
    await load({'session:x:budget': '10', 'session:x:spent': '1', 'session:y:budget': '1'});
    const {code, stdout, stderr} = await runBeside(writeBack('1.02'), line);
    expect(code).toBe(0);
    expect(read(parse('reset-session', stdout) as never)).toMatchObject(FOUND);
    expect(stderr).toBe(
      "Warning: Session 'x': its spending jumped to $1.02, by at least the $1.00 that was removed. Either a request that was under way has written it back, or new requests have cost as much. Nothing was taken off.\n",
    );
    expect(await get('session:x:spent')).toBe('1.02');
  });

  test.each([
    ['more than half of the budget', '10', '5.01', '0.1'],
    ['half of the budget', '10', '5', '5.1'],
    ['all of a budget that is used up', '1', '1', '0.1'],
    ['what was spent without a budget', '', '5', '5.1'],
    ['what was spent without limit', 'inf', '5', '5.1'],
  ])('is a matter of the budget: %s', async (_, budget, spent, left) => {
    await load({...(budget !== '' && {'session:x:budget': budget}), 'session:x:spent': spent});
    const back = Decimal.of(spent).plus(Decimal.of('0.1')).toString();
    await runBeside(writeBack(back), 'reset-session x --yes');
    expect(await get('session:x:spent')).toBe(left);
  });
});

describe('an undo', () => {
  const undo = 'undo-change --last --yes --json';
  /** A request that had read what session x has spent writes as soon as it has been put back. */
  const overwriting = (key: string, restored: string, write: () => Promise<unknown>): Request => ({
    key,
    when: (value) => value === restored,
    write,
  });

  test('that restores spending is corrected where a request overwrites that', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await run('reset-session x --yes --no-second-look', redis);
    const {code, stdout, stderr} = await runBeside(
      overwriting('session:x:spent', '9.5', () => redis.client.set('session:x:spent', '0.02')),
      undo,
    );
    expect(code).toBe(0);
    expect(parse('undo-change', stdout)).toMatchObject({
      second_looks: [{session_id: 'x', outcome: 'put_back', added_spent: 9.5, found_spent: 0.02, spent: 9.52}],
    });
    expect(stderr).toBe(
      "Warning: Session 'x': its spending fell to $0.02: a request that was under way had overwritten it. The $9.50 that had been restored was added again, which makes $9.52.\n",
    );
    expect(await get('session:x:spent')).toBe('9.52');
    const [{undone_by: change}] = (JSON.parse(stdout) as {results: [{undone_by: string}]}).results;
    expect((await run('list-changes', redis)).stdout).toMatch(new RegExp(`${change}.*spent \\$0.02 → \\$9.52`, 's'));
  });

  test('that restores spending leaves alone what somebody has reset since', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await run('reset-session x --yes --no-second-look', redis);
    const {stderr} = await runBeside(
      overwriting('session:x:spent', '9.5', () => redis.client.del('session:x:spent')),
      undo,
    );
    expect(stderr).toBe('');
    expect(await get('session:x:spent')).toBeNull();
  });

  test('that removes spending is corrected where a request writes that back', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await run('reset-session x --yes --no-second-look', redis);
    const {stdout} = await run(undo, redis);
    const [{undone_by: change}] = (JSON.parse(stdout) as {results: [{undone_by: string}]}).results;
    const {code} = await runBeside(writeBack('9.6'), `undo-change ${change} --yes`);
    expect(code).toBe(0);
    expect(await get('session:x:spent')).toBe('0.1');
  });

  test('is not looked at with --no-second-look', async () => {
    await load({'session:x:budget': '10', 'session:x:spent': '9.5'});
    await run('reset-session x --yes --no-second-look', redis);
    const {stdout} = await runBeside(
      overwriting('session:x:spent', '9.5', () => redis.client.set('session:x:spent', '0.02')),
      `${undo} --no-second-look`,
    );
    expect(parse('undo-change', stdout)).toMatchObject({second_looks: null});
    expect(await get('session:x:spent')).toBe('0.02');
  });

  test("that restores a budget is no success where a request gives the session the gateway's default", async () => {
    await load({'session:x:budget': '25.50'});
    await run('reset-session x --yes', redis);
    const {code, stdout} = await runBeside(
      overwriting('session:x:budget', '25.50', () => redis.client.set('session:x:budget', '10.0')),
      undo,
    );
    expect(code).toBe(1);
    expect(parse('undo-change', stdout)).toMatchObject({second_looks: [{outcome: 'overwritten', budget: 10}]});
  });

  test('that restores a freeze, or ends one, is no success where a request does otherwise', async () => {
    const until = '2099-01-01T00:00:00';
    await load({'session:x:budget': '1', 'anomaly:x:frozen_until': until, 'anomaly:x:freeze_reason': 'Why'});
    await run('unfreeze-session x', redis);
    const restored = await runBeside(
      overwriting('anomaly:x:frozen_until', until, () => redis.client.del('anomaly:x:frozen_until')),
      undo,
    );
    expect(restored.code).toBe(1);
    expect(restored.stderr).toContain("Session 'x' is not frozen now: somebody wrote it right after");
    await redis.client.flushDb();
    await load({'session:x:budget': '1'});
    await run('freeze-session x', redis);
    const ended = await runBeside(
      {
        key: 'anomaly:x:frozen_until',
        when: (value) => value === null,
        write: () => redis.client.set('anomaly:x:frozen_until', until),
      },
      undo,
    );
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("Session 'x' is frozen until 2099-01-01 00:00:00 UTC");
    expect(ended.stderr).toContain('somebody froze it right after');
  });
});

describe('a first budget', () => {
  const overwriting = (later: number): Request => ({
    key: 'session:x:budget',
    when: (value) => value === '25.50',
    write: () => redis.client.set('session:x:budget', '10.0'),
    later,
  });

  test.each([
    ['at once', {}, 0],
    ['a moment later, while there are requests', {'anomaly:x:requests:1min': '1'}, 1],
  ])(
    "that a request overwrites %s with the gateway's default is no success",
    async (_, counters: Record<string, string>, later) => {
      await redis.client.set('session:other:budget', '1');
      if (Object.keys(counters).length > 0) await load(counters);
      const {code, stdout, stderr} = await runBeside(overwriting(later), 'set-budget x 25.50 --json');
      expect(code).toBe(1);
      expect(parse('set-budget', stdout)).toMatchObject({
        budget: 25.5,
        second_look: {outcome: 'overwritten', budget: 10},
      });
      expect(stderr).toContain(
        "Warning: Session 'x': its budget is $10.00 now, not $25.50: somebody wrote it right after, such as a request that was under way, which gives a session the gateway's default. Set it again.\n",
      );
    },
  );

  test('that lasts is one, and one that replaces another is not looked at', async () => {
    const {code, stdout} = await run('set-budget x 25.50 --json', redis);
    expect({code, json: JSON.parse(stdout) as unknown}).toMatchObject({
      code: 0,
      json: {second_look: {outcome: 'lasts'}},
    });
    expect(JSON.parse((await run('set-budget x 26 --json', redis)).stdout)).toMatchObject({second_look: null});
  });
});

test.each([
  ['set-period', 'set-period x --every month --amount 25.50 --yes'],
  ['apply-budgets', 'apply-budgets -f BUDGETS --yes'],
])("a first budget of %s that a request overwrites with the gateway's default is no success", async (_, line) => {
  const file = `${await mkdtemp(join(tmpdir(), 'tokengate-second-look-'))}/budgets.yaml`;
  await writeFile(file, 'version: 1\nsessions:\n  x: {budget: 25.5}\n');
  // A session that is known, without a budget.
  await load({'session:x:spent': '0'});
  const {code, stderr} = await runBeside(
    {
      key: 'session:x:budget',
      when: (value) => value !== null,
      write: () => redis.client.set('session:x:budget', '10.0'),
    },
    line.replace('BUDGETS', file),
  );
  await rm(dirname(file), {recursive: true});
  expect(code).toBe(1);
  expect(stderr).toContain("Session 'x': its budget is $10.00 now, not $25.50: somebody wrote it right after");
});

describe('a freeze', () => {
  const FREEZE = ['anomaly:x:frozen_until', 'anomaly:x:freeze_reason'];
  const isSet = (value: string | null): boolean => value !== null && value > '2026-01-02';

  test.each([
    ['one session, a moment later', 'freeze-session x --json', 1],
    ['some', 'freeze-session x y --yes --json', 0],
  ])('that a request removes, as it was over before, is no success: %s', async (_, line, later) => {
    await load({'session:x:budget': '1', 'session:y:budget': '1', 'anomaly:x:frozen_until': '2026-01-01T00:00:00'});
    const {code, stdout, stderr} = await runBeside(
      {key: 'anomaly:x:frozen_until', when: isSet, write: () => redis.client.del(FREEZE), later},
      line,
    );
    expect(code).toBe(1);
    const found = {outcome: 'overwritten', frozen_until: null, freeze_reason: null};
    const json = parse('freeze-session', stdout) as {second_looks?: unknown[]; second_look?: unknown};
    expect(json.second_look ?? json.second_looks?.[0]).toMatchObject(found);
    expect(stderr).toContain(
      "Warning: Session 'x' is not frozen now: somebody wrote it right after, such as a request that was under way. Freeze it again.\n",
    );
  });

  test('that a request beyond the limits replaces with one of five minutes is no success', async () => {
    await load({'session:x:budget': '1'});
    await redis.client.set('anomaly:x:requests:1min', '100', {EX: 60});
    const end = new Date(Date.now() + 300_000).toISOString().slice(0, -1);
    const {code, stderr} = await runBeside(
      {
        key: 'anomaly:x:frozen_until',
        when: isSet,
        write: () => load({'anomaly:x:frozen_until': end, 'anomaly:x:freeze_reason': 'Rate'}),
        later: 1,
      },
      'freeze-session x',
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/Session 'x' is frozen until .* \(Rate\) now: somebody wrote it right after/);
  });

  test.each([
    ['one session', 'unfreeze-session x --json'],
    ['some', 'unfreeze-session x y --yes --json'],
  ])('that a request writes again after it was ended is no success: %s', async (_, line) => {
    const end = '2099-01-01T00:00:00';
    await load({'session:x:budget': '1', 'session:y:budget': '1', 'anomaly:x:frozen_until': end});
    const {code, stdout, stderr} = await runBeside(
      {
        key: 'anomaly:x:frozen_until',
        when: (value) => value === null,
        write: () => load({'anomaly:x:frozen_until': end, 'anomaly:x:freeze_reason': 'Loop'}),
      },
      line,
    );
    expect(code).toBe(1);
    const json = parse('unfreeze-session', stdout) as {second_looks?: unknown[]; second_look?: unknown};
    expect(json.second_look ?? json.second_looks?.[0]).toMatchObject({outcome: 'overwritten', freeze_reason: 'Loop'});
    expect(stderr).toContain(
      "Warning: Session 'x' is frozen until 2099-01-01 00:00:00 UTC (Loop) now: somebody froze it right after, such as a request that was under way. Unfreeze it again.\n",
    );
  });

  test('that somebody makes longer lasts', async () => {
    await load({'session:x:budget': '1'});
    const {code, stderr} = await runBeside(
      {
        key: 'anomaly:x:frozen_until',
        when: isSet,
        write: () => redis.client.set('anomaly:x:frozen_until', '9999-12-31T23:59:59'),
      },
      'freeze-session x y --allow-unknown --yes',
    );
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
  });
});

test('a thousand renewals under load lose nothing that is spent, and leave no session blocked by old spending', async () => {
  const ids = Array.from({length: 100}, (_, index) => `s${index}`);
  await load(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, '20'])));
  await run('set-period --all --every day --amount 20 --yes', redis);
  const clients = await Promise.all(Array.from({length: 4}, () => redis.client.duplicate().connect()));
  const workers = new Workers(ids, (key) => clients[Number(/\d+/.exec(key)?.[0]) % clients.length]!);
  let [removed, found] = [Decimal.of(0), 0];
  for (let round = 0; round < 10; round++) {
    await workers.spend('19');
    for (const id of ids) {
      const key = `tokengate:period:${id}`;
      const period = JSON.parse((await get(key)) ?? '') as {renewed: string};
      const renewed = new Date(Date.parse(period.renewed) - 2 * 86_400_000).toISOString();
      await redis.client.set(key, JSON.stringify({...period, renewed}));
    }
    const {code, stdout} = await run('renew-budgets --json', redis);
    expect(code).toBe(0);
    // Exact: a number in it has every digit.
    const amountsOf = (name: string, text: string): Decimal[] =>
      Array.from(text.matchAll(new RegExp(`"${name}": ([\\d.]+)`, 'g')), ([, digits = '0']) => Decimal.of(digits));
    const [results = '', looks = ''] = stdout.split('"second_looks"');
    for (const amount of amountsOf('removed_spent', results)) removed = removed.plus(amount);
    found += amountsOf('found_spent', looks).length;
    const spent = await redis.client.mGet(ids.map((id) => `session:${id}:spent`));
    expect(spent.filter((text) => Number(text) >= 19)).toEqual([]);
  }
  await workers.stop();
  for (const client of clients) client.destroy();
  const costs = [...workers.costs.values()].reduce((sum, cost) => sum.plus(cost));
  let left = Decimal.of(0);
  for (const text of await redis.client.mGet(ids.map((id) => `session:${id}:spent`)))
    left = left.plus(Decimal.of(text ?? '0'));
  expect(removed.plus(left).toString()).toBe(costs.toString());
  expect(found).toBeGreaterThan(10);
});
