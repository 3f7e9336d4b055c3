import {changeKnown} from '../change/apply.js';
import type {Change} from '../change/change.js';
import {describeFreeze, FOREVER, type FreezeState, toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Journal, type Stored} from '../journal/entry.js';
import {DECIDE_UNFREEZE, FREEZE, UNFREEZE} from '../lua/scripts.js';
import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {formatDuration, formatGatewayTime, formatUtc} from '../values/time.js';
import {LOOKS, type SecondLook} from './lasting.js';

export interface Freeze {
  id: string;
  /** The same as bytes. */
  key: RawId;
  /** The end of the freeze now in force. */
  until: Date;
  /** Untrusted text; null when a freeze without a reason is kept. */
  reason: string | null;
  /** The freeze before. If it ends no sooner, it is kept, and `isKept` is true. */
  previous: FreezeState;
  isKept: boolean;
  /** False when nothing is known of the session: neither a budget nor spending. */
  isKnown: boolean;
}

export interface Unfreeze {
  id: string;
  /** The same as bytes. */
  key: RawId;
  previous: FreezeState;
  /** True when a freeze with another reason than the requested one stays. */
  isKept: boolean;
  /** True when a counter was removed that could have frozen the session again. */
  countersCleared: boolean;
  /** True when the session was not frozen, but remains of an earlier freeze were removed. */
  leftoversCleared: boolean;
}

export interface FreezeOptions {
  reason: string;
  /** The end; `FOREVER` for none. */
  until: Date;
  now: Date;
  /** Also replaces a freeze that ends no sooner. */
  force: boolean;
}

export interface UnfreezeOptions {
  now: Date;
  /** Ends a freeze only if it has exactly this reason. */
  withReason?: string | undefined;
}

/** Warnings about the freeze before a change. What the change has removed or replaced is told as it was. */
export function problemsBefore({previous, isKept}: Pick<Freeze, 'previous' | 'isKept'>): string[] {
  return isKept
    ? previous.problems
    : previous.problems.map((problem) => `Before this change: ${problem.replace(/^The/, 'the')}`);
}

/** What unfreezing did to a session: `was frozen until …`, or what it removed. May hold untrusted text. */
export function describeUnfreeze(unfreeze: Unfreeze): string {
  const {previous} = unfreeze;
  const cleared = describeCleared(unfreeze);
  return cleared === '' ? `was ${describeFreeze(previous)}` : `${cleared}; it was not frozen`;
}

/** `its counters are cleared`, for a session that was not frozen; otherwise empty. */
export function describeCleared({previous, countersCleared, leftoversCleared}: Unfreeze): string {
  const what = [
    ...(leftoversCleared ? ['what was left of a freeze'] : []),
    ...(countersCleared ? ['its counters'] : []),
  ];
  if (previous.isFrozen !== false || what.length === 0) return '';
  return `${what.join(' and ')} ${countersCleared ? 'are' : 'is'} cleared`;
}

/**
 * Freezes a session: both keys in one atomic step, with the same TTL, in the form that the gateway obeys. A freeze that
 * ends no sooner is kept unless forced, so that nobody shortens another's freeze by accident.
 *
 * @throws TokengateError INVALID_REASON, INVALID_TIME, OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function freezeSession(
  redis: Redis,
  id: RawId,
  options: FreezeOptions,
  journal: Journal | undefined,
): Promise<Freeze> {
  return changeKnown(redis, id, freezeChange(options), {journal, what: `session '${nameOf(id)}' was frozen`});
}

/**
 * Ends a freeze, and clears the counters that would bring it back at the next request: identical requests, the hash of
 * the last request, requests of the last minute. All in one atomic step.
 *
 * @throws TokengateError OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function unfreezeSession(
  redis: Redis,
  id: RawId,
  options: UnfreezeOptions,
  journal: Journal | undefined,
): Promise<Unfreeze> {
  return changeKnown(redis, id, unfreezeChange(options), {journal, what: `session '${nameOf(id)}' was unfrozen`});
}

/**
 * By how much a key may seem to expire before the end of its freeze. TTLs of freezes are whole seconds, and the server's
 * time is known only as it was some milliseconds before the TTL was read.
 */
const NO_SOONER_MS = 1000;

