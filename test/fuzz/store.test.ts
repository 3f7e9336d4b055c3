import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect} from 'vitest';

import AnomalyStats from '../../src/commands/anomaly-stats.js';
import CheckSessions from '../../src/commands/check-sessions.js';
import CheckStore from '../../src/commands/check-store.js';
import ExplainSession from '../../src/commands/explain-session.js';
import FreezeSession from '../../src/commands/freeze-session.js';
import GetBudget from '../../src/commands/get-budget.js';
import ListChanges from '../../src/commands/list-changes.js';
import ListRequests from '../../src/commands/list-requests.js';
import ListSessions from '../../src/commands/list-sessions.js';
import PrintMetrics from '../../src/commands/print-metrics.js';
import ResetSession from '../../src/commands/reset-session.js';
import SetBudget from '../../src/commands/set-budget.js';
import UndoChange from '../../src/commands/undo-change.js';
import UnfreezeSession from '../../src/commands/unfreeze-session.js';
import {matchesGlob} from '../../src/lib/values/glob.js';
import {parseStoredMoney, toPlainDigits} from '../../src/lib/values/money.js';
import {nameOf, rawId} from '../../src/lib/values/session-id.js';
import {
  anyBytes,
  anyMoneyText,
  anyText,
  fuzz,
  parseCsv,
  parseExactJson,
  pythonDecimal,
  someText,
  UNSAFE,
} from '../support/fuzz.js';
import {type Output, runCommand} from '../support/program/run.js';
import {dumpKeyspace} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

let redis: TestRedis;
beforeAll(async () => (redis = await startRedis()));
afterAll(() => redis.stop());

type Command = Parameters<typeof runCommand>[0];

/** Runs a command of which nothing may be a crash, whatever is in Redis, and no text may act on a terminal. */
async function run(command: Command, argv: string[]): Promise<Output> {
  const output = await runCommand(command, argv, redis);
  const {code, stdout, stderr} = output;
  expect([0, 1, 2]).toContain(code);
  expect(stderr).not.toMatch(UNSAFE);
  expect(stderr).not.toMatch(/Unexpected error|^ {4}at /m);
  // A batch names each session that failed, too.
  if (command !== UndoChange) expect(stderr.match(/^Error: /gm)?.length ?? 0).toBeLessThanOrEqual(1);
  if (!argv.some((word) => ['csv', 'ids'].includes(word)) && command !== PrintMetrics)
    expect(stdout).not.toMatch(UNSAFE);
  return output;
}

const set = (key: string, id: Buffer, suffix: string, value: string | Buffer): Promise<unknown> =>
  redis.client.sendCommand(['SET', Buffer.concat([Buffer.from(key), id, Buffer.from(suffix)]), value]);

const nameOfBytes = (id: Buffer): string => nameOf(rawId(id.toString('latin1')));
const isText = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes);
const moneyOf = (text: string): string | null => {
  const amount = parseStoredMoney(text);
  return amount === undefined ? null : toPlainDigits(amount);
};

const someBytes = anyBytes.filter((bytes) => bytes.length > 0);
const anyEnd = fc.oneof(
  fc
    .date({min: new Date('2020-01-01'), max: new Date('9999-12-31'), noInvalidDate: true})
    .map((at) => at.toISOString()),
  fc
    .date({min: new Date('2040-01-01'), max: new Date('9999-12-31'), noInvalidDate: true})
    .map((at) => at.toISOString().slice(0, -1)),
  anyText,
);
const anySession = fc.record({
  id: someBytes,
  budget: anyMoneyText,
  spent: fc.option(anyMoneyText),
  end: fc.option(anyEnd),
  reason: fc.option(anyBytes),
  requests: fc.option(fc.oneof(fc.nat(200).map(String), anyText)),
});

