import {describeEnd} from '../../lib/gateway/freeze.js';
import type {ServerInfo} from '../../lib/redis/contract.js';
import {formatMoney, formatPercentage, type Money} from '../../lib/values/money.js';
import {formatUtc} from '../../lib/values/time.js';
import {STATUSES, type Summary, type Watched} from '../../lib/watch/row.js';
import {secondsUntilEmpty} from '../../lib/watch/spend-rate.js';
import {fitLine, type Line, lineWidth, shorten, type Piece, spread, untrusted} from './cells.js';
import {amountText, drawBar, formatLength, NOT_YET, STATUS_LOOKS, timeLeft} from './columns.js';

/** What stands above the table. */
export interface Head {
  server: ServerInfo;
  /** Of the last reading, by the server's clock. */
  now: Date;
  /** Seconds from one reading to the next; undefined when there is only one. */
  interval: number | undefined;
  /** Safe to show; empty without. */
  trouble: string;
  summary: Summary;
  /** How many there are without the filter; undefined without one. */
  outOf: number | undefined;
  /** What limits the sessions, in words; may hold untrusted text. */
  filters: readonly string[];
}

const GAP: Piece = {text: '  '};
const LIVE: Piece = {text: '● live', look: 'green'};

const dim = (text: string): Piece => ({text, look: 'dim'});
const bold = (text: string): Piece => ({text, look: 'bold'});

/** Three lines: where and when, how many, how much. */
export function headLines(head: Head, width: number): Line[] {
  const {server, now, interval, trouble, summary, outOf, filters} = head;
  const {statuses} = summary;
  const where = `${server.address} db ${server.database}`;
  const clock = formatUtc(now);
  const state: Line =
    trouble === ''
      ? [dim(clock), ...(interval === undefined ? [] : [dim(`  every ${formatLength(interval)} `), LIVE])]
      : [{text: `${clock} STALE`, look: 'red'}];
  const counts = STATUSES.flatMap((status): Piece[] => {
    const count = statuses[status];
    return [GAP, dim(`${status} `), {text: String(count), look: count === 0 ? 'dim' : STATUS_LOOKS[status]}];
  });
  const total = outOf === undefined ? String(summary.count) : `${summary.count} of ${outOf}`;
  return [
    spread(
      shorten([{text: ' tokengate ', look: 'bold'}, untrusted(where, 'cyan')], width - lineWidth(state) - 2),
      [...state, {text: ' '}],
      width,
    ),
    trouble === ''
      ? spread(
          [dim(' Sessions '), bold(total), ...counts],
          filters.length === 0 ? [] : [{text: '  '}, untrusted(filters.join(', '), 'yellow'), {text: ' '}],
          width,
        )
      : fitLine([{text: ` ${trouble}`, look: 'red'}], width),
    moneyLine(summary, width),
  ];
}

/** As much as there is room for. */
function moneyLine({budget, spent, remaining, used, rate, count}: Summary, width: number): Line {
  const seconds = count === 0 ? null : secondsUntilEmpty(remaining, rate);
  const bar = drawBar(used, 12);
  const look = used.gte(95) ? 'red' : used.gte(80) ? 'yellow' : 'green';
  const line = (isLong: boolean): Line => {
    const amount = (value: Money): Piece => bold(amountText(value, isLong));
    return [
      ...[dim(' Budget '), amount(budget), dim('  Spent '), amount(spent), {text: ' '}],
      ...(isLong ? [{text: bar.full, look} as const, dim(bar.rest), {text: ' '}] : []),
      ...[{text: formatPercentage(used), look} as const, dim('  Left '), amount(remaining)],
      ...[dim('  $/min '), rate === null ? bold(NOT_YET) : bold(amountText(rate, isLong).slice(1))],
      ...(seconds === null ? [] : [dim('  Empty in '), bold(formatLength(seconds))]),
    ];
  };
  const long = line(true);
  return fitLine(lineWidth(long) <= width ? long : line(false), width);
}

/** All about one session, in three lines. */
export function detailLines({session, status, rate, requests}: Watched, now: Date, width: number): Line[] {
  const {id, budget, spent, remaining, freeze, problems} = session;
  const amount = (value: Money | null): string => (value === null ? 'invalid' : formatMoney(value));
  const seconds = secondsUntilEmpty(remaining, rate);
  const facts = [
    `spent ${amount(spent)} of ${amount(budget)}`,
    ...(remaining === null ? [] : [`left ${amount(remaining)}`]),
    rate === null ? 'not enough data for a rate' : `${formatMoney(rate)}/min`,
    ...(seconds === null || status === 'empty' ? [] : [`empty in ${formatLength(seconds)}`]),
  ];
  const count = requests === undefined ? '' : requests === null ? 'invalid' : String(requests);
  const frozen =
    freeze?.isFrozen && freeze.until !== null
      ? [`Frozen ${describeEnd(freeze.until)} (${timeLeft(freeze.until, now)}): ${freeze.reason ?? 'no reason'}`]
      : [];
  const effect = status === 'empty' ? ['The budget is spent: the gateway refuses its requests.'] : [];
  return [
    spread(
      [{text: ' '}, untrusted(id, 'bold')],
      count === '' ? [] : [dim('requests in the last minute '), {text: `${count} `}],
      width,
    ),
    [{text: ` ${facts.join(', ')}`}],
    [{text: ' '}, untrusted([...frozen, ...effect, ...problems].join(' '), STATUS_LOOKS[status])],
  ].map((line) => fitLine(line, width));
}

/** Keys and what they do; the last are left out where there is no room. */
export function keyLine(keys: readonly (readonly [key: string, what: string])[], width: number): Line {
  const needed = keys.reduce((sum, [key, what]) => sum + key.length + what.length + 2, 1);
  const gap = needed + 3 * keys.length <= width ? '   ' : ' ';
  const pieces: Piece[] = [{text: ' '}];
  for (const [key, what] of keys) pieces.push({text: key, look: 'bar'}, {text: ` ${what}${gap}`});
  return fitLine(pieces, width);
}
