import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {resetSession} from '../../../src/lib/operations/reset.js';
import {slotOf} from '../../../src/lib/redis/cluster/slots.js';
import {connect} from '../../../src/lib/redis/connect.js';
import type {Redis} from '../../../src/lib/redis/contract.js';
import {rawId} from '../../../src/lib/values/session-id.js';
import {type Output, runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.stop());
beforeEach(async () => {
  for (const {client} of cluster.primaries) await client.flushAll();
});

const run = async (...argv: string[]): Promise<Output> => runBinary(argv, cluster);
const json = async (...argv: string[]): Promise<unknown> => {
  const {code, stdout, stderr} = await run(...argv, '--json');
  // Of a session that is not there yet a warning asks whether its ID is right.
  const others = argv[0] === 'set-budget' ? stderr.replace(/^Warning: New session '.*'\.\n$/, '') : stderr;
  expect({argv, code, stderr: others}).toEqual({argv, code: 0, stderr: ''});
  return JSON.parse(stdout) as unknown;
};
/** Without the journal. */
const sessions = async (): Promise<Record<string, string | null>> =>
  Object.fromEntries([...(await cluster.texts())].filter(([key]) => !key.startsWith('tokengate:')).sort());

test('a freeze whose key expires before its end, or that cannot be read, is replaced', async () => {
  const key = 'anomaly:a:frozen_until';
  const {client} = await cluster.primaryOf(key);
  for (const found of ['2099-01-01T00:00:00', '4102444800']) {
    await client.set(key, found, {expiration: {type: 'EX', value: 100}});
    expect(await run('freeze-session', 'a', '--for', '1h')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("✓ Session 'a' frozen until "),
    });
    expect(await client.ttl(key)).toBeGreaterThan(3500);
  }
});

describe.each(['plain', '{tagged}', 'ü\n*'])("of a session '%s'", (id) => {
  test('every change is made, recorded, and can be undone', async () => {
    expect(await json('set-budget', id, '25.50')).toMatchObject({budget: 25.5, previous_budget: null});
    expect(await json('add-budget', id, '0.10')).toMatchObject({budget: 25.6, previous_budget: 25.5});
    await cluster.write({[`session:${id}:spent`]: '12.345'});
    expect(await json('freeze-session', id, '--reason', 'Bot', '--for', '1h')).toMatchObject({is_frozen: true});
    const frozen = await sessions();
    expect(frozen[`anomaly:${id}:freeze_reason`]).toBe('Bot');
    expect((await run('freeze-session', id, '--for', '30m')).stderr).toContain('it was kept');
    expect(await json('unfreeze-session', id)).toMatchObject({was_frozen: true});
    const before = {[`session:${id}:budget`]: '25.6', [`session:${id}:spent`]: '12.345'};
    expect(await sessions()).toEqual(before);
    expect(await json('reset-session', id, '--yes')).toMatchObject({removed_budget: 25.6, removed_spent: 12.345});
    expect(await sessions()).toEqual({});

    const changes = (await json('list-changes')) as {command: string; complete: boolean; change_id: string}[];
    expect(changes.map(({command, complete}) => [command, complete])).toEqual([
      ['reset-session', true],
      ['unfreeze-session', true],
      ['freeze-session', true],
      ['add-budget', true],
      ['set-budget', true],
    ]);
    await json('undo-change', changes[0]?.change_id ?? '', '--yes');
    expect(await sessions()).toEqual(before);
    await json('undo-change', changes[1]?.change_id ?? '', '--yes');
    expect(await sessions()).toEqual(frozen);
    const owner = await cluster.primaryOf(`anomaly:${id}:frozen_until`);
    expect(await owner.client.pTTL(`anomaly:${id}:frozen_until`)).toBeGreaterThan(3_500_000);
  });
});

test('two who undo the same reset with --merge add what was spent once', async () => {
  const ids = Array.from({length: 300}, (_, index) => `s${index}`);
  const all = (budget: string, spent: string): Record<string, string> =>
    Object.fromEntries(
      ids.flatMap((id) => [
        [`session:${id}:budget`, budget],
        [`session:${id}:spent`, spent],
      ]),
    );
  await cluster.write(all('50', '20'));
  expect((await run('reset-session', '--all', '--yes', '--quiet')).code).toBe(0);
  await cluster.write(all('10.0', '1.5'));
  const [{change_id: change} = {change_id: ''}] = (await json('list-changes', '--limit', '1')) as {change_id: string}[];
  const undo = (): Promise<Output> => run('undo-change', change, '--merge', '--yes', '--json');
  const outcomes = (await Promise.all([undo(), undo()])).flatMap(
    ({stdout}) => (JSON.parse(stdout) as {results: {outcome: string}[]}).results,
  );
  expect(new Set(Object.values(await sessions()))).toEqual(new Set(['50', '21.5']));
  expect(outcomes.filter(({outcome}) => outcome === 'undone')).toHaveLength(300);
});