describe('whatever is in Redis', () => {
  fuzz(
    'every view of it is safe to show, and what scripts read is exact',
    fc.asyncProperty(
      fc.uniqueArray(anySession, {minLength: 1, maxLength: 4, selector: ({id}) => id.toString('latin1')}),
      async (sessions) => {
        await redis.client.flushDb();
        for (const {id, budget, spent, end, reason, requests} of sessions) {
          await set('session:', id, ':budget', budget);
          if (spent !== null) await set('session:', id, ':spent', spent);
          if (end !== null) await set('anomaly:', id, ':frozen_until', end);
          if (reason !== null) await set('anomaly:', id, ':freeze_reason', reason);
          if (requests !== null) await set('anomaly:', id, ':requests:1min', requests);
        }
        const facts = sessions
          .map(({id, budget, spent}) => ({
            id,
            name: nameOfBytes(id),
            budget: moneyOf(budget),
            spent: moneyOf(spent ?? '0'),
          }))
          .sort((a, b) => Buffer.compare(a.id, b.id));

        const columns = 'id,budget,spent,frozen,until,reason';
        for (const flags of [
          [],
          ['--columns', columns, '--totals'],
          ['--frozen'],
          ['--where', 'used > 50 || frozen'],
        ]) {
          await run(ListSessions, flags);
        }
        const names = facts.map(({name}) => name);
        const ndjson = (await run(ListSessions, ['--format', 'ndjson'])).stdout.split('\n').slice(0, -1);
        const expected = facts.map(({name, budget, spent}) => ({session_id: name, budget, spent}));
        expect(ndjson.map(parseExactJson)).toMatchObject(expected);
        expect(parseExactJson((await run(ListSessions, ['--json', '--columns', columns])).stdout)).toMatchObject(
          expected,
        );
        const [header, ...rows] = parseCsv(
          (await run(ListSessions, ['--format', 'csv', '--columns', 'id,budget,spent'])).stdout,
        );
        expect(header).toEqual(['session_id', 'budget', 'spent']);
        expect(rows).toEqual(
          expected.map(({session_id: id, budget, spent}) => [
            /^[=+\-@\t\r]/.test(id) ? `'${id}` : id,
            budget ?? '',
            spent ?? '',
          ]),
        );
        expect(names).toHaveLength(rows.length);

        await run(CheckSessions, ['--warn-used', '50', '--frozen']);
        await run(CheckSessions, ['--json']);
        await run(CheckStore, []);
        await run(CheckStore, ['--json']);
        const {stdout: metrics} = await run(PrintMetrics, []);
        for (const line of metrics.trimEnd().split('\n')) {
          expect(line).toMatch(
            /^(# .*|\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? (-?\d+(\.\d+)?(e[+-]?\d+)?|[+-]Inf|NaN))$/su,
          );
        }
        for (const {id, name} of facts.filter((session) => isText(session.id))) {
          expect(id.toString()).toBe(name);
          for (const command of [GetBudget, AnomalyStats, ExplainSession]) {
            await run(command, ['--', name]);
            const {stdout} = await run(command, ['--json', '--', name]);
            if (stdout !== '') expect(JSON.parse(stdout)).toMatchObject({session_id: name});
          }
        }
      },
    ),
    15,
  );

  fuzz(
    'a history is shown, and what the gateway cannot have written is kept apart',
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          {arbitrary: anyBytes, weight: 1},
          {arbitrary: fc.json().map((json) => Buffer.from(json)), weight: 1},
          {
            arbitrary: fc
              .record(
                {
                  timestamp: fc.oneof(fc.constant('2026-11-22T16:28:12.319108'), anyText, fc.jsonValue()),
                  model: fc.oneof(anyText, fc.jsonValue()),
                  cost: fc.oneof(fc.double(), fc.jsonValue()),
                },
                {requiredKeys: []},
              )
              .map((entry) => Buffer.from(JSON.stringify(entry))),
            weight: 3,
          },
        ),
        {minLength: 1, maxLength: 8},
      ),
      async (entries) => {
        await redis.client.flushDb();
        await redis.client.sendCommand(['RPUSH', 'anomaly:x:history', ...entries]);
        const {code, stdout} = await run(ListRequests, ['x']);
        expect(code).toBe(0);
        expect(stdout.trimEnd().split('\n')).toHaveLength(entries.length + 4);
        const json = JSON.parse((await run(ListRequests, ['x', '--json'])).stdout) as Record<string, string | null>[];
        const csv = parseCsv((await run(ListRequests, ['x', '--format', 'csv'])).stdout).slice(1);
        const defused = (text: string | null | undefined): string => (text ?? '').replace(/^[=+\-@\t\r]/, "'$&");
        expect(csv.map(([time, model, , bad]) => [time, model, bad])).toEqual(
          json.map(({timestamp, model, malformed}) => [timestamp ?? '', defused(model), defused(malformed)]),
        );
        for (const [index, {malformed}] of json.entries()) {
          if (malformed !== null && malformed !== undefined) expect(malformed).toBe(entries[index]!.toString());
        }
      },
    ),
    10,
  );

  fuzz(
    'reasons and notes go to Redis and back as they are',
    fc.asyncProperty(someText, someText, anyText, async (id, reason, note) => {
      await redis.client.flushDb();
      const {code, stderr} = await run(FreezeSession, [`--reason=${reason}`, `--note=${note}`, '--', id]);
      if (code === 1) {
        // An empty reason, or one that is too long.
        expect(stderr).toContain('eason');
        return;
      }
      expect(await redis.client.get(`anomaly:${id}:freeze_reason`)).toBe(reason);
      expect(JSON.parse((await run(AnomalyStats, ['--json', '--', id])).stdout)).toMatchObject({freeze_reason: reason});
      expect(JSON.parse((await run(ListChanges, ['--json'])).stdout)).toMatchObject([
        {session_id: id, reason: note, after: {freeze_reason: {value: reason}}},
      ]);
    }),
    10,
  );
});

