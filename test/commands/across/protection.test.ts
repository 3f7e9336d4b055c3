import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {freePort} from '../../support/ports.js';
import {run as runLine} from '../../support/program/run.js';
import {dumpKeyspace} from '../../support/redis/keyspace.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
let folder: string;
let config: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-protection-'));
  config = join(folder, 'config.yaml');
  const nowhere = `redis://127.0.0.1:${await freePort()}`;
  const contexts = {
    plain: {'redis-url': redis.url},
    prod: {'redis-url': redis.url, protected: true},
    own: {'redis-url': redis.url, actor: 'ops'},
    audit: {'redis-url': redis.url, 'read-only': true},
    nowhere: {'redis-url': nowhere, 'read-only': true},
  };
  await writeFile(config, JSON.stringify({contexts}), {mode: 0o600});
  await writeFile(join(folder, 'budgets.yaml'), 'version: 1\nsessions: {a: {budget: 5}}\n');
});
afterAll(() => rm(folder, {recursive: true}));
let change: string;
beforeEach(async () => {
  await redis.client.set('anomaly:d:requests:1min', '3');
  for (const line of ['set-budget a 20', 'set-budget b 20', 'grant-budget b 5 --for 1h']) await runLine(line, redis);
  const {stdout} = await runLine('list-changes --limit 1 --json', redis);
  change = (JSON.parse(stdout) as [{change_id: string}])[0].change_id;
});

const run = (line: string, context?: string): ReturnType<typeof runLine> => {
  const filled = line.replace('CHANGE', change).replace('BUDGETS', join(folder, 'budgets.yaml'));
  return context === undefined
    ? runLine(filled, redis)
    : runLine(`${filled} --context ${context}`, {env: {TOKENGATE_CONFIG: config}});
};
const errorOf = async (output: ReturnType<typeof runLine>): Promise<{code: string; hint: string}> => {
  const {code, stdout, stderr} = await output;
  expect({code, stdout}).toEqual({code: 1, stdout: ''});
  return (JSON.parse(stderr) as {error: {code: string; hint: string}}).error;
};

/** Every way to change something. */
const CHANGES = [
  'set-budget a 5',
  'add-budget a 5',
  'set-period a --every day --amount 5',
  'set-period a b --every day --amount 5',
  'grant-budget a 5 --for 1h',
  'revoke-grant b',
  'reset-session a',
  'reset-session --all',
  'freeze-session a',
  'freeze-session a b',
  'unfreeze-session d',
  'unfreeze-session d b',
  'apply-budgets -f BUDGETS',
  'undo-change CHANGE',
  'undo-change --last',
  'check-store --fix',
];
/** Carried out from cron, of what was decided before. */
const FROM_CRON = ['renew-budgets', 'record-spending', 'check-sessions --new-only'];

describe.each([
  ['store', undefined],
  ['context', 'prod'],
])('on a protected %s', (what, context) => {
  beforeEach(async () => {
    if (what === 'store') await redis.client.set('tokengate:store', 'prod');
  });

  test.each(CHANGES)('%s needs the name, and --yes is not it', async (line) => {
    const before = await dumpKeyspace(redis);
    // Whether the store is protected is not known before it is connected to.
    expect((await errorOf(run(`${line} --json`, context))).code).toBe('CONFIRMATION_REQUIRED');
    expect(await errorOf(run(`${line} --yes --json`, context))).toMatchObject({
      code: 'CONFIRMATION_REQUIRED',
      hint: 'Add --confirm prod to go ahead without a question.',
    });
    for (const name of ['stagin', 'Prod']) {
      expect((await errorOf(run(`${line} --confirm ${name} --json`, context))).code).toBe('WRONG_CONFIRMATION');
    }
    expect(await dumpKeyspace(redis)).toEqual(before);
    const {code, stderr} = await run(`${line} --confirm prod --json`, context);
    expect([0, 2], stderr).toContain(code);
    expect(await dumpKeyspace(redis)).not.toEqual(before);
  });

  test.each([...FROM_CRON, 'reset-session --all --dry-run', 'list-sessions', 'health'])(
    '%s asks nothing',
    async (line) => {
      const {code, stderr} = await run(line, context);
      expect({code, stderr}).toEqual({code: 0, stderr: ''});
    },
  );

  test('health says so', async () => {
    const {result} = await run('health --json', context);
    const store = what === 'store' ? 'prod' : null;
    expect(result).toMatchObject({context: context ?? null, store, protected: true});
    expect((await run('health', context)).stdout).toContain(
      what === 'store' ? 'Store:   prod (protected)' : 'Context: prod (protected)',
    );
  });
});

describe('on a read-only context', () => {
  test.each([...CHANGES, ...FROM_CRON, 'protect-store prod'])('%s is refused before it connects', async (line) => {
    expect((await errorOf(run(`${line} --json`, 'nowhere'))).code).toBe('CONTEXT_READ_ONLY');
  });

  test.each([
    'list-sessions',
    'health',
    'get-budget a',
    'list-changes',
    'check-store',
    'check-sessions',
    'reset-session --all --dry-run',
    'renew-budgets --dry-run',
    'export-budgets',
    'diff-budgets -f BUDGETS',
    'apply-budgets -f BUDGETS --dry-run',
  ])('%s reads as ever', async (line) => {
    const before = await dumpKeyspace(redis);
    expect([0, 2]).toContain((await run(line, 'audit')).code);
    expect(await dumpKeyspace(redis)).toEqual(before);
  });
});

describe('--confirm', () => {
  test('on what is not protected takes the name of the context, and no other', async () => {
    expect((await run('reset-session a --confirm plain', 'plain')).code).toBe(0);
    expect((await errorOf(run('set-budget a 5 --confirm prod --json', 'plain'))).code).toBe('WRONG_CONFIRMATION');
    expect((await errorOf(run('set-budget a 5 --confirm prod --json'))).code).toBe('WRONG_CONFIRMATION');
  });

  test('takes what the store calls itself before what the context calls it', async () => {
    await redis.client.set('tokengate:store', 'live');
    expect((await errorOf(run('set-budget a 5 --confirm prod --json', 'prod'))).code).toBe('WRONG_CONFIRMATION');
    expect((await run('set-budget a 5 --confirm live', 'prod')).code).toBe(0);
  });

  test('never suggests a name that a shell would not take as it is', async () => {
    await redis.client.set('tokengate:store', 'x; reboot \u001b[31m');
    const {hint} = await errorOf(run('set-budget a 5 --json'));
    expect(hint).toBe('Add --confirm NAME to go ahead without a question.');
    const {stderr} = await run('set-budget a 5');
    expect(stderr).not.toContain('\u001b');
  });
});

test('a context names who changes something, unless a variable does', async () => {
  await run('set-budget a 7', 'own');
  await runLine('set-budget a 8 --context own', {
    env: {TOKENGATE_CONFIG: config, TOKENGATE_ACTOR: 'me'},
  });
  const {stdout} = await run('list-changes --limit 2 --json');
  expect(JSON.parse(stdout)).toMatchObject([{actor: 'me'}, {actor: 'ops'}]);
});
