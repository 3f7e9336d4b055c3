import {beforeEach, describe, expect, test} from 'vitest';

import AddBudget from '../../../src/commands/add-budget.js';
import AnomalyStats from '../../../src/commands/anomaly-stats.js';
import ExplainSession from '../../../src/commands/explain-session.js';
import FreezeSession from '../../../src/commands/freeze-session.js';
import GetBudget from '../../../src/commands/get-budget.js';
import ListRequests from '../../../src/commands/list-requests.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import ResetSession from '../../../src/commands/reset-session.js';
import SetBudget from '../../../src/commands/set-budget.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import {type Output, run, runCommand} from '../../support/program/run.js';
import {useRedis} from '../../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(async () => {
  await redis.client.mSet({
    'session:my-workflow:budget': '25.50',
    'session:prod:search:budget': '10',
    'session:prod:search rerank:budget': '20',
    'session:team:alpha:budget': '5',
  });
  await redis.client.set('anomaly:only-history:identical_count', '1');
});

const freeze = (...argv: string[]): Promise<Output> => runCommand(FreezeSession, [...argv, '--yes'], redis);
const frozen = async (): Promise<string[]> => (await redis.client.keys('anomaly:*:frozen_until')).sort();

describe('a batch of freezes', () => {
  test('refuses an ID that Redis does not know, and freezes the others', async () => {
    const {code, stdout, stderr} = await freeze('prod:search', 'rerank');
    expect(code).toBe(1);
    expect(stdout).toContain("Session 'prod:search' frozen");
    expect(stderr).toBe(
      "Error: Session 'rerank' not found.\nError: Frozen 1, not found 1.\n" +
        "Quote an ID that has spaces: 'prod:search rerank'. --allow-unknown freezes them anyway.\n",
    );
    expect(await frozen()).toEqual(['anomaly:prod:search:frozen_until']);
  });

  test('says so to scripts, and what was probably meant', async () => {
    const {code, stdout, stderr} = await freeze('my-workflwo', 'prod:search', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      results: [
        {session_id: 'my-workflwo', outcome: 'not_found', change_id: null, error: {code: 'SESSION_NOT_FOUND'}},
        {session_id: 'prod:search', outcome: 'frozen'},
      ],
      summary: {frozen: 1, not_found: 1},
    });
    expect(stderr).toContain("Did you mean 'my-workflow'?");
  });

  test('takes one of which any key is there', async () => {
    expect(await freeze('only-history', 'my-workflow')).toMatchObject({code: 0, stderr: ''});
  });

  test('takes all with --allow-unknown', async () => {
    expect(await freeze('new-one', 'my-workflow', '--allow-unknown')).toMatchObject({code: 0, stderr: ''});
    expect(await frozen()).toEqual(['anomaly:my-workflow:frozen_until', 'anomaly:new-one:frozen_until']);
  });

  test('of one ID alone says in its dry run what would be done', async () => {
    const {code, stdout} = await freeze('new-one', '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Would freeze session 'new-one': not frozen → frozen until .* \(Manual freeze\)\n/);
  });
});

test.each([
  [GetBudget, []],
  [AddBudget, ['1']],
  [ResetSession, ['--yes']],
])('what is not found names the nearest ID: %o', async (command, more) => {
  const {code, stderr} = await runCommand(command, ['my-workflwo', ...more], redis);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^Error: Session 'my-workflwo' not found\.\nDid you mean 'my-workflow'\? /);
  expect((await runCommand(command, ['nothing-like-it', ...more], redis)).stderr).not.toContain('Did you mean');
});

test.each([
  [AnomalyStats, []],
  [ExplainSession, []],
  [ListRequests, []],
  [UnfreezeSession, []],
])('of what is not known the nearest ID is named in a warning: %o', async (command, more) => {
  const {stderr} = await runCommand(command, ['My-Workflow', ...more], redis);
  expect(stderr).toBe("Warning: Nothing is known of session 'My-Workflow'. Did you mean 'my-workflow'?\n");
});

test.each([
  [SetBudget, ['40']],
  [FreezeSession, []],
])('a new session is warned of: %o', async (command, more) => {
  const {code, stderr} = await runCommand(command, ['my-workflwo', ...more], redis);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^Warning: New session 'my-workflwo'.* Did you mean 'my-workflow'\?\n$/);
  expect((await runCommand(command, ['my-workflow', ...more], redis)).stderr).toBe('');
});

