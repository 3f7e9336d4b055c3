import {setTimeout as wait} from 'node:timers/promises';

import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import {Watch, type Reading, type Wanted} from './reader.js';

/** Reads all sessions twice, this many seconds apart: two readings give rates. */
export async function sampleSessions(redis: Redis, wanted: Wanted, seconds: number): Promise<Reading> {
  const watch = new Watch(wanted);
  await watch.read(redis, []);
  await wait(seconds * 1000);
  await watch.read(redis, 'all');
  return watch.reading();
}

/** The length of a unit in seconds. */
const UNITS: Record<string, number> = {s: 1, m: 60, min: 60, h: 3600, d: 86_400};

/**
 * Reads a rate of spending that an operator typed: `5/m`, `0.10/s` or `120/h`.
 *
 * @returns US dollars a minute
 * @throws TokengateError INVALID_RATE
 */
export function parseRate(typed: string): Money {
  const [, amount = '', unit = ''] = /^\$?(\d{1,12}(?:\.\d{1,12})?)\/([a-z]+)$/.exec(typed) ?? [];
  const seconds = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  const value = parseStoredMoney(amount);
  if (seconds === undefined || value === undefined || value.lte(ZERO)) {
    throw new TokengateError('INVALID_RATE', `Invalid rate '${typed}'.`, {
      hint: 'Write US dollars and a unit of time, above 0: 5/m, 0.10/s or 120/h.',
    });
  }
  return value.times(60).div(seconds);
}
