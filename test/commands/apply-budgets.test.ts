import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, test} from 'vitest';

import {useBudgetFiles} from '../support/budget-files.js';
import {type Output, run} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();
const files = useBudgetFiles(redis);
const {budgetOf, file, load, onFile} = files;

describe('apply-budgets', () => {
  test('makes it so as one change, once, which is undone whole', async () => {
    await load({'dev-team': '45.0', other: '7', same: '1'});
    const before = await dumpKeyspace(redis);
    const sessions = '  dev-team: {budget: 50.00}\n  bot: {budget: 5, note: asked for}\n  same: {budget: 1.0}\n';
    expect((await onFile('apply-budgets --dry-run', sessions)).stdout).toBe(
      `Would change session 'bot': budget none → budget $5.00\nWould change session 'dev-team': budget $45.00 → budget $50.00\nWould change 2, unchanged 1\n`,
    );
    expect(await dumpKeyspace(redis)).toEqual(before);
    expect(await onFile('apply-budgets --max 1 --yes', sessions)).toMatchObject({code: 1});
    expect(await onFile('apply-budgets', sessions)).toMatchObject({code: 1, stdout: ''});
    const {code, stdout} = await onFile("apply-budgets --yes --note 'as agreed'", sessions);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: `Session 'bot' changed: budget $5.00 (asked for)\nSession 'dev-team' changed: budget $45.00 → $50.00\n✓ Changed 2, unchanged 1\n`,
    });
    expect(await Promise.all(['dev-team', 'bot', 'same', 'other'].map(budgetOf))).toEqual(['50.00', '5', '1', '7']);
    expect((await onFile('apply-budgets --yes', sessions)).stdout).toBe('✓ Changed 0, unchanged 3\n');
    const changes = JSON.parse((await run('list-changes --json', redis)).stdout) as {change_id: string}[];
    expect(changes).toMatchObject([{reason: 'as agreed'}, {reason: 'as agreed'}]);
    expect(new Set(changes.map(({change_id: id}) => id)).size).toBe(1);
    expect((await run('undo-change --last --yes', redis)).code).toBe(0);
    expect(await Promise.all(['dev-team', 'bot', 'same', 'other'].map(budgetOf))).toEqual(['45.0', null, '1', '7']);
  });

  test('reports all twelve mistakes of a file with their lines, and changes nothing', async () => {
    await load({'dev-team': '45.0'});
    const before = await dumpKeyspace(redis);
    const path = await file(`version: 1
scope: ['team:*', dev-team]
defauls: {timezone: UTC}
sessions:
  dev-team: {budget: 50}
  team:a: {budget: 1e3}
  team:b: {budget: ~}
  team:c: {bugdet: 5}
  team:d: {budget: 5, period: fortnight}
  team:e: {budget: 5, period: month, timezone: Europe/Atlantis}
  team:f: {budget: 5, period: month, on: 32}
  team:g: {period: month}
  team:h: {budget: 5, rollover: unused}
  bot: {budget: 5}
  dev-team: {budget: 5}
rules:
  - {budget: 5}
`);
    for (const command of ['apply-budgets --yes', 'apply-budgets --dry-run', 'diff-budgets']) {
      const {code, stdout, stderr} = await run(`${command} -f ${path}`, redis);
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      const places = stderr.split('\n').flatMap((line) => {
        const [, place] = /^(?:Error: )?\S+budgets\.yaml:(\d+:\d+: \S+): /.exec(line) ?? [];
        return place ?? [];
      });
      expect(places).toEqual([
        ...['3:1: defauls', '6:20: budget', '7:20: budget', '8:12: bugdet', '9:31: period', '10:48: timezone'],
        ...['11:42: on', '12:20: period', '13:33: rollover', '14:3: sessions', '15:3: sessions', '17:5: match'],
      ]);
      expect(stderr).toContain('Error: Found 12 mistakes, and did nothing.\n');
    }
    expect(await dumpKeyspace(redis)).toEqual(before);
  });

  test('its rules are for sessions that exist and are not named; the first match wins', async () => {
    await load({'team:a': '1', 'team:b': '1', other: '1'});
    const path = await file(
      `version: 1\nscope: ['team:*', 'x']\nsessions: {'team:a': {budget: 2}}\nrules:\n  - {match: 'team:*', budget: 5, period: day}\n  - {match: '*', budget: 9}\n`,
    );
    expect((await run(`apply-budgets --yes -f ${path}`, redis)).stdout).toBe(
      `Session 'team:a' changed: budget $1.00 → $2.00\nSession 'team:b' changed: budget $1.00 → $5.00, renewal none → every day $5.00\n✓ Changed 2\n`,
    );
    expect(await budgetOf('other')).toBe('1');
    expect(await run(`diff-budgets -f ${path}`, redis)).toMatchObject({code: 0});
  });

  test('leaves grants, and what a renewal carried over, on top of the budget', async () => {
    await load({a: '50'});
    await run('set-period a --every month --amount 50 --rollover unused', redis);
    await run('grant-budget a 20 --for 1d', redis);
    const key = 'tokengate:period:a';
    const period = JSON.parse((await redis.client.get(key)) ?? '') as object;
    await redis.client.set(key, JSON.stringify({...period, carried: '7.5'}));
    await redis.client.set('session:a:budget', '77.5');
    const same = '  a: {budget: 50, period: month, rollover: unused}\n';
    expect(await onFile('diff-budgets', same)).toMatchObject({code: 0});
    const {stdout} = await onFile('apply-budgets --yes', same.replace('50', '60'));
    expect(stdout).toContain(
      "Session 'a' changed: budget $50.00 → $60.00 besides grants of $20.00 and $7.50 carried over, renewal every month $50.00, and what is left → every month $60.00, and what is left\n",
    );
    expect(await budgetOf('a')).toBe('87.5');
    // The schedule stays, and so does the time of the last renewal.
    expect(JSON.parse((await redis.client.get(key)) ?? '')).toEqual({...period, amount: '60', carried: '7.5'});
    await onFile('apply-budgets --yes', '  a: {budget: 5, period: none}\n');
    expect([await budgetOf('a'), await redis.client.exists(key)]).toEqual(['25', 0]);
  });

  test('an amount without a budget is for the next renewal, and the budget of a new session', async () => {
    await load({a: '10'});
    const sessions = '  a: {amount: 50, period: month}\n  b: {amount: 50, period: month}\n';
    expect((await onFile('apply-budgets --yes', sessions)).code).toBe(0);
    expect(await Promise.all(['a', 'b'].map(budgetOf))).toEqual(['10', '50']);
    expect(await onFile('diff-budgets', sessions)).toMatchObject({code: 0});
  });

  describe('--unlisted', () => {
    const SCOPE = "scope: ['team:*']\n";
    const LISTED = '  team:a: {budget: 1}\n';

    test('needs a scope', async () => {
      const {code, stderr} = await onFile('apply-budgets --yes --unlisted zero', LISTED);
      expect({code, stderr}).toMatchObject({code: 1, stderr: expect.stringContaining('needs a scope') as string});
    });

    test('zero sets the budget to 0 and ends renewals and grants', async () => {
      await load({'team:a': '1', 'team:b': '2', 'team:c': '0.00', other: '3'});
      await run('set-period team:b --every day --amount 2', redis);
      await run('grant-budget team:b 3 --for 1h', redis);
      const before = await dumpKeyspace(redis);
      expect((await onFile('apply-budgets --yes --unlisted zero', LISTED, SCOPE)).stdout).toBe(
        "Session 'team:b' changed: budget $2.00 → $0.00, renewal every day $2.00 → none, grants $3.00 → none\n✓ Changed 1, unchanged 2\n",
      );
      expect(await Promise.all(['team:a', 'team:b', 'team:c', 'other'].map(budgetOf))).toEqual(['1', '0', '0.00', '3']);
      expect(await redis.client.exists(['tokengate:period:team:b', 'tokengate:grants:team:b'])).toBe(0);
      expect((await onFile('apply-budgets --yes --unlisted zero', LISTED, SCOPE)).stdout).toBe(
        '✓ Changed 0, unchanged 3\n',
      );
      await run('undo-change --last --yes', redis);
      const after = await dumpKeyspace(redis);
      delete before['tokengate:journal'];
      delete after['tokengate:journal'];
      expect(after).toEqual(before);
    });

    test('freeze freezes them without end, in the same change', async () => {
      await load({'team:a': '5', 'team:b': '2', other: '3'});
      const {stdout} = await onFile('apply-budgets --json --yes --unlisted freeze', LISTED, SCOPE);
      const result = JSON.parse(stdout) as {change_id: string};
      expect(result).toMatchObject({
        action: 'change',
        results: [
          {session_id: 'team:a', outcome: 'changed', before: {budget: 5}, after: {budget: 1}, note: null},
          {session_id: 'team:b', outcome: 'changed', freeze_reason: 'Not in the budget file'},
        ],
        summary: {changed: 2, unchanged: 0},
      });
      expect(result.change_id).toMatch(/^\w{10}$/);
      expect(await redis.client.ttl('anomaly:team:b:frozen_until')).toBe(-1);
      expect((await onFile('apply-budgets --yes --unlisted freeze', LISTED, SCOPE)).stdout).toBe(
        '✓ Changed 0, unchanged 2\n',
      );
    });
  });

  describe('--plan', () => {
    async function plan(sessions: string): Promise<string> {
      const path = join(files.folder, 'plan.json');
      expect((await onFile(`diff-budgets --out ${path}`, sessions)).code).toBe(2);
      return path;
    }

    test('applies what was seen, and refuses a session that has changed since', async () => {
      await load({a: '1', b: '2', c: '3'});
      await redis.client.set(Buffer.from('session:\xff:budget', 'latin1'), 'x\xff');
      const path = await plan(
        '  a: {budget: 10}\n  b: {budget: 20, period: week, on: sun}\n  c: {budget: 3}\n  d: {budget: 4}\nid_hex:\n  ff: {budget: 5}\n',
      );
      await redis.client.set('session:a:budget', '1.0');
      const {code, stdout, stderr} = await run(`apply-budgets --plan ${path} --yes --format ndjson`, redis);
      expect(code).toBe(1);
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      expect(lines).toMatchObject([
        {session_id: 'a', outcome: 'failed', error: {code: 'CHANGED_SINCE'}},
        {session_id: 'b', outcome: 'changed', after: {budget: 20, period: {every: 'week', on: 7}}},
        {session_id: 'd', outcome: 'changed'},
        {session_id: '\\xff', outcome: 'changed'},
      ]);
      expect(stderr).toContain('diff-budgets --out');
      expect(await Promise.all(['a', 'b', 'd'].map(budgetOf))).toEqual(['1.0', '20', '4']);
      // What it has done it would not do again.
      expect((await run(`apply-budgets --plan ${path} --yes`, redis)).stderr).toContain('failed 4');
    });

    test('refuses a plan of another server', async () => {
      const path = await plan('  a: {budget: 10}\n');
      const {code, stderr} = await run(`apply-budgets --plan ${path} --yes`, {url: `${redis.url}?db=1`});
      expect({code, stderr}).toEqual({
        code: 1,
        stderr: expect.stringMatching(/The plan was made on \S+ db 0, and this is \S+ db 1\./) as string,
      });
      const text = (await readFile(path, 'utf8')).replace(/ {2}"server": .*\n/, '');
      const anywhere = await file(text, 'anywhere.json');
      expect(await run(`apply-budgets --plan ${anywhere} --yes`, {url: `${redis.url}?db=1`})).toMatchObject({code: 0});
    });

    test('may have a byte order mark before it', async () => {
      const path = await plan('  a: {budget: 2}\n');
      const marked = await file(`\ufeff${await readFile(path, 'utf8')}`, 'marked.json');
      expect(await run(`apply-budgets --plan ${marked} --yes`, redis)).toMatchObject({code: 0, stderr: ''});
      expect(await budgetOf('a')).toBe('2');
    });

    test('applies what was edited in it, and says what is wrong with that', async () => {
      await load({a: '1'});
      const path = await plan('  a: {budget: 10}\n');
      const text = await readFile(path, 'utf8');
      const apply = async (from: RegExp | string, to: string): Promise<Output> =>
        run(`apply-budgets --plan ${await file(text.replace(from, to), 'edited.json')} --yes`, redis);
      const refusals: [string | RegExp, string, string][] = [
        ['"10"', '"ten"', "its change 1 cannot be read: budget: Invalid amount 'ten'"],
        [/"wanted": ?\{/, '"wanted": {"period": "day", "on": "5", ', 'its change 1 cannot be read: on: '],
        ['"wanted"', '"wished"', 'its change 1 cannot be read: wanted is missing'],
        ['"seen"', '"saw"', 'its change 1 cannot be read: seen is missing'],
        [/"session_id": ?"a"/, '"session_id": ""', 'its session_id is no ID'],
        [/"session_id": ?"a"/, '$&, "session_id_hex": "A"', 'its session_id_hex is not the bytes'],
        [/\{"session_id".*\}/, '$&, $&', "session 'a' is in it twice"],
        [/\{"session_id".*\}/, '5', 'its change 1 cannot be read: it is no object'],
        ['"version": 1', '"version": 2', 'its version is not 1'],
        [/"server": ".*?"/, '"server": 5', 'its server is no text'],
        ['"changes"', '"change"', 'it has no changes'],
        [/$/, '}', 'it is not JSON'],
      ];
      for (const [from, to, why] of refusals) {
        const {code, stderr} = await apply(from, to);
        expect([code, stderr]).toEqual([1, expect.stringContaining(why)]);
      }
      expect(await budgetOf('a')).toBe('1');
      expect((await apply('"10"', '"12.0"')).stdout).toBe("Session 'a' changed: budget $1.00 → $12.00\n✓ Changed 1\n");
      // What was seen decides, not what it looks like.
      await load({a: '1.0'});
      expect((await apply('"10"', '"12.0"')).stderr).toContain('it has changed since the plan was made');
    });

    test('refuses what is no plan, and --unlisted', async () => {
      const path = await file('{"version": 1, "changes": [{"session_id": "a", "seen": {}, "wanted": {}}]}', 'p.json');
      expect((await run(`apply-budgets --yes --plan ${path}`, redis)).stderr).toContain(
        'its change 1 cannot be read: seen is not',
      );
      expect((await run(`apply-budgets --yes --plan ${path} --unlisted zero`, redis)).stderr).toContain('goes with -f');
      expect((await run('apply-budgets --yes', redis)).code).toBe(1);
    });
  });
});
