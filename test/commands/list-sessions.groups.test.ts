import {beforeEach, describe, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {loadSessions} from '../support/program/shell.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
beforeEach(() =>
  loadSessions(redis, {
    'team:a': ['10', '4'],
    'team:b': ['5', '0.00000001'],
    'ops-bot': ['1', '2'],
    solo: ['3'],
    '=x:y': ['nan', '1'],
  }),
);

describe('list-sessions in groups', () => {
  test('sums up the first parts of IDs, exactly, and warns of what is no amount', async () => {
    const {stdout, stderr} = await run('list-sessions --group-depth 1 --json', redis);
    expect(stderr).toContain("The budget of session '=x:y' is");
    expect(stdout).toContain('"spent": 4.00000001');
    expect(JSON.parse(stdout)).toMatchObject([
      {group: '=x', count: 1, budget: 0, spent: 1, remaining: 0, percentage_used: 0},
      {group: 'ops-bot', count: 1, budget: 1, spent: 2, remaining: 0, percentage_used: 200},
      {group: 'solo', count: 1, budget: 3, spent: 0},
      {group: 'team', count: 2, budget: 15, spent: 4.000_000_01, remaining: 10.999_999_99},
    ]);
  });

  test('globs come first, a separator parts IDs, and the rest has no group', async () => {
    const csv = async (flags: string): Promise<string[]> =>
      (await run(`list-sessions --format csv --match [^=]* ${flags}`, redis)).stdout.split('\n').slice(1, -1);
    expect(await csv('--group bots=*-bot --group teams=team:*')).toEqual([
      expect.stringMatching(/^\(no group\),1,3,0,3,0$/),
      'bots,1,1,2,0,200',
      expect.stringMatching(/^teams,2,15,4\.00000001,/),
    ]);
    expect(
      (await csv('--group-depth 1 --separator - --sort spent --reverse --limit 2')).map((line) => line.split(',')[0]),
    ).toEqual(['team:a', 'ops']);
  });

  test('--group-by is the same in one flag', async () => {
    const groups = async (flags: string): Promise<string> =>
      (await run(`list-sessions --format csv --match [^=]* ${flags}`, redis)).stdout;
    expect(await groups('--group-by 1')).toBe(await groups('--group-depth 1'));
    expect(await groups('--group-by bots=*-bot --group-by 1')).toBe(await groups('--group bots=*-bot --group-depth 1'));
    for (const [flags, message] of [
      ['--group-by 0', "Invalid group '0'."],
      ['--group-by team', "Invalid group 'team'."],
      ['--group-by 1 --group-depth 2', 'Sessions are grouped by one depth, not by 2 and 1.'],
    ] as const) {
      const {code, stderr} = await run(`list-sessions ${flags}`, redis);
      expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
    }
  });

  test('a formula in the name of a group is defused, and filters hold', async () => {
    const {stdout} = await run('list-sessions --group-depth 1 --format csv', redis);
    expect(stdout).toContain("\n'=x,1,");
    const filtered = await run(`list-sessions --group-depth 1 --where 'used > 30' --format ndjson`, redis);
    expect(
      filtered.stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as {group: string}).group),
    ).toEqual(['ops-bot', 'team']);
  });

  test.each(['--columns id', '--totals', '--format ids', '--sort rate'])(
    '%s does not go with groups',
    async (flags) => {
      const {code, stderr} = await run(`list-sessions --group-depth 1 ${flags}`, redis);
      expect(code).toBe(1);
      expect(stderr).toContain('Groups go without');
    },
  );
});
