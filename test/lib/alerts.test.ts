import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';

import {reportOnce, type ReportOnceOptions} from '../../src/lib/alerts.js';
import {checkSessions, type Finding, toRules} from '../../src/lib/checks.js';
import {parseAmount} from '../../src/lib/money.js';
import {connect} from '../../src/lib/redis.js';
import {startRedis, type TestRedis} from '../support/redis-server.js';
import {loadSessions} from '../support/shell.js';

const RULES = toRules({warn: parseAmount('80').value, crit: parseAmount('95').value, minLeft: null, frozen: false});
const NOTHING: ReadonlySet<Finding> = new Set();

let server: TestRedis;
beforeAll(async () => (server = await startRedis()));
beforeEach(() => server.client.flushDb());
afterAll(() => server.stop());

interface Steps {
  /** Done when the sessions are about to be read. */
  before?: () => Promise<unknown>;
  report?: ReportOnceOptions<{failed: ReadonlySet<Finding>}>['report'];
}

/** Checks as one host, and gives the IDs that it reported. */
async function check({before, report}: Steps = {}): Promise<string[]> {
  const redis = await connect(server);
  const reported: string[] = [];
  const now = new Date();
  try {
    await reportOnce(redis, {
      name: undefined,
      now,
      leaseMs: 60_000,
      check: async (onSubject) => {
        await before?.();
        return checkSessions(redis, {rules: RULES, now, onSubject});
      },
      report: async (found, fresh) => {
        reported.push(...fresh.map(({subject, rule}) => `${subject.id} ${rule.severity}`));
        return (await report?.(found, fresh)) ?? {failed: NOTHING};
      },
    });
  } finally {
    redis.close();
  }
  return reported;
}
const spend = (amount: string): Promise<void> => loadSessions(server, {one: ['100', amount]});
const claims = (): Promise<Record<string, string>> => server.client.hGetAll('tokengate:alerts');

test('a check that is slow does not undo what another has claimed since', async () => {
  await spend('10');
  const slow = await check({
    async before() {
      await spend('85');
      expect(await check()).toEqual(['one warning']);
      // It will see what was true a moment ago.
      await spend('10');
    },
  });
  expect(slow).toEqual([]);
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
  await spend('85');
  expect(await check()).toEqual([]);
});

test('what falls back and crosses again while a slow check runs is not given up by that', async () => {
  await spend('85');
  expect(await check()).toEqual(['one warning']);
  await check({
    async before() {
      await spend('10');
      await check();
      await spend('85');
      expect(await check()).toEqual(['one warning']);
      await spend('10');
    },
  });
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
});

test('while one reports, another does not; a worse threshold it does', async () => {
  await spend('85');
  const first = await check({
    async report() {
      expect(await check()).toEqual([]);
      await spend('97');
      expect(await check()).toEqual(['one critical']);
      return {failed: NOTHING};
    },
  });
  expect(first).toEqual(['one warning']);
  expect(Object.values(await claims()).map((value) => value.split(':')[0])).toEqual(['reported', 'reported']);
});

test('what could not be reported is free again, the rest is not', async () => {
  await loadSessions(server, {one: ['100', '85'], two: ['100', '99']});
  await check({
    report: (_, fresh) => Promise.resolve({failed: new Set(fresh.filter(({subject}) => subject.id === 'two'))}),
  });
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
  expect(await check()).toEqual(['two critical']);
});

test('when reporting throws, all of it is free again, and the error is what it was', async () => {
  await spend('99');
  await expect(check({report: () => Promise.reject(new Error('paper jam'))})).rejects.toThrow('paper jam');
  expect(await claims()).toEqual({});
  expect(await check()).toEqual(['one critical']);
});

test('a claim whose time is over is not given up by who held it, once another has taken it over', async () => {
  await spend('85');
  await check({
    async report(_, fresh) {
      const held = Object.keys(await claims());
      await server.client.hSet('tokengate:alerts', Object.fromEntries(held.map((field) => [field, 'pending:1:x'])));
      expect(await check()).toEqual(['one warning']);
      return {failed: new Set(fresh)};
    },
  });
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
});