describe('globs', () => {
  fuzz(
    'match what Redis matches, by KEYS, by SCAN and by --match',
    fc.asyncProperty(
      fc.uniqueArray(fc.oneof(fc.stringMatching(/^[a-c*?[\]^\\-]{1,6}$/), someText), {minLength: 1, maxLength: 6}),
      fc.oneof(fc.stringMatching(/^[a-c*?[\]^\\-]{1,8}$/), someText),
      async (texts, glob) => {
        await redis.client.flushDb();
        await redis.client.mSet(texts.map((text): [string, string] => [text, '']));
        // Whether a byte past 127 is in a range depends on the machine that Redis was built for.
        const isPlain = !/-.*[^\x00-\x7f]|[^\x00-\x7f].*-/s.test(glob); // eslint-disable-line no-control-regex
        const matching = texts.filter((text) => matchesGlob(Buffer.from(glob), Buffer.from(text))).sort();
        if (isPlain) {
          expect(matching).toEqual((await redis.client.keys(glob)).sort());
          const scanned: string[] = [];
          for await (const keys of redis.client.scanIterator({MATCH: glob})) scanned.push(...keys);
          expect(matching).toEqual(scanned.sort());
        }
        await redis.client.mSet(texts.map((text): [string, string] => [`session:${text}:budget`, '1']));
        const {stdout} = await run(ListSessions, ['--json', `--match=${glob}`]);
        const listed = (JSON.parse(stdout) as {session_id: string}[]).map(({session_id: id}) => id);
        expect(listed.sort()).toEqual(matching);
      },
    ),
    4,
  );
});

