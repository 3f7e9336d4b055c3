import {describeFreeze} from '../../lib/gateway/freeze.js';
import {describeAmount, moneyOf} from '../../lib/gateway/stored-amount.js';
import type {Sighting} from '../../lib/operations/second-look.js';
import {formatExactMoney, type Money} from '../../lib/values/money.js';
import {EXIT, endWith} from '../terminal/exit-code.js';
import {reportWarning} from '../terminal/report.js';

/** The finding of a second look in the form for scripts, which is a contract. */
export interface SecondLookJson {
  /** `lasts` is the normal outcome; after `failed` the outcome is unknown, or the session is not as it should be. */
  outcome: 'lasts' | 'taken_off' | 'overwritten' | 'failed';
  removed_spent?: Money;
  found_spent?: Money;
  spent?: Money;
  budget?: Money | null;
  frozen_until?: Date | null;
  freeze_reason?: string | null;
  error?: {code: string; message: string};
}

export function toSecondLookJson([sighting]: readonly Sighting[]): SecondLookJson {
  if (sighting === undefined) return {outcome: 'lasts'};
  switch (sighting.kind) {
    case 'taken_off': {
      const {removed, found, left} = sighting;
      return {outcome: 'taken_off', removed_spent: removed, found_spent: found, spent: left};
    }
    case 'not_taken_off':
      return {outcome: 'failed', removed_spent: sighting.removed, error: toErrorJson(sighting.error)};
    case 'budget_overwritten':
      return {outcome: 'overwritten', budget: moneyOf(sighting.budget)};
    case 'freeze_overwritten': {
      const {isFrozen, until, reason} = sighting.freeze;
      const isOver = isFrozen === false;
      return {outcome: 'overwritten', frozen_until: isOver ? null : until, freeze_reason: isOver ? null : reason};
    }
    case 'no_look':
      return {outcome: 'failed', error: toErrorJson(sighting.error)};
  }
}

/** One or more sentences. May hold untrusted text. */
export function describeSighting(sighting: Sighting): string {
  const way = 'a request that was under way';
  switch (sighting.kind) {
    case 'taken_off': {
      const [removed, found, left] = [sighting.removed, sighting.found, sighting.left].map(formatExactMoney);
      return `Session '${sighting.id}': its spending jumped to ${found ?? ''}, by at least the ${removed ?? ''} that was removed: ${way} had written it back. It was taken off again, which leaves ${left ?? ''}.`;
    }
    case 'not_taken_off':
      return `Session '${sighting.id}': its spending jumped by at least the ${formatExactMoney(sighting.removed)} that was removed: ${way} had written it back. Taking it off again failed: ${sighting.error.message} Reset the session again.`;
    case 'budget_overwritten':
      return `Session '${sighting.id}': its budget is ${describeAmount(sighting.budget)} now, not ${formatExactMoney(sighting.wanted)}: somebody wrote it right after, such as ${way}, which gives a session the gateway's default. Set it again.`;
    case 'freeze_overwritten':
      return `Session '${sighting.id}' is ${describeFreeze(sighting.freeze)} now: somebody wrote it right after, such as ${way}. Freeze it again.`;
    case 'no_look':
      return `The second look, for ${way}, failed: ${sighting.error.message}`;
  }
}

/** True when a session is not as it was reported to be: then the exit code is 1. */
export function hasNotLasted({kind}: Sighting): boolean {
  return kind === 'not_taken_off' || kind === 'budget_overwritten' || kind === 'freeze_overwritten';
}

/**
 * Warns about the findings of a second look at one session, and sets exit code 1 if it is not as it was reported to be.
 */
export function tellSightings(sightings: readonly Sighting[]): SecondLookJson {
  for (const sighting of sightings) {
    reportWarning(describeSighting(sighting));
    if (hasNotLasted(sighting)) endWith(EXIT.failed);
  }
  return toSecondLookJson(sightings);
}

function toErrorJson({code, message}: {code: string; message: string}): {code: string; message: string} {
  return {code, message};
}
