import {LEDGER_KEY, spentHourKey, fieldOf} from '../gateway/keys.js';
import {forecastEmpty} from '../periods/forecast.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {toServerTime} from '../redis/server-time.js';
import {type Money, ZERO} from '../values/money.js';
import type {RawId} from '../values/session-id.js';
import {hourOf, toLedgerAmount} from './ledger.js';

/** What a session spends according to the ledger, in US dollars an hour; null if it is not known. */
export interface RecordedRates {
  /** Over the hour before the last recording. */
  hour: Money | null;
  /** Over the day before it. */
  day: Money | null;
}

export const NO_RATES: RecordedRates = {hour: null, day: null};

/** The data that all rates are computed from. */
export interface RateSource {
  began: Date;
  recorded: Date;
  now: Date;
}

export const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** Over less time than this, a rate says nothing. */
const LEAST_MS = 60_000;

/** Undefined before there are two recordings a minute apart, and for a user who may not read the ledger. */
export async function findRateSource(redis: Redis): Promise<RateSource | undefined> {
  const [fields, time] = await redis.pipeline([['HMGET', LEDGER_KEY, 'began', 'recorded'], ['TIME']]);
  if (fields instanceof ErrorReply) return undefined;
  const [began, recorded] = (fields as (string | null)[]).map((text) => new Date(Number(text ?? NaN)));
  if (began === undefined || recorded === undefined) return undefined;
  if (!(recorded.getTime() - began.getTime() >= LEAST_MS)) return undefined;
  return {began, recorded, now: toServerTime(redis, time)};
}

/**
 * Reads what sessions spend. Only whole hours are recorded, so the oldest hour counts with the share that lies in the
 * time.
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
    // Nothing was recorded before the first recording, so the oldest hour then counts in full.
    const share = span < longest ? 1 : 1 - (recorded.getTime() % HOUR_MS) / HOUR_MS;
    const oldest = (amounts.at(-1) ?? ZERO).times(share.toFixed(6));
    return whole.plus(oldest).times(HOUR_MS).div(span);
  };
  return new Map(
    ids.map((id, index): [RawId, RecordedRates] => {
      const amounts = replies.map((reply) => {
        const text = reply instanceof ErrorReply ? null : (reply as (string | null)[])[index];
        return text == null ? ZERO : toLedgerAmount(text);
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

/** The higher of the two rates, in US dollars a minute. */
export function fasterOf({hour, day}: RecordedRates): Money | null {
  const fastest = hour === null || day === null ? (hour ?? day) : hour.gt(day) ? hour : day;
  return fastest?.div(60) ?? null;
}

/**
 * Seconds until a budget is empty at the higher of the two rates, or `lasts` until it renews; null if that is not
 * known, or never happens. See `forecastEmpty`.
 */
export function emptiesIn(
  remaining: Money | null,
  rates: RecordedRates,
  renewsIn: number | null,
): number | 'lasts' | null {
  return forecastEmpty(remaining, fasterOf(rates), renewsIn);
}

/** What one session spends; undefined if it is not known. */
export async function readRatesOf(
  redis: Redis,
  id: RawId,
): Promise<{rates: RecordedRates; source: RateSource} | undefined> {
  const source = await findRateSource(redis);
  if (source === undefined) return undefined;
  return {rates: (await readRates(redis, [id], source)).get(id) ?? NO_RATES, source};
}
