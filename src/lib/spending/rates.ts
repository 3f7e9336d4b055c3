import {LEDGER_KEY, spentHourKey, fieldOf} from '../gateway/keys.js';
import {forecastEmpty} from '../periods/forecast.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {toServerTime} from '../redis/server-time.js';
import {Decimal} from '../values/decimal.js';
import {type Money, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {hourOf} from './ledger.js';

/** What a session has spent by the ledger, in US dollars an hour; null where that is not known. */
export interface RecordedRates {
  /** Over the hour before the last recording. */
  hour: Money | null;
  /** Over the day before it. */
  day: Money | null;
}

export const NO_RATES: RecordedRates = {hour: null, day: null};

/** What all rates are taken from. */
export interface RateSource {
  began: Date;
  recorded: Date;
  now: Date;
}

export const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** A rate over less time says nothing. */
const LEAST_MS = 60_000;

/** Undefined below two recordings a minute apart, and for a user who may not read the ledger. */
export async function findRateSource(redis: Redis): Promise<RateSource | undefined> {
  const [fields, time] = await redis.pipeline([['HMGET', LEDGER_KEY, 'began', 'recorded'], ['TIME']]);
  if (fields instanceof ErrorReply) return undefined;
  const [began, recorded] = (fields as (string | null)[]).map((text) => new Date(Number(text ?? NaN)));
  if (began === undefined || recorded === undefined) return undefined;
  if (!(recorded.getTime() - began.getTime() >= LEAST_MS)) return undefined;
  return {began, recorded, now: toServerTime(redis, time)};
}

/**
 * Reads what sessions spend. Hours are recorded as wholes, so of the oldest one the share counts that is in the time looked at.
 *
 * @param mostHours reads fewer hours, for a day that ends with them
 */
export async function readRates(
  redis: Redis,
  ids: readonly RawId[],
  {began, recorded, now}: RateSource,
  mostHours = DAY_HOURS,
): Promise<Map<RawId, RecordedRates>> {
  const age = now.getTime() - recorded.getTime();
  const length = Math.min(mostHours * HOUR_MS, recorded.getTime() - began.getTime());
  const fields = ids.map(fieldOf);
  const count = Math.ceil(length / HOUR_MS) + 1;
  const hours = Array.from({length: count}, (_, nth) => hourOf(new Date(recorded.getTime() - nth * HOUR_MS)));
  const replies = await redis.pipeline(hours.map((hour) => ['HMGET', spentHourKey(hour), ...fields]));
  const rateOver = (amounts: readonly Money[], span: number, longest: number): Money => {
    const whole = amounts.slice(0, -1).reduce((sum, one) => sum.plus(one), ZERO);
    // Before the first recording nothing was recorded: then the oldest hour is counted whole.
    const share = span < longest ? 1 : 1 - (recorded.getTime() % HOUR_MS) / HOUR_MS;
    const oldest = (amounts.at(-1) ?? ZERO).times(share.toFixed(6));
    return whole.plus(oldest).times(HOUR_MS).div(span);
  };
  return new Map(
    ids.map((id, index): [RawId, RecordedRates] => {
      const amounts = replies.map((reply) => {
        const text = reply instanceof ErrorReply ? null : (reply as (string | null)[])[index];
        return text == null ? ZERO : Decimal.of(text);
      });
      const [span, lastTwo] = [Math.min(length, HOUR_MS), amounts.slice(0, 2)];
      return [
        id,
        {
          hour: age > HOUR_MS ? null : rateOver(lastTwo, span, HOUR_MS),
          day: age > DAY_HOURS * HOUR_MS ? null : rateOver(amounts, length, mostHours * HOUR_MS),
        },
      ];
    }),
  );
}

/** The faster of the two, in US dollars a minute. */
export function fasterOf({hour, day}: RecordedRates): Money | null {
  const fastest = hour === null || day === null ? (hour ?? day) : hour.gt(day) ? hour : day;
  return fastest?.div(60) ?? null;
}

/**
 * Seconds until a budget is empty at the faster of the two rates, or `lasts` until it renews; null when that is not known, or
 * never. See `forecastEmpty`.
 */
export function emptiesIn(
  remaining: Money | null,
  rates: RecordedRates,
  renewsIn: number | null,
): number | 'lasts' | null {
  return forecastEmpty(remaining, fasterOf(rates), renewsIn);
}

/** What one session spends; undefined when that is not known. */
export async function readRatesOf(
  redis: Redis,
  id: RawId,
): Promise<{rates: RecordedRates; source: RateSource} | undefined> {
  const source = await findRateSource(redis);
  if (source === undefined) return undefined;
  return {rates: (await readRates(redis, [id], source)).get(id) ?? NO_RATES, source};
}