describe('the journal', () => {
  const keyNames = ['budget', 'spent', 'frozen_until', 'freeze_reason', 'last_hash', 'velocity', 'nonsense'];
  const number = fc.oneof(
    fc.integer({min: -1}),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom(0, 1e300, 1e21, 0.5),
  );
  const state = fc.oneof(
    fc.boolean(),
    anyText,
    anyMoneyText,
    fc.tuple(anyText, number),
    fc.tuple(anyText, number, fc.constant('dump')),
    fc.jsonValue(),
  );
  const id = fc.oneof(
    {arbitrary: fc.constantFrom('x', 'y'), weight: 4},
    {arbitrary: fc.oneof(anyText, fc.jsonValue()), weight: 1},
  );
  /** Mostly such that it can be read. */
  const fields = fc
    .uniqueArray(fc.constantFrom(...keyNames), {minLength: 1, maxLength: 3})
    .chain((keys) =>
      fc.record({
        change: fc.oneof(fc.constantFrom('c1', 'c2'), anyText),
        began: fc.constantFrom('', '', '0', '1763829192000', '1e400', '-1', '99999999999999999999', 'soon', '1.5'),
        command: anyText,
        actor: fc.oneof(anyText, anyBytes),
        reason: anyBytes,
        version: anyText,
        undoes: fc.constantFrom('', '', 'c1', 'c2'),
        keys: fc.constant(keys.join(' ')),
        sessions: fc
          .array(fc.tuple(id, ...keys.flatMap(() => [state, state])), {minLength: 1, maxLength: 3})
          .map((records) => Buffer.from(JSON.stringify(records.flat()), 'latin1')),
      }),
    )
    .map((record) => Object.entries<string | Buffer>(record).flat());
  const broken = fc
    .tuple(fields, fc.nat(17), anyBytes)
    .map(([list, index, bytes]) => list.map((one, at) => (at === index ? bytes : one)));
  const malformed = fc.oneof({arbitrary: fields, weight: 5}, {arbitrary: broken, weight: 2}, fc.constant(['x', 'y']));
  /** Of the stream, as its IDs rise. */
  const firstEntry = fc.constantFrom('*', '0-1', '8640000000000001-0', '9007199254740993-0', '18446744073709551615-0');

  fuzz(
    'with entries that nobody of this CLI wrote is shown, and undone or refused, without a crash',
    fc.asyncProperty(firstEntry, fc.array(malformed, {minLength: 1, maxLength: 4}), async (first, entries) => {
      await redis.client.flushDb();
      await redis.client.mSet({'session:x:budget': '5', 'session:y:spent': '1'});
      for (const [index, entry] of entries.entries()) {
        const stamp = first === '*' ? '*' : first.replace(/\d$/, (last) => String(Number(last) + index));
        await redis.client.sendCommand(['XADD', 'tokengate:journal', stamp, ...entry]);
      }
      await run(ListChanges, []);
      await run(ListChanges, ['--each']);
      const {stdout} = await run(ListChanges, ['--json']);
      const changes = JSON.parse(stdout) as {change_id: string}[];
      for (const id of new Set(['c1', ...changes.map(({change_id: one}) => one)])) {
        await run(UndoChange, ['--dry-run', '--', id]);
        await run(UndoChange, ['--yes', '--', id]);
        await run(UndoChange, ['--yes', '--force', '--merge', '--json', '--', id]);
      }
      await run(UndoChange, ['--yes', '--last']);
    }),
    10,
  );

  fuzz(
    'brings back exactly what was there, in any bytes',
    fc.asyncProperty(
      someText,
      fc.record(
        {budget: anyBytes, spent: anyBytes, frozen_until: anyBytes, freeze_reason: anyBytes},
        {requiredKeys: []},
      ),
      pythonDecimal.map((text) => text.replace(/^-|E.*/g, '')).filter((text) => text.length < 20),
      async (id, keys, amount) => {
        await redis.client.flushDb();
        const bytes = Buffer.from(id);
        for (const [name, held] of Object.entries(keys)) {
          await set(['budget', 'spent'].includes(name) ? 'session:' : 'anomaly:', bytes, `:${name}`, held);
        }
        const before = await dumpKeyspace(redis);
        await run(SetBudget, ['--', id, amount]);
        await run(UnfreezeSession, ['--', id]);
        await run(FreezeSession, ['--', id]);
        await run(ResetSession, ['--yes', '--', id]);
        const {stdout} = await run(ListChanges, ['--json']);
        for (const {change_id: change} of JSON.parse(stdout) as {change_id: string}[]) {
          expect(await run(UndoChange, ['--yes', change])).toMatchObject({code: 0});
        }
        expect(await dumpKeyspace(redis)).toEqual(before);
      },
    ),
    40,
  );
});
