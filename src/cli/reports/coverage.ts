import type {Coverage} from '../../lib/spending/coverage.js';
import {formatExactMoney} from '../../lib/values/money.js';
import {formatDuration} from '../../lib/values/time.js';

/** `Recorded 2026-11-01 to 11-30, largest gap 15m, unaccounted $0.00` */
export function describeCoverage({from, to, gapMs, unaccounted, trimmed, isWhole}: Coverage): string {
  const end = to === from ? '' : ` to ${to.slice(0, 5) === from.slice(0, 5) ? to.slice(5) : to}`;
  const facts = [`Recorded ${from}${end}`];
  if (!isWhole) facts.push('which is not all of the period');
  facts.push(`largest gap ${gapMs === 0 ? 'none' : formatDuration(gapMs)}`);
  facts.push(`unaccounted ${formatExactMoney(unaccounted)}`);
  if (trimmed > 0)
    facts.push(`the journal had been trimmed before ${trimmed === 1 ? 'one recording' : `${trimmed} recordings`}`);
  return facts.join(', ');
}
