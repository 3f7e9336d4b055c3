import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {formatGatewayTime, formatUtc, parseGatewayTime} from '../../src/lib/time.js';

const at = (text: string): unknown => ({kind: 'time', at: new Date(text)});

describe('a time as the gateway reads it', () => {
  test.each([
    ['2026-11-22T16:33:12.324963', '2026-11-22T16:33:12.324Z'],
    ['2026-11-22T16:33:12', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22 16:33:12.5', '2026-11-22T16:33:12.500Z'],
    ['2026-11-22T16:33', '2026-11-22T16:33:00.000Z'],
    ['20261122T163312', '2026-11-22T16:33:12.000Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['9999-12-31T23:59:59', '9999-12-31T23:59:59.000Z'],
    ['0001-01-01T00:00:00', '0001-01-01T00:00:00.000Z'],
  ])('%s is UTC', (text, time) => {
    expect(parseGatewayTime(text)).toEqual(at(time));
  });

  test.each(['2026-11-22T16:33:12Z', '2026-11-22T16:33:12+00:00', '2026-11-22T16:33:12.5-0530'])(
    '%s has an offset, on which the gateway fails',
    (text) => {
      expect(parseGatewayTime(text)).toEqual({kind: 'offset'});
    },
  );

  test.each(['', 'soon', '1763829192', '2026-13-01T00:00:00', '2026-02-30', '2026-11-22T24:01:00', '2026-11-22T'])(
    '%j is not readable',
    (text) => {
      expect(parseGatewayTime(text)).toEqual({kind: 'unreadable'});
    },
  );

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
