import {readFileSync} from 'node:fs';

import fc from 'fast-check';
import {afterEach, describe, expect, test, vi} from 'vitest';

import {
  formatDuration,
  formatGatewayTime,
  formatUtc,
  parseDuration,
  parseGatewayTime,
  parseTime,
} from '../../../../src/lib/values/time.js';

const at = (text: string): unknown => ({kind: 'time', at: new Date(text)});

describe('a time as the gateway reads it', () => {
  test('is what Python says of each text in its table', () => {
    const {times} = JSON.parse(
      readFileSync(new URL('../../../../fixtures/python-tables.json', import.meta.url), 'utf8'),
    ) as {times: [text: string, time: string | null][]};
    const expected = times.map(([text, time]) => {
      const [, kind = 'unreadable', whole = '', fraction = ''] =
        /^(time|offset) ([^.+]{19})(?:\.(\d{3}))?/.exec(time ?? '') ?? [];
      return [text, kind, kind === 'time' ? Date.parse(`${whole}.${fraction.padEnd(3, '0')}Z`) : null];
    });
    const read = times.map(([text]) => {
      const time = parseGatewayTime(text);
      return [text, time.kind, time.kind === 'time' ? time.at.getTime() : null];
    });
    expect(expected.filter(([, kind]) => kind === 'time').length).toBeGreaterThan(100);
    expect(read).toEqual(expected);
  });

  test.each([
    ['2026-11-22T16:33:12.324963', '2026-11-22T16:33:12.324Z'],
    ['2026-11-22T16:33:12', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22 16:33:12.5', '2026-11-22T16:33:12.500Z'],
    ['2026-11-22T16:33', '2026-11-22T16:33:00.000Z'],
    ['20261122T163312', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['2026-11-22T16', '2026-11-22T16:00:00.000Z'],
    ['9999-12-31T23:59:59', '9999-12-31T23:59:59.000Z'],
    ['0001-01-01T00:00:00', '0001-01-01T00:00:00.000Z'],
    ['2026-11-22T10.5', '2026-11-22T10:00:00.500Z'],
    ['2026-11-22T10:07,25', '2026-11-22T10:07:00.250Z'],
    ['2026-11-22T1007.5', '2026-11-22T10:07:00.500Z'],
    ['2026-11-22–10:07', '2026-11-22T10:07:00.000Z'],
    ['20261122👍1007', '2026-11-22T10:07:00.000Z'],
    ['2026-11-22\ufffd10:07', '2026-11-22T10:07:00.000Z'],
    ['2026-11-22\u000010:07', '2026-11-22T10:07:00.000Z'],
    ['2026-11-22T100700123', '2026-11-22T10:07:00.123Z'],
    ['2099-W01-1', '2098-12-29T00:00:00.000Z'],
    ['2099-W01', '2098-12-29T00:00:00.000Z'],
    ['2026-W47-7T10:07', '2026-11-22T10:07:00.000Z'],
    ['2026W477 1007', '2026-11-22T10:07:00.000Z'],
    ['2026W47-10', '2026-11-16T10:00:00.000Z'],
    ['2020-W53-7', '2021-01-03T00:00:00.000Z'],
  ])('%s is UTC', (text, time) => {
    expect(parseGatewayTime(text)).toEqual(at(time));
  });

  test.each([
    ['2026-11-22T16:33:12Z', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22T16:33:12+00:00', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22T16:33:12.5-0530', '2026-11-22T22:03:12.500Z'],
    ['2026-11-22T16:33:12+01:00:30', '2026-11-22T15:32:42.000Z'],
    ['2026-11-22T16:33:12+010030', '2026-11-22T15:32:42.000Z'],
    ['2026-11-22T16:33:12+01:00:30.250001', '2026-11-22T15:32:42.000Z'],
    ['2026-11-22T16:33:12-23:59:59', '2026-11-23T16:33:11.000Z'],
    ['2026-11-22T10:00+01:60', '2026-11-22T08:00:00.000Z'],
  ])('%s has an offset, on which the gateway fails', (text, time) => {
    expect(parseGatewayTime(text)).toEqual({kind: 'offset', at: new Date(time)});
  });

  test.each([
    '',
    'soon',
    '1763829192',
    '2026-13-01T00:00:00',
    '2026-02-30',
    '2026-11-22T24:01:00',
    '2026-11-22T',
    '2026-11-22T10:00+24:00',
    '2026-11-22T10:00+23:60',
    '2026-11-31',
    '2026-11-00',
    '2026-11-22T10:60',
    '2026-11-22T10:00:60',
    '2026-11-22T10:59:60',
    '2026-11-22T24:00',
    '2026-11-99',
    '2026-12-32',
    'x2026-11-22',
    '2026-1122',
    '202611-22',
    '2026-11-22T16:3312',
    '2026-11-22T1633:12',
    '0000-01-01',
    '2026-11-22\ufffd\ufffd10:00',
    '2026-11-22T10:',
    '2026-W54',
    '2025-W53-1',
    '2026-W01-8',
    '2026-W00',
    '9999-W52-7',
    '2026-W011',
    '2026-326',
    '2026-11-22T10:00+01:00:30.',
  ])('%j is not readable', (text) => {
    expect(parseGatewayTime(text)).toEqual({kind: 'unreadable'});
  });

  test('what is written is read back to the millisecond, and has no offset', () => {
    fc.assert(
      fc.property(fc.date({min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true}), (date) => {
        const text = formatGatewayTime(date);
        expect(text).not.toMatch(/Z|[+]/);
        expect(parseGatewayTime(text)).toEqual({kind: 'time', at: date});
      }),
    );
  });
});

test('a time is shown in UTC', () => {
  expect(formatUtc(new Date('2026-11-22T16:45:22.999Z'))).toBe('2026-11-22 16:45:22 UTC');
});

describe('a length of time as an operator types it', () => {
  test.each([
    ['90s', 90],
    ['30m', 1800],
    ['2h', 7200],
    ['7d', 604_800],
    ['2w', 1_209_600],
    ['1h30m', 5400],
    ['1d12h30m15s', 131_415],
    ['0h30m', 1800],
    ['1w2d3h4m5s', 788_645],
    ['1h90m', 9000],
  ])('%s is %d seconds', (typed, seconds) => {
    expect(parseDuration(typed)).toBe(seconds);
  });

  const slips = ['1h2h', '5m1h', '1h1h', '30m30m', '1d2w', '10s1m', '1w1d1h1m1s1w', '1h30', '1h30m5', '30m1', 'h1'];
  test.each([
    ...[
      '',
      '0',
      '0m',
      '0h0m',
      '30',
      'm',
      '-5m',
      '+5m',
      '1.5h',
      '1h 30m',
      ' 1h',
      '1H',
      '5min',
      '1y',
      '1e3s',
      'Infinity',
    ],
    ...slips,
  ])('%j is refused', (typed) => {
    expect(() => parseDuration(typed)).toThrow(
      expect.objectContaining({code: 'INVALID_DURATION', hint: expect.stringContaining('1h30m')}),
    );
  });
});

describe('a point in time as an operator types it', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each([
    ['2026-11-22T18:00Z', '2026-11-22T18:00:00.000Z'],
    ['2026-11-22T18:00:05.25Z', '2026-11-22T18:00:05.250Z'],
    ['2026-11-22T18:00+01:00', '2026-11-22T17:00:00.000Z'],
    ['2026-11-22 18:00-0530', '2026-11-22T23:30:00.000Z'],
    ['2024-02-29T00:00Z', '2024-02-29T00:00:00.000Z'],
  ])('%s is %s wherever it is typed', (typed, time) => {
    vi.stubEnv('TZ', 'Asia/Kathmandu');
    expect(parseTime(typed).toISOString()).toBe(time);
  });

  test.each([
    ['2026-11-22T18:00', '2026-11-22T12:15:00.000Z'],
    ['2026-11-22 18:00:30', '2026-11-22T12:15:30.000Z'],
    ['2026-11-22', '2026-11-21T18:15:00.000Z'],
  ])('%s is local time: %s in Kathmandu', (typed, time) => {
    vi.stubEnv('TZ', 'Asia/Kathmandu');
    expect(parseTime(typed).toISOString()).toBe(time);
  });

  test.each([
    ...['', 'tomorrow', '18:00', '2026-11', '2026-13-01', '2026-02-29', '2026-11-31T10:00Z', '2026-00-10'],
    ...['2026-11-22T25:00', '2026-11-22T18:60Z', '2026-11-22T18:00z', '2026-11-22T18Z', '2026-11-22Z', ' 2026-11-22'],
    ...[
      '2026-11-22T18:00+1',
      '2026-11-22T18:00+99:00',
      '2026-11-22T18:00+0160',
      '2026-11-22T18:00+2400',
      '20261122T1800',
      '1763829192',
    ],
  ])('%j is refused', (typed) => {
    expect(() => parseTime(typed)).toThrow(
      expect.objectContaining({code: 'INVALID_TIME', hint: expect.stringContaining('local time')}),
    );
  });
});

test.each([
  [1, '1s'],
  [45_000, '45s'],
  [60_000, '1m'],
  [261_000, '4m21s'],
  [3_600_000, '1h'],
  [7_505_000, '2h5m'],
  [3_605_000, '1h'],
  [273_600_000, '3d4h'],
])('%i ms are a length of %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});
