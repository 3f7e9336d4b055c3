import {isUtf8} from 'node:buffer';

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {sendChanges} from '../../../../src/lib/change/apply.js';
import {FOREVER, NOT_FROZEN, toFreezeState} from '../../../../src/lib/gateway/freeze.js';
import {keysOf} from '../../../../src/lib/gateway/keys.js';
import {
  type FreezeOptions,
  freezeSession,
  freezeChange,
  unfreezeSession,
  unfreezeChange,
} from '../../../../src/lib/operations/freeze.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {parseGatewayTime} from '../../../../src/lib/values/time.js';
import {anyBytes, fuzz} from '../../../support/fuzz.js';
import {startProxy} from '../../../support/impostors/proxy.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const NOW = new Date('2026-11-22T16:00:00Z');
const LATER = new Date('2026-11-22T17:00:00Z');
const ONE_MS = 1;
const x = rawId('x');

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const freeze = (options: Partial<FreezeOptions> = {}): FreezeOptions => ({
  reason: 'Bot',
  until: LATER,
  now: NOW,
  force: false,
  ...options,
});

describe('the freeze keys of a session', () => {
  const failing = 'the gateway answers its requests with HTTP 500.';
  test.each([
    ['no keys', false, false, {isFrozen: false, until: null, reason: null, problems: []}],
    ['an end to come', '2026-11-22T17:00:00', 'Bot', {isFrozen: true, until: LATER, reason: 'Bot', problems: []}],
    ['an end in the past', '2026-11-22T15:59:59', false, {isFrozen: false, problems: []}],
    ['an end this very moment', '2026-11-22T16:00:00', false, {isFrozen: false, until: NOW}],
    ['a reason alone', false, 'Bot', {isFrozen: false, until: null, reason: 'Bot'}],
    [
      'an end with an offset',
      '2026-11-22T17:00:00Z',
      'Bot',
      {
        isFrozen: null,
        until: null,
        reason: 'Bot',
        problems: [`The freeze end of session 'x' is '2026-11-22T17:00:00Z', with an offset: ${failing}`],
      },
    ],
    ['no time', 'soon', false, {isFrozen: null, problems: [`The freeze end of session 'x' is 'soon': ${failing}`]}],
    [
      'an end of a wrong type',
      true,
      'Bot',
      {isFrozen: null, problems: [`The freeze end of session 'x' is of a wrong Redis type: ${failing}`]},
    ],
    [
      'a reason of a wrong type',
      '2026-11-22T17:00:00',
      true,
      {
        isFrozen: true,
        reason: null,
        problems: [`The freeze reason of session 'x' is of a wrong Redis type: ${failing}`],
      },
    ],
  ])('%s', (_, until, reason, state) => {
    expect(toFreezeState('x', until, reason, NOW)).toMatchObject(state);
  });

  test('one problem does not become that of the next session', () => {
    toFreezeState('x', 'soon', true, NOW);
    expect(NOT_FROZEN.problems).toEqual([]);
  });
});

