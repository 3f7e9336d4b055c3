import {describeFreeze} from '../../lib/gateway/freeze.js';
import {describeAmount, moneyOf} from '../../lib/gateway/stored-amount.js';
import type {Sighting} from '../../lib/operations/lasting.js';
import {formatExactMoney, type Money} from '../../lib/values/money.js';
import {EXIT, endWith} from '../terminal/exit-code.js';
import {reportWarning} from '../terminal/report.js';

/** The finding of a second look in the form for scripts, which is a contract. */
export interface SecondLookJson {
  /** `lasts` is the normal outcome; after `failed` the outcome is unknown, or the session is not as it should be. */
  outcome: 'lasts' | 'taken_off' | 'put_back' | 'jumped' | 'overwritten' | 'failed';
  removed_spent?: Money;
  added_spent?: Money;
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
    case 'put_back': {
      const {added, found, left} = sighting;
      return {outcome: 'put_back', added_spent: added, found_spent: found, spent: left};
    }
    case 'not_corrected': {
      const {from, to, error} = sighting;
      const change = from.gt(to) ? {removed_spent: from.minus(to)} : {added_spent: to.minus(from)};
      return {outcome: 'failed', ...change, error: toErrorJson(error)};
    }
    case 'jumped':
      return {outcome: 'jumped', removed_spent: sighting.removed, found_spent: sighting.found};
    case 'budget_overwritten':
      return {outcome: 'overwritten', budget: moneyOf(sighting.budget)};
    case 'frozen_again':
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
    case 'put_back': {
      const [added, found, left] = [sighting.added, sighting.found, sighting.left].map(formatExactMoney);
      return `Session '${sighting.id}': its spending fell to ${found ?? ''}: ${way} had overwritten it. The ${added ?? ''} that had been restored was added again, which makes ${left ?? ''}.`;
    }
    case 'not_corrected': {
      const {id, from, to, error} = sighting;
      if (from.gt(to)) {
        return `Session '${id}': its spending jumped by at least the ${formatExactMoney(from.minus(to))} that was removed: ${way} had written it back. Taking it off again failed: ${error.message} Reset the session again.`;
      }
      return `Session '${id}': ${way} has overwritten the ${formatExactMoney(to.minus(from))} of spending that was restored. Adding it again failed: ${error.message}`;
    }
    case 'jumped':
      return `Session '${sighting.id}': its spending jumped to ${formatExactMoney(sighting.found)}, by at least the ${formatExactMoney(sighting.removed)} that was removed. Either ${way} has written it back, or new requests have cost as much. Nothing was taken off.`;
    case 'budget_overwritten':
      return `Session '${sighting.id}': its budget is ${describeAmount(sighting.budget)} now, not ${formatExactMoney(sighting.wanted)}: somebody wrote it right after, such as ${way}, which gives a session the gateway's default. Set it again.`;
    case 'freeze_overwritten':
      return `Session '${sighting.id}' is ${describeFreeze(sighting.freeze)} now: somebody wrote it right after, such as ${way}. Freeze it again.`;
    case 'frozen_again':
      return `Session '${sighting.id}' is ${describeFreeze(sighting.freeze)} now: somebody froze it right after, such as ${way}. Unfreeze it again.`;
    case 'no_look':
      return `The second look, for ${way}, failed: ${sighting.error.message}`;
  }
}

/** True when a session is not as it was reported to be: then the exit code is 1. */
export function hasNotLasted({kind}: Sighting): boolean {
  return FAILED.has(kind);
}

const FAILED = new Set<Sighting['kind']>(['not_corrected', 'budget_overwritten', 'freeze_overwritten', 'frozen_again']);

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
