import fc from 'fast-check';
import {afterAll, beforeAll, expect, test} from 'vitest';

import FreezeSession from '../../../src/commands/freeze-session.js';
import GetBudget from '../../../src/commands/get-budget.js';
import ListSessions from '../../../src/commands/list-sessions.js';
import ResetSession from '../../../src/commands/reset-session.js';
import SetBudget from '../../../src/commands/set-budget.js';
import UnfreezeSession from '../../../src/commands/unfreeze-session.js';
import {anyCharacter} from '../../support/fuzz.js';
import {runCommand} from '../../support/program/run.js';
import {gatewayKeys} from '../../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/; // eslint-disable-line no-control-regex
const anyId = fc.oneof(
  fc.string({unit: anyCharacter, minLength: 1}),
  fc.string({unit: 'grapheme', minLength: 1}),
  fc.constantFrom('--', '-y', '--yes', '--json', '*', 'a:budget', "it's", '"', '$(x)', '\u001b]0;x\u0007', '\r\n', ' '),
);

test('any Unicode ID survives set, list, get, freeze, unfreeze and reset, and nothing printed acts on a terminal', async () => {
  await fc.assert(
    fc.asyncProperty(anyId, async (id) => {
      await redis.client.flushDb();
      const run = async (
        command: Parameters<typeof runCommand>[0],
        flags: string[],
        more: string[] = [],
      ): Promise<string> => {
        const {code, stdout, stderr} = await runCommand(command, [...flags, '--', id, ...more], redis);
        expect({code, stderr: stderr.replace(/^Warning: New session .*\n/, '')}).toMatchObject({code: 0, stderr: ''});
        expect(stdout).not.toMatch(CONTROL);
        return stdout;
      };
      await run(SetBudget, [], ['1.25']);
      expect(await redis.client.get(`session:${id}:budget`)).toBe('1.25');
      for (const format of ['json', 'table']) {
        const {stdout} = await runCommand(ListSessions, ['--format', format], redis);
        expect(stdout).not.toMatch(CONTROL);
        if (format === 'json') expect(JSON.parse(stdout)).toMatchObject([{session_id: id, budget: 1.25}]);
        else expect(stdout.trimEnd().split('\n')).toHaveLength(5);
      }
      expect(JSON.parse(await run(GetBudget, ['--json']))).toMatchObject({session_id: id, budget: 1.25});
      await run(GetBudget, []);
      await run(FreezeSession, ['--reason', `because ${id}`]);
      expect(await redis.client.get(`anomaly:${id}:freeze_reason`)).toBe(`because ${id}`);
      await run(UnfreezeSession, []);
      await run(ResetSession, ['--yes']);
      expect(await gatewayKeys(redis)).toEqual([]);
    }),
    {numRuns: 60},
  );
});