test('what is refused, or as wanted already, leaves no trace in the journal', async () => {
  expect(await run('reset-session', 'nobody', '--yes')).toMatchObject({code: 1});
  expect((await run('unfreeze-session', 'nobody')).code).toBe(0);
  expect(await json('list-changes')).toEqual([]);
});

describe('a change that was interrupted', () => {
  const id = 'half';
  const names = [`session:${id}:budget`, `session:${id}:spent`];
  /** As it is left when the process ends before the second step: the entry of what was announced, and no more. */
  const interrupt = async (): Promise<string> => {
    await cluster.write({[names[0]!]: '5.0', [names[1]!]: '1.25'});
    await json('reset-session', id, '--yes');
    const [{change_id: change} = {change_id: ''}] = (await json('list-changes')) as {change_id: string}[];
    const node = await cluster.primaryOf('tokengate:journal');
    const entries = await node.client.xRevRange('tokengate:journal', '+', '-', {COUNT: 1});
    const {id: entry, message} = entries![0]!;
    expect(Object.keys(message)).toContain('completes');
    await node.client.xDel('tokengate:journal', entry);
    await cluster.write({[names[1]!]: '1.25'});
    return change;
  };

  test('is shown as not known to be complete', async () => {
    const change = await interrupt();
    expect((await run('list-changes')).stdout).toContain('reset-session (not known to be complete)');
    expect(await json('list-changes', '--change', change)).toMatchObject([{complete: false, session_id: id}]);
  });

  test('is undone as far as it was done', async () => {
    const change = await interrupt();
    expect(await sessions()).toEqual({[names[1]!]: '1.25'});
    await json('undo-change', change, '--yes');
    expect(await sessions()).toEqual({[names[0]!]: '5.0', [names[1]!]: '1.25'});
    expect((await run('undo-change', change, '--yes')).code).toBe(0);
  });

  test('is not undone over what came after', async () => {
    const change = await interrupt();
    await cluster.write({[names[1]!]: '1.50'});
    const {code, stderr} = await run('undo-change', change, '--yes');
    expect(code).toBe(1);
    expect(stderr).toContain('its spent is $1.50 now, not none as that change left it (it was $1.25 before)');
    expect(await sessions()).toEqual({[names[1]!]: '1.50'});
  });
});

test('a journal that is no stream refuses the change', async () => {
  await cluster.write({'tokengate:journal': 'text', 'session:a:budget': '5.0'});
  const {code, stderr} = await run('reset-session', 'a', '--yes');
  expect(code).toBe(1);
  expect(stderr).toContain('The journal of changes cannot be written');
  expect(await sessions()).toEqual({'session:a:budget': '5.0'});
  expect((await run('reset-session', 'a', '--yes', '--no-journal')).code).toBe(0);
  expect(await sessions()).toEqual({});
});

test('memory that is full is no hindrance to a reset', async () => {
  await cluster.write({'session:a:budget': '5.0', 'session:a:spent': '1.0'});
  await run('set-budget', 'b', '1');
  for (const {client} of cluster.primaries) await client.configSet('maxmemory', '1');
  try {
    expect((await run('set-budget', 'a', '6')).stderr).toContain('is out of memory');
    expect(await json('reset-session', 'a', '--yes')).toMatchObject({removed_budget: 5, removed_spent: 1});
  } finally {
    for (const {client} of cluster.primaries) await client.configSet('maxmemory', '0');
  }
});

describe('a session that is busy', () => {
  test('loses nothing: what is removed at last is told', async () => {
    const ids = Array.from({length: 400}, (_, index) => `busy-${index}`);
    expect(new Set(ids.map((id) => slotOf(`session:${id}:spent`))).size).toBeGreaterThan(300);
    // So large that no second look takes spending for written back.
    await cluster.write(Object.fromEntries(ids.map((id) => [`session:${id}:budget`, '1000'])));
    const added = new Map<string, number>();
    const over = new AbortController();
    // Spending goes on all the time.
    const spending = (async () => {
      const owners = new Map(
        await Promise.all(ids.map(async (id) => [id, await cluster.primaryOf(`session:${id}:spent`)] as const)),
      );
      const spendOn = async (): Promise<void> => {
        await Promise.all(
          ids.map(async (id) => {
            await owners.get(id)?.client.incrBy(`session:${id}:spent`, 1);
            added.set(id, (added.get(id) ?? 0) + 1);
          }),
        );
      };
      await spendOn();
      while (!over.signal.aborted) {
        await spendOn();
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    })();
    while (added.size < ids.length) await new Promise((resolve) => setTimeout(resolve, 5));
    const {stdout} = await run('reset-session', '--all', '--yes', '--format', 'ndjson');
    over.abort();
    await spending;
    const left = await sessions();
    const results = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as {session_id: string; outcome?: string; removed_spent?: number})
      .filter(({outcome}) => outcome !== undefined);
    expect(results.length).toBe(ids.length);
    for (const {session_id: id, outcome, removed_spent: removed = 0} of results) {
      if (outcome !== 'reset') continue;
      expect([id, removed + Number(left[`session:${id}:spent`] ?? 0)]).toEqual([id, added.get(id)]);
    }
    expect(results.filter(({outcome}) => outcome === 'reset').length).toBeGreaterThan(350);
  });
});