/** @throws TokengateError INVALID_REASON, INVALID_TIME */
export function freezeChange({reason, until, now, force}: FreezeOptions): Change<Freeze> {
  if (reason === '') throw new TokengateError('INVALID_REASON', 'The reason is empty.');
  if (!(until <= FOREVER)) {
    const message = 'The end of the freeze is after the year 9999, which the gateway cannot read.';
    throw new TokengateError('INVALID_TIME', message, {hint: 'For a freeze without end use --forever.'});
  }
  const seconds = Math.ceil((until.getTime() - now.getTime()) / 1000);
  if (seconds <= 0) {
    throw new TokengateError('INVALID_TIME', `The end of the freeze, ${formatUtc(until)}, is in the past.`);
  }
  const isForever = until.getTime() === FOREVER.getTime();
  const ttl = isForever ? '' : String(seconds * 1000);
  const started = now.getTime() - performance.now();
  /**
   * True for a freeze that ends no sooner, and whose key expires no sooner: a late end in a key that is about to expire
   * does not count.
   */
  const endsAsLate = (state: FreezeState): boolean => state.isFrozen === true && (state.until ?? now) >= until;
  // A key without a TTL has -1; an unknown TTL is NaN.
  const expiresSooner = (life: number): boolean =>
    life >= 0 && started + performance.now() + life < until.getTime() - NO_SOONER_MS;
  const toResult = (id: RawId, previous: FreezeState, isKept: boolean, [budget, spent]: readonly Held[]): Freeze => ({
    id: nameOf(id),
    key: id,
    until: isKept ? (previous.until ?? until) : until,
    reason: isKept ? previous.reason : reason,
    previous,
    isKept,
    isKnown: budget !== false || spent !== false,
  });
  return {
    shapes: [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS, BUDGET_KEYS, SPENT_KEYS],
    scripts: {change: FREEZE},
    args: [formatGatewayTime(until), reason, ttl, force ? 'force' : ''],
    tellsOld: true,
    read(id, word, [oldUntil = false, oldReason = false, ...amounts]) {
      if (word === 'has_end') return undefined;
      const previous = toFreezeState(nameOf(id), oldUntil, oldReason, now);
      return {id: nameOf(id), state: 'done', result: toResult(id, previous, false, amounts)};
    },
    plan(id, [oldUntil = false, oldReason = false, ...amounts], [life = NaN]) {
      const previous = toFreezeState(nameOf(id), inText(oldUntil), inText(oldReason), now);
      const isKept = !force && endsAsLate(previous) && !expiresSooner(life);
      const result = toResult(id, previous, isKept, amounts);
      if (isKept) return {id: nameOf(id), state: 'unchanged', result};
      const next = [formatGatewayTime(until), Buffer.from(reason).toString('latin1')].map((text): Stored =>
        isForever ? text : [text, seconds * 1000],
      );
      return {state: 'write', expected: [oldUntil, null, null, null], next: [...next, null, null], result};
    },
    lookAt: [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS],
    lives: [FROZEN_UNTIL_KEYS],
    preview(id, [oldUntil, oldReason], [life = NaN]) {
      const state = toFreezeState(nameOf(id), inText(oldUntil), inText(oldReason), now);
      const isLater = endsAsLate(state);
      const sooner = isLater && expiresSooner(life) ? `, but its key expires in ${formatDuration(life)}` : '';
      return {
        id: nameOf(id),
        state: isLater && sooner === '' && !force ? 'unchanged' : 'done',
        now: `${describeFreeze(state)}${sooner}`,
        then: describeFreeze({...state, isFrozen: true, until, reason}),
      };
    },
  };
}

export function unfreezeChange({now, withReason}: UnfreezeOptions): Change<Unfreeze> {
  return {
    shapes: UNFREEZE_KEYS,
    scripts: {change: UNFREEZE, decide: DECIDE_UNFREEZE},
    args: withReason === undefined ? [] : [withReason],
    tellsOld: true,
    read(id, word, [oldUntil = false, oldReason = false, ...counters]) {
      const name = nameOf(id);
      const previous = toFreezeState(name, oldUntil, oldReason, now);
      const isMeant = word !== 'kept';
      const isFrozen = previous.isFrozen !== false;
      const hadFreezeKeys = oldUntil !== false || oldReason !== false;
      const countersCleared = isMeant && counters.some((counter) => counter !== false);
      const leftoversCleared = isMeant && hadFreezeKeys && !isFrozen;
      return {
        id: name,
        state: isMeant && (hadFreezeKeys || countersCleared) ? 'done' : 'unchanged',
        result: {id: name, key: id, previous, isKept: isFrozen && !isMeant, countersCleared, leftoversCleared},
      };
    },
    lookAt: UNFREEZE_KEYS,
    preview(id, [until, reason, ...counters]) {
      const name = nameOf(id);
      const state = toFreezeState(name, inText(until), inText(reason), now);
      const hasFreezeKeys = until !== false || reason !== false;
      const hasCounters = counters.some((counter) => counter !== false);
      const isMeant = withReason === undefined || (until !== false && inText(reason) === withReason);
      const rest = [...(hasFreezeKeys ? ['what is left of a freeze'] : []), ...(hasCounters ? ['counters'] : [])];
      const withRest = state.isFrozen === false && rest.length > 0 ? `, with ${rest.join(' and ')}` : '';
      return {
        id: name,
        state: isMeant && (hasFreezeKeys || hasCounters) ? 'done' : 'unchanged',
        now: `${describeFreeze(state)}${withRest}`,
        then: `not frozen${hasCounters ? ', counters cleared' : ''}`,
      };
    },
  };
}

const UNFREEZE_KEYS = [
  FROZEN_UNTIL_KEYS,
  FREEZE_REASON_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
] as const;

/** Looks whether a request under way has removed a freeze, or replaced it. */
export const freezeLook: SecondLook<Freeze> = {
  afterMs: LOOKS,
  leftBy({id, key, until, isKept, previous}) {
    const wasOver = previous.isFrozen === false && previous.until !== null;
    return isKept ? [] : [{id, key, kind: 'freeze', until, wasOver}];
  },
};

/** Looks whether a request under way has frozen a session again. */
export const unfreezeLook: SecondLook<Unfreeze> = {
  afterMs: LOOKS,
  leftBy: ({id, key, isKept, previous}) => (previous.isFrozen === false || isKept ? [] : [{id, key, kind: 'unfrozen'}]),
};