describe('a freeze', () => {
  test.each([
    ['INVALID_REASON', {reason: ''}],
    ['INVALID_TIME', {until: NOW}],
    ['INVALID_TIME', {until: new Date(NOW.getTime() - ONE_MS)}],
    ['INVALID_TIME', {until: new Date(FOREVER.getTime() + ONE_MS)}],
    ['INVALID_TIME', {until: new Date(NaN)}],
  ])('is refused with %s: %j', (code, options) => {
    expect(() => freezeChange(freeze(options))).toThrow(expect.objectContaining({code}));
  });

  test('has a TTL in whole seconds, no shorter than it lasts', async () => {
    await freezeSession(redis, x, freeze({until: new Date(NOW.getTime() + 1001)}), undefined);
    const ttl = await server.client.pTTL('anomaly:x:frozen_until');
    expect(ttl).toBeGreaterThan(1001);
    expect(ttl).toBeLessThanOrEqual(2000);
  });

  test('without end has no TTL', async () => {
    await freezeSession(redis, x, freeze({until: FOREVER}), undefined);
    expect(await server.client.get('anomaly:x:frozen_until')).toBe('9999-12-31T23:59:59.000');
    expect(await server.client.ttl('anomaly:x:frozen_until')).toBe(-1);
    expect(await server.client.ttl('anomaly:x:freeze_reason')).toBe(-1);
  });

  test.each([
    ['budget', true],
    ['spent', true],
    ['neither', false],
  ])('of a session with %s says whether it is known', async (key, isKnown) => {
    if (isKnown) await server.client.set(`session:x:${key}`, '1');
    expect(await freezeSession(redis, x, freeze(), undefined)).toMatchObject({isKnown});
  });

  test('that ends no sooner is kept, unless it is replaced by force', async () => {
    await server.client.set('anomaly:x:frozen_until', '2026-11-22T18:00:00');
    const until = new Date('2026-11-22T18:00:00Z');
    const replies = async (options: Partial<FreezeOptions>): Promise<unknown> =>
      sendChanges(redis, [x], freezeChange(freeze(options)), undefined);
    expect(await replies({})).toMatchObject([
      {id: 'x', state: 'unchanged', result: {isKept: true, until, reason: null}},
    ]);
    expect(await server.client.get('anomaly:x:frozen_until')).toBe('2026-11-22T18:00:00');
    expect(await replies({force: true})).toMatchObject([
      {id: 'x', state: 'done', result: {isKept: false, until: LATER, reason: 'Bot', previous: {until}}},
    ]);
    expect(await server.client.get('anomaly:x:frozen_until')).toBe('2026-11-22T17:00:00.000');
  });

  test.each(['2099-02-30T00:00:00', '2099-13-45', '99999999', '4102444800', '2099-0101', '2099-01-01T24:00', 'foo'])(
    'is set where %s stands, which the gateway cannot read',
    async (found) => {
      await server.client.set('anomaly:x:frozen_until', found);
      const change = freezeChange(freeze());
      expect(change.preview(x, [found, false], []).state).toBe('done');
      expect(await sendChanges(redis, [x], change, undefined)).toMatchObject([
        {state: 'done', result: {isKept: false, until: LATER, previous: {isFrozen: null, until: null}}},
      ]);
      expect(await server.client.get('anomaly:x:frozen_until')).toBe('2026-11-22T17:00:00.000');
    },
  );

  test.each(['2099-W01-1', '2099-W01', '2099-01-01\ufffd12', '20990101'])('is kept that ends at %s', async (end) => {
    await server.client.set('anomaly:x:frozen_until', end);
    expect(await freezeSession(redis, x, freeze(), undefined)).toMatchObject({isKept: true});
    expect(await server.client.get('anomaly:x:frozen_until')).toBe(end);
  });

  test('that has no reason and ends no sooner is kept without one', async () => {
    await server.client.set('anomaly:x:frozen_until', '2026-11-22T17:00:00.000');
    const frozen = await freezeSession(redis, x, freeze(), undefined);
    expect(frozen).toMatchObject({isKept: true, until: LATER, reason: null});
    expect(await server.client.exists('anomaly:x:freeze_reason')).toBe(0);
  });
});

/** Texts that are an end, or nearly one. */
const nearlyEnd = ((): fc.Arbitrary<Buffer> => {
  const two = fc.oneof(
    fc.constantFrom('00', '01', '02', '12', '23', '24', '28', '29', '30', '31', '59', '60'),
    fc.nat(99).map(String),
  );
  const year = fc.constantFrom('2026', '2096', '2100', '2400', '9999', '0000', '1999');
  const mark = (...marks: string[]): fc.Arbitrary<string> => fc.constantFrom(...marks);
  const character = fc.oneof(
    mark('T', ' ', '\0', '\n', '5', '–', '👍', '\ufffd', '', 'TT').map((text) => Buffer.from(text)),
    fc
      .constantFrom(
        'c3',
        'c080',
        'e08080',
        'eda080',
        'ee8080',
        'efbfbe',
        'f0908080',
        'f48fbfbf',
        'f4908080',
        '80',
        'ff',
      )
      .map((hex) => Buffer.from(hex, 'hex')),
    anyBytes,
  );
  const colon = mark(':', ':', '', '');
  const date = fc.tuple(year, mark('-', '-', ''), two, mark('-', '-', ''), two).map((parts) => parts.join(''));
  const clock = fc.oneof(
    two,
    fc.tuple(two, colon, two).map((parts) => parts.join('')),
    fc.tuple(two, colon, two, colon, two).map((parts) => parts.join('')),
  );
  const end = mark('', '', '.', '.5', ',123456789', '.5.5', 'Z', '+00:00', ':', 'x');
  const real = fc
    .date({min: new Date('2026-11-22T16:00'), max: new Date('9999-12-31'), noInvalidDate: true})
    .map((at) => Buffer.from(at.toISOString().slice(0, -1)));
  return fc.oneof(
    date.map((text) => Buffer.from(text)),
    fc
      .tuple(date, character, clock, end)
      .map(([day, sign, time, rest]) => Buffer.concat([Buffer.from(day), sign, Buffer.from(time + rest)])),
    real,
    anyBytes,
  );
})();

fuzz(
  'a freeze is kept where the gateway reads an end that is no sooner, and nowhere else',
  fc.asyncProperty(fc.array(nearlyEnd, {minLength: 200, maxLength: 200}), async (ends) => {
    const ids = ends.map((_, index) => rawId(String(index)));
    await Promise.all(ends.map((end, index) => server.client.set(`anomaly:${index}:frozen_until`, end)));
    const change = freezeChange(freeze());
    const outcomes = await sendChanges(redis, ids, change, undefined);
    for (const [index, end] of ends.entries()) {
      const time = parseGatewayTime(end.toString());
      // The gateway reads no key that is not UTF-8.
      const isKept = isUtf8(end) && time.kind === 'time' && time.at >= LATER;
      const state = isKept ? 'unchanged' : 'done';
      expect([end, outcomes[index]]).toMatchObject([end, {state, result: {isKept}}]);
      expect(change.preview(rawId('x'), [end.toString('latin1'), false], []).state).toBe(state);
    }
  }),
  10,
);