describe('a session that changes between the steps of its reset', () => {
  /** Resets it, and lets something happen before each flight of changes. */
  const reset = async (meanwhile: (flight: number) => Promise<unknown>): Promise<unknown> => {
    await cluster.write({'session:a:budget': '5.0', 'session:a:spent': '1.0'});
    const redis = await connect({url: cluster.url});
    let flights = 0;
    const watched: Redis = {
      ...redis,
      async units(units) {
        await meanwhile(++flights);
        return redis.units(units);
      },
    };
    try {
      const journal = {
        change: 'k7m2q9x4tv',
        command: 'reset-session',
        actor: 'ops',
        reason: '',
        version: '1',
        limit: 1000,
      };
      return await resetSession(watched, rawId('a'), {keepBudget: false}, journal).catch((error: unknown) => error);
    } finally {
      redis.close();
    }
  };

  test('is decided on again, shown as one change, and undone as one', async () => {
    // The entry, its budget, and then what is spent.
    const result = await reset(async (flight) => {
      if (flight === 3) await cluster.write({'session:a:spent': '2.0'});
    });
    expect(result).toMatchObject({budget: '5.0', spent: '2.0'});
    expect(await sessions()).toEqual({});
    const {stdout} = await run('list-changes');
    expect(stdout).toContain('budget $5.00 → none, spent $2.00 → none');
    await json('undo-change', 'k7m2q9x4tv', '--yes');
    expect(await sessions()).toEqual({'session:a:budget': '5.0', 'session:a:spent': '2.0'});
  });

  test('again and again is given up, and what was changed is told', async () => {
    const result = await reset((flight) => cluster.write({'session:a:spent': `${flight}.5`}));
    expect(result).toMatchObject({
      code: 'CONTENDED',
      message: "Session 'a': it keeps changing. Only this was changed: budget (it was '5.0').",
    });
    expect(Object.keys(await sessions())).toEqual(['session:a:spent']);
    await json('undo-change', 'k7m2q9x4tv', '--yes');
    expect(Object.keys(await sessions())).toEqual(['session:a:budget', 'session:a:spent']);
  });
});

test('a store is checked and repaired', async () => {
  const owner = await cluster.primaryOf('anomaly:a:freeze_reason');
  await owner.client.set('anomaly:a:freeze_reason', 'left over');
  const period = await cluster.primaryOf('tokengate:period:a');
  await period.client.set('tokengate:period:a', 'monthly', {EX: 100});
  const grants = await cluster.primaryOf('tokengate:grants:a');
  await grants.client.set('tokengate:grants:a', '[]');
  expect((await run('check-store')).code).toBe(2);
  const {stdout} = await run('check-store', '--fix', '--yes');
  expect(stdout).toContain("tokengate:period:a: 'monthly', which is no period");
  expect(stdout).toContain('Fixed: tokengate:grants:a (delete it)');
  expect(stdout).toContain('3 findings, fixed 2');
  expect((await run('set-period', 'a', '--every', 'none')).code).toBe(0);
  expect(await run('check-store', '--fix', '--yes')).toMatchObject({code: 0});
  expect(await sessions()).toEqual({});
});

test('health tells that it is a cluster, and what differs', async () => {
  const {code, stdout, stderr} = await run('health');
  expect({code, last: stdout.trimEnd().split('\n').at(-1)}).toEqual({
    code: 0,
    last: 'Cluster: 3 primaries, 0 replicas',
  });
  expect(stderr).toContain('Warning: On a Cluster a change is atomic for each key');
  const output = await run('health', '--json');
  expect(JSON.parse(output.stdout)).toMatchObject({healthy: true, cluster: {primaries: 3, replicas: 0}});
});

