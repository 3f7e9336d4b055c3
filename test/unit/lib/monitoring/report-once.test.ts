import {expect, test} from 'vitest';

import {checkSessions, type LimitFinding, type LimitRule, toRules} from '../../../../src/lib/monitoring/limits.js';
import {parseStateName, reportOnce, type ReportOnceOptions} from '../../../../src/lib/monitoring/report-once.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import {ErrorReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {parseAmount} from '../../../../src/lib/values/money.js';
import {loadSessions} from '../../../support/program/shell.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const RULES = toRules({warn: parseAmount('80').value, crit: parseAmount('95').value, minLeft: null, frozen: false});
const NOTHING: ReadonlySet<LimitFinding> = new Set();

let server: TestRedis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, connectAs} = own));

interface Steps {
  /** Done when the sessions are about to be read. */
  before?: () => Promise<unknown>;
  report?: ReportOnceOptions<{failed: ReadonlySet<LimitFinding>}>['report'];
  rules?: LimitRule[];
  now?: Date;
  /** What stands in the place of the connection's own. */
  instead?: Partial<Redis>;
}

/** Checks as one host, and gives the IDs that it reported. */
async function check({before, report, rules = RULES, now = new Date(), instead}: Steps = {}): Promise<string[]> {
  const own = await connect(server);
  const redis = {...own, ...instead};
  const reported: string[] = [];
  try {
    await reportOnce(redis, {
      name: undefined,
      now,
      leaseMs: 60_000,
      check: async (onSubject) => {
        await before?.();
        return checkSessions(redis, {rules, now, onSubject});
      },
      report: async (found, fresh) => {
        reported.push(...fresh.map(({subject, rule}) => `${subject.id} ${rule.severity}`));
        return (await report?.(found, fresh)) ?? {failed: NOTHING};
      },
    });
  } finally {
    redis.close();
    own.close();
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

test('a claim has the time of the check, and what it took until then, and the time that reporting may take', async () => {
  await spend('85');
  const now = new Date('2030-01-01T00:00:00Z');
  const start = Date.now();
  let held = '';
  await check({
    now,
    async before() {
      // The check takes a moment.
      const began = Date.now();
      await expect.poll(() => Date.now()).toBeGreaterThanOrEqual(began + 20);
    },
    async report() {
      held = Object.values(await claims())[0] ?? '';
      return {failed: NOTHING};
    },
  });
  const took = Date.now() - start;
  const [kind, end, holder] = held.split(':');
  expect(kind).toBe('pending');
  expect(holder).toMatch(/^[\da-f]{8}-/);
  const passed = Number(end) - now.getTime() - 60_000;
  expect(passed).toBeGreaterThanOrEqual(20);
  expect(passed).toBeLessThanOrEqual(took);
  expect(Object.values(await claims())).toEqual([
    `reported:${new Date(now.getTime() + passed).toISOString()} spent:85`,
  ]);
});

test('all thresholds of a crossing are claimed, and each is given up when it does not hold any more', async () => {
  await spend('96');
  expect(await check()).toEqual(['one critical']);
  expect(Object.keys(await claims()).sort()).toEqual(['used:80:one', 'used:95:one']);
  await spend('90');
  expect(await check()).toEqual(['one warning']);
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
  await spend('96');
  expect(await check()).toEqual(['one critical']);
});

test('what is claimed of freezes ends with them, of budgets with those, and of what was not seen not at all', async () => {
  const rules = toRules({warn: parseAmount('80').value, crit: null, minLeft: parseAmount('20').value, frozen: true});
  await loadSessions(server, {'a:b\n': ['100', '90'], bad: ['nan']});
  await server.client.mSet({'anomaly:ice:frozen_until': '2099-01-01T00:00:00', 'anomaly:odd:frozen_until': 'soon'});
  expect((await check({rules})).sort()).toEqual([
    'a:b\n warning',
    'a:b\n warning',
    'bad critical',
    'ice critical',
    'odd critical',
  ]);
  const held = ['frozen::ice', 'left:20:a:b\n', 'unreadable_freeze::odd', 'unreadable_money::bad', 'used:80:a:b\n'];
  expect(Object.keys(await claims()).sort()).toEqual(held);
  // A check of other things sees neither freezes nor what is left.
  expect(await check()).toEqual([]);
  expect(Object.keys(await claims()).sort()).toEqual(held);

  await server.client.mSet({'session:ice:budget': '1', 'session:odd:budget': '1'});
  await server.client.del(['anomaly:ice:frozen_until', 'anomaly:odd:frozen_until', 'session:bad:budget']);
  expect(await check()).toEqual([]);
  expect(Object.keys(await claims()).sort()).toEqual(['left:20:a:b\n', 'used:80:a:b\n']);
});

test('what was claimed of many sessions is given up when they are gone, and those that are seen are not looked for', async () => {
  const [many, own] = [Array.from({length: 3000}, (_, index) => `used:80:s${index}`), await connect(server)];
  await server.client.hSet('tokengate:alerts', Object.fromEntries(many.map((field) => [field, 'reported:x'])));
  await spend('85');
  const looks: number[] = [];
  const instead: Partial<Redis> = {
    pipeline(commands) {
      const count = commands.filter(([name]) => name === 'EXISTS').length;
      if (count > 0) looks.push(count);
      return own.pipeline(commands);
    },
  };
  expect(await check({instead})).toEqual(['one warning']);
  expect(Object.keys(await claims())).toEqual(['used:80:one']);
  expect(looks).toEqual([500, 500, 500, 500, 500, 500]);
  looks.splice(0);
  expect(await check({instead})).toEqual([]);
  expect(looks).toEqual([]);
  own.close();
});

test('an ID of any bytes crosses once', async () => {
  const id = Buffer.from('\xc3\xa9\xff', 'latin1');
  const keyOf = (name: string): Buffer => Buffer.concat([Buffer.from('session:'), id, Buffer.from(`:${name}`)]);
  await server.client.set(keyOf('budget'), '100');
  await server.client.set(keyOf('spent'), '85');
  expect(await check()).toEqual([String.raw`é\xff warning`]);
  expect(await check()).toEqual([]);
  const field = Buffer.concat([Buffer.from('used:80:'), id]);
  expect(await server.client.hExists('tokengate:alerts', field)).toBe(1);
  await server.client.del(keyOf('budget'));
  expect(await check()).toEqual([]);
  expect(await claims()).toEqual({});
});

test('what stands there that is no claim is left alone', async () => {
  await spend('85');
  const other = {odd: '1', 'Used:80:one': '2', 'used:x:one': '3', ' used:80:one': '4'};
  await server.client.hSet('tokengate:alerts', other);
  expect(await check()).toEqual(['one warning']);
  await spend('10');
  expect(await check()).toEqual([]);
  expect(await claims()).toEqual(other);
});

test('a claim of a threshold that cannot be read, or of no rule, ends with the session', async () => {
  await spend('85');
  const other = {'used:1.2.3:one': '1', 'speed::one': '2', 'used::one': '3'};
  await server.client.hSet('tokengate:alerts', other);
  expect(await check()).toEqual(['one warning']);
  expect(await claims()).toMatchObject(other);
  await server.client.del('session:one:budget');
  expect(await check()).toEqual([]);
  expect(await claims()).toEqual({});
});

test('what is kept is kept for 90 days from the last change', async () => {
  await spend('85');
  const days = async (): Promise<number> => (await server.client.ttl('tokengate:alerts')) / 86_400;
  await check({
    async report() {
      expect(await days()).toBeCloseTo(90, 2);
      await server.client.expire('tokengate:alerts', 1000);
      return {failed: NOTHING};
    },
  });
  expect(await days()).toBeCloseTo(90, 2);
});

test('what is reported is kept on a fresh connection, which is closed too; with nothing to keep there is none', async () => {
  const mine = async (): Promise<number> => {
    const list = await server.client.sendCommand<string>(['CLIENT', 'LIST', 'TYPE', 'normal']);
    return list.trimEnd().split('\n').length;
  };
  const before = await mine();
  let reopened = 0;
  const counting = await connect(server);
  const instead: Partial<Redis> = {
    reopen: () => {
      reopened++;
      return counting.reopen();
    },
  };
  await check({instead});
  expect(reopened).toBe(0);
  await spend('85');
  await check({instead});
  expect(reopened).toBe(1);
  counting.close();
  await expect.poll(mine).toBe(before);
});

test('when it cannot be kept what has been reported, that is told with the reason', async () => {
  await spend('85');
  const lost = new TokengateError('REDIS_UNREACHABLE', 'No Redis.', {hint: 'Start it.'});
  const refused = check({instead: {reopen: () => Promise.reject(lost)}});
  await expect(refused).rejects.toMatchObject({
    code: 'REDIS_UNREACHABLE',
    message: 'No Redis. What was reported could not be recorded, so it is reported again in a few minutes.',
    hint: 'Start it.',
    cause: lost,
  });
  await server.client.flushDb();
  await spend('85');
  const bug = new RangeError('a bug');
  await expect(check({instead: {reopen: () => Promise.reject(bug)}})).rejects.toBe(bug);
});

test('a refusal of what is kept names the key and what it needs', async () => {
  await spend('85');
  await server.client.set('tokengate:alerts', 'x');
  await expect(check()).rejects.toMatchObject({
    code: 'WRONG_TYPE',
    message: expect.stringMatching(/^tokengate:alerts in Redis at .* is not a hash\.$/) as string,
    hint: expect.stringContaining('--state') as string,
    cause: expect.any(ErrorReply) as ErrorReply,
  });
  await server.client.flushDb();
  await spend('85');
  await server.client.configSet('maxmemory', '1');
  await expect(check()).rejects.toMatchObject({code: 'REDIS_OUT_OF_MEMORY'});
  await server.client.configSet('maxmemory', '0');
  for (const missing of ['-hscan', '-eval']) {
    await expect(check({instead: await connectAs(missing)})).rejects.toMatchObject({
      code: 'REDIS_NO_PERMISSION',
      hint: expect.stringContaining('kept in tokengate:alerts') as string,
      cause: expect.any(ErrorReply) as ErrorReply,
    });
  }
  expect(await claims()).toEqual({});
});

test.each(['a', 'team-a.b_C9', 'x'.repeat(64)])('%j is a name for what has been reported', (name) => {
  expect(parseStateName(name)).toBe(name);
});

test.each(['', 'a b', 'a\n', 'a:b', '*', 'é', 'x'.repeat(65)])('%j is no such name', (typed) => {
  const hint = 'Write letters, digits, _, . and -, at most 64.';
  expect(() => parseStateName(typed)).toThrow(expect.objectContaining({code: 'INVALID_USAGE', hint}) as TokengateError);
});
