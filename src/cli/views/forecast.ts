import {emptiesIn, type RateSource, type RecordedRates} from '../../lib/spending/rates.js';
import {formatMoney, type Money} from '../../lib/values/money.js';
import {formatDuration} from '../../lib/values/time.js';

/** A session's forecast from the ledger, in the form for scripts, which is a contract. Null means unknown. */
export interface ForecastJson {
  /** US dollars an hour, over the last hour before the last recording, and over the last day. */
  spent_per_hour: Money | null;
  spent_per_hour_of_day: Money | null;
  /** At the higher of the two rates; also null when the budget renews before, or nothing is spent. */
  seconds_until_empty: number | null;
}

/** The same for people. */
export interface Forecast {
  json: ForecastJson;
  /** `$0.5200` an hour, or `-`. */
  hour: string;
  day: string;
  /** `3h20m`, `lasts` until the next renewal, or `-`. */
  empties: string;
  /** `$0.5200/h in the last hour, $0.3000/h in the last day; empty in 3h20m` */
  sentence: string;
}

/** @param nextRenewal in ISO 8601; null for a budget that does not renew */
export function toForecast(
  remaining: Money | null,
  rates: RecordedRates,
  {now}: RateSource,
  nextRenewal: string | null = null,
): Forecast {
  const renewsIn = nextRenewal === null ? null : (Date.parse(nextRenewal) - now.getTime()) / 1000;
  const seconds = emptiesIn(remaining, rates, renewsIn !== null && renewsIn > 0 ? renewsIn : null);
  const [hour, day] = [rates.hour, rates.day].map((rate) => (rate === null ? '-' : formatMoney(rate)));
  const empties =
    seconds === null ? '-' : seconds === 'lasts' ? 'lasts' : seconds === 0 ? 'now' : formatDuration(seconds * 1000);
  const when =
    seconds === null
      ? ''
      : seconds === 'lasts'
        ? '; lasts until it renews'
        : seconds === 0
          ? '; empty'
          : `; empty in about ${empties}`;
  return {
    json: {
      spent_per_hour: rates.hour,
      spent_per_hour_of_day: rates.day,
      seconds_until_empty: seconds === 'lasts' ? null : seconds,
    },
    hour: hour ?? '-',
    day: day ?? '-',
    empties,
    sentence: `${hour ?? '-'}/h in the last hour, ${day ?? '-'}/h in the last day${when}`,
  };
}