test('an ID whose quotes were forgotten is shown with them', async () => {
  const {code, stderr} = await runCommand(GetBudget, ['prod:search', 'rerank'], redis);
  expect(code).toBe(1);
  expect(stderr).toContain("Unexpected argument: rerank.\nQuote an ID that has spaces: 'prod:search rerank'. ");
});

test('a glob that finds nothing says how many sessions there are, and a glob that finds some', async () => {
  const list = (...argv: string[]): Promise<Output> => runCommand(ListSessions, argv, redis);
  expect((await list('--match', 'team')).stderr).toBe(
    "Warning: No session was found for --match 'team'. There are 4. Did you mean --match 'team*'?\n",
  );
  expect((await list('--match', 'alpha')).stderr).toContain("Did you mean --match '*alpha*'?");
  expect((await list('--match', 'team', '--json')).stderr).toBe('');
  expect((await list('--match', 'team', '--frozen')).stderr).toBe('');
});

test('-o is --format, with other letters too', async () => {
  const json = async (...argv: string[]): Promise<unknown> =>
    JSON.parse((await runCommand(ListSessions, argv, redis)).stdout) as unknown;
  expect(await json('-o', 'json')).toEqual(await json('--json'));
  expect(await json('-ojson')).toEqual(await json('-o=json'));
  expect((await runCommand(GetBudget, ['nobody', '-o', 'json'], redis)).stderr).toContain('"SESSION_NOT_FOUND"');
});

describe('an ID from a header, whose bytes the gateway reads as Latin-1', () => {
  const WHY = 'This is how the gateway stores that ID from an X-Session-ID header, whose bytes it reads as Latin-1.';
  beforeEach(() => redis.client.set('session:bÃ¼ro:budget', '10'));

  test('is found by its own spelling, which is said', async () => {
    const {code, stderr} = await runCommand(GetBudget, ['büro'], redis);
    expect(code).toBe(1);
    expect(stderr).toContain(`Session 'büro' not found.\nDid you mean 'bÃ¼ro'? ${WHY} `);
    expect((await freeze('büro', 'prod:search')).stderr).toContain(`Did you mean 'bÃ¼ro'? ${WHY}`);
    expect((await runCommand(SetBudget, ['büro', '1'], redis)).stderr).toContain(`Did you mean 'bÃ¼ro'? ${WHY}`);
  });

  test('one that is known as it is typed is that one', async () => {
    await redis.client.set('session:büro:budget', '20');
    expect(await runCommand(GetBudget, ['büro'], redis)).toMatchObject({code: 0, stderr: ''});
  });

  test.each([
    ['bÃ¼ro', true],
    ['büro', false],
    ['Ω', false],
    ['my-workflow', false],
  ])('explain-session says what becomes of the requests of %s: %s', async (id, isSaid) => {
    const {stdout} = await runCommand(ExplainSession, [id], redis);
    const note = "Note: This is how the gateway stores 'büro' from an X-Session-ID header.";
    expect(stdout.includes(note)).toBe(isSaid);
    expect(stdout.includes('fails with HTTP 500 on its way to the provider')).toBe(isSaid);
    const json = JSON.parse((await runCommand(ExplainSession, [id, '--json'], redis)).stdout) as {notes: string[]};
    expect(json.notes).toHaveLength(isSaid ? 1 : 0);
  });
});

describe('a glob that matches no session', () => {
  const advice = "Warning: No session was found for --match 'team'. There are 4. Did you mean --match 'team*'?\n";

  test.each([
    'freeze-session --match team --yes',
    'unfreeze-session --match team --yes --json',
    'reset-session --match team --dry-run',
    'set-period --match team --every day --amount 5 --yes',
    'check-sessions --match team --quiet',
    'check-store --match team',
    'list-sessions --match team',
    'list-sessions --match team --group-depth 1',
    'list-periods --match team',
    'list-grants --match team',
    'export-budgets --match team',
    'record-spending --match team --quiet',
  ])('is told, with one that does: %s', async (line) => {
    expect(await run(line, redis)).toMatchObject({code: 0, stderr: advice});
  });

  test.each(['unfreeze-session --match team:* --yes', 'list-grants --match team:*', 'list-periods --match team:*'])(
    'is not what finds nothing here: %s',
    async (line) => {
      expect(await run(line, redis)).toMatchObject({code: 0, stderr: ''});
    },
  );
});