test.each(['/3', '?db=3'])('a database other than 0 is refused: %s', async (database) => {
  const {code, stderr} = await runBinary(['get-budget', 'a'], {url: `${cluster.url}${database}`});
  expect({code, stderr}).toEqual({
    code: 1,
    stderr: `Error: ${new URL(cluster.url).host} is part of a Redis Cluster, which has no databases.\nLeave out /N or ?db=N in the URL.\n`,
  });
});

describe('a user who lacks a right', () => {
  const without = async (right: string): Promise<{url: string}> => {
    for (const {client} of cluster.primaries) {
      await client.sendCommand(['ACL', 'SETUSER', 'some', 'reset', 'on', '>pass', '~*', '+@all', right]);
    }
    return {url: cluster.url.replace('://', '://some:pass@')};
  };
  const texts = {'session:a:budget': '5.0', 'session:a:spent': '1.0'};
  beforeEach(() => cluster.write(texts));

  test.each([
    ['set-budget', 'a', '6', '--no-journal'],
    ['reset-session', 'a', '--yes'],
    ['freeze-session', 'a'],
  ])('of scripts changes nothing by %s %s %s %s', async (...argv) => {
    const {code, stderr} = await runBinary(
      argv.filter((word) => word),
      await without('-eval'),
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/refused: this user lacks a permission \('eval' command\)\.\n/);
    expect(stderr).toContain(
      'Every change on a Cluster needs scripts (EVAL), with or without the journal. Nothing was changed.\n',
    );
    expect(await sessions()).toEqual(texts);
  });

  test('of PTTL writes no journal that could not be read', async () => {
    const {code, stderr} = await runBinary(['reset-session', 'a', '--yes'], await without('-pttl'));
    expect({code, isNamed: stderr.includes("('pttl' command)")}).toEqual({code: 1, isNamed: true});
    expect(await sessions()).toEqual(texts);
  });

  test('of CLUSTER NODES is told that a list could be incomplete, once', async () => {
    const {stdout, stderr} = await runBinary(['list-sessions', '--format', 'ids'], await without('-cluster|nodes'));
    expect(stdout).toBe('a\n');
    expect(stderr).toMatch(
      /^Warning: The list could be incomplete, if keys of the cluster were moved meanwhile: .*\n$/,
    );
  });
});

test('a budget renews, with grants on top, and all of it is undone', async () => {
  const ids = Array.from({length: 20}, (_, index) => `p${index}`);
  await cluster.write(
    Object.fromEntries(
      ids.flatMap((id) => [
        [`session:${id}:budget`, '10'],
        [`session:${id}:spent`, '4'],
      ]),
    ),
  );
  const terms = ['--every', 'month', '--amount', '50', '--rollover', 'unused'];
  expect(await json('set-period', ...ids, ...terms, '--yes')).toMatchObject({summary: {set: 20}});
  await json('grant-budget', 'p0', '5', '--for', '3d');
  expect(await json('list-periods')).toHaveLength(20);
  const before = await cluster.texts();
  const due = [...before].flatMap(([key, text]) =>
    key.startsWith('tokengate:period:')
      ? [[key, text?.replace(/"renewed":"[^"]*"/, '"renewed":"2001-01-01T00:00:00.000Z"') ?? '']]
      : [],
  );
  await cluster.write(Object.fromEntries(due) as Record<string, string>);
  const overdue = await run('list-periods', '--overdue', '--json');
  expect([overdue.code, JSON.parse(overdue.stdout)]).toMatchObject([2, {length: 20}]);
  const hosts = (await Promise.all([json('renew-budgets'), json('renew-budgets')])) as {
    change_id: string;
    results: {session_id: string; outcome: string; budget: number; carried_over: number}[];
  }[];
  const renewed = hosts.flatMap(({results}) => results.filter(({outcome}) => outcome === 'renewed'));
  expect(renewed.map(({session_id: id}) => id).sort()).toEqual([...ids].sort());
  expect(renewed.find(({session_id: id}) => id === 'p0')).toMatchObject({budget: 101, carried_over: 46});
  expect((await sessions())['session:p1:spent']).toBeUndefined();
  expect(await json('get-budget', 'p0')).toMatchObject({every: 'month', grants: 5});
  for (const {change_id: change, results} of hosts) {
    if (results.some(({outcome}) => outcome === 'renewed')) await json('undo-change', change, '--yes');
  }
  expect((await sessions())['session:p0:budget']).toBe('55');
  expect((await sessions())['session:p0:spent']).toBe('4');
  const reset = await json('reset-session', 'p0', '--yes', '--no-second-look');
  expect(reset).toMatchObject({removed_budget: 55, removed_grants: 5});
  await json('undo-change', '--last', '--yes');
  await json('revoke-grant', 'p0');
  await json('set-period', ...ids, '--every', 'none', '--yes');
  expect(await json('list-periods')).toEqual([]);
});