describe('the end of a freeze', () => {
  const frozen = {'anomaly:x:frozen_until': '2026-11-22T17:00:00', 'anomaly:x:freeze_reason': 'Bot'};
  const over = {...frozen, 'anomaly:x:frozen_until': '2026-11-22T15:00:00'};
  const counter = {'anomaly:x:identical_count': '3'};
  test.each([
    ['done', 'a freeze', frozen, undefined, {isKept: false, countersCleared: false}],
    ['done', 'a freeze with a counter', {...frozen, ...counter}, undefined, {isKept: false, countersCleared: true}],
    ['done', 'a freeze for the reason asked for', {...frozen, ...counter}, 'Bot', {countersCleared: true}],
    ['done', 'an end that cannot be read', {...frozen, 'anomaly:x:frozen_until': 'soon'}, undefined, {isKept: false}],
    ['unchanged', 'a freeze for another reason', {...frozen, ...counter}, 'B', {isKept: true, countersCleared: false}],
    ['done', 'a freeze that is over', over, undefined, {isKept: false, leftoversCleared: true}],
    ['done', 'one over for the reason asked for', over, 'Bot', {isKept: false, leftoversCleared: true}],
    ['done', 'a counter alone', counter, undefined, {isKept: false, countersCleared: true, leftoversCleared: false}],
    ['unchanged', 'a counter alone, with a reason', counter, 'B', {isKept: false, countersCleared: false}],
    ['unchanged', 'a reason alone, for that reason', {'anomaly:x:freeze_reason': 'B'}, 'B', {leftoversCleared: false}],
    ['unchanged', 'one over for another reason', {...over, ...counter}, 'B', {isKept: false, countersCleared: false}],
    ['unchanged', 'a session that is not frozen', {}, undefined, {isKept: false, countersCleared: false}],
  ])('is %s for %s', async (state, _, keys, withReason, result) => {
    if (Object.keys(keys).length > 0) await server.client.mSet(keys);
    const change = unfreezeChange({now: NOW, withReason});
    const values = await server.client.mGet(keysOf(change.lookAt, [x]).map(String));
    const held = values.map((value) => value ?? false);
    expect(change.preview(x, held, [])).toMatchObject({id: 'x', state});
    expect(await sendChanges(redis, [x], change, undefined)).toMatchObject([
      {id: 'x', state, result: {id: 'x', ...result}},
    ]);
    const left = await server.client.exists(Object.keys(keys).concat('none'));
    expect(left).toBe(withReason === 'B' ? Object.keys(keys).length : 0);
  });
});

test('counters of a wrong type are counters', () => {
  const {preview} = unfreezeChange({now: NOW});
  expect(preview(x, [false, false, true, false, false], [])).toMatchObject({state: 'done'});
});

describe('what a change would do to a freeze', () => {
  const until = '2026-11-22T17:00:00';
  test.each([
    ['no freeze', {}, false, false, 'done', 'not frozen'],
    ['one that is over', {}, '2026-11-22T15:00:00', 'Bot', 'done', 'not frozen'],
    ['one that ends sooner', {}, '2026-11-22T16:59:59', 'a', 'done', 'frozen until 2026-11-22 16:59:59 UTC (a)'],
    ['one that ends as late', {}, until, 'Bot', 'unchanged', 'frozen until 2026-11-22 17:00:00 UTC (Bot)'],
    ['one without end', {}, '9999-12-31T23:59:59', false, 'unchanged', 'frozen without end (no reason)'],
    [
      'one that ends as late, by force',
      {force: true},
      until,
      'Bot',
      'done',
      'frozen until 2026-11-22 17:00:00 UTC (Bot)',
    ],
    ['an end of no sense', {}, 'soon', 'Bot', 'done', 'frozen until a time that the gateway cannot read (Bot)'],
  ])('%s', (_, options, end, reason, state, now) => {
    expect(freezeChange(freeze(options)).preview(x, [end, reason], [])).toEqual({
      id: 'x',
      state,
      now,
      then: expect.stringMatching(/^frozen until 2026-11-22 17:00:00 UTC \(.+\)$/) as string,
    });
  });
});

test.each([
  ['was frozen', (through: Redis) => freezeSession(through, x, freeze(), undefined)],
  ['was unfrozen', (through: Redis) => unfreezeSession(through, x, {now: NOW}, undefined)],
])('without an answer it is unknown whether the session %s', async (what, change) => {
  const proxy = await startProxy(server, (request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
  const through = await connect({url: proxy.url});
  try {
    await expect(change(through)).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringContaining(`It is unknown whether session 'x' ${what}.`),
    });
  } finally {
    through.close();
    await proxy.stop();
  }
});
